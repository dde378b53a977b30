"""What `waybill demo` shows: which pipelines, which of their intervals the schedule runs, and which of those is backfilled again."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Story:
    """One pipeline's part.

    Attributes:
      pipeline: Its name.
      intervals: Starts of the intervals that the schedule runs, oldest first: from the pipeline's first one on. The last of every story
        ends on the same day, because the demo's schedules stop there.
      again: Start of the interval that is backfilled when all have run, and after that the newest release is rolled back and put back;
        empty for neither.
    """

    pipeline: str
    intervals: tuple[str, ...]
    again: str = ""


STORIES = (
    Story("taxi", ("2013-01-01", "2013-04-01", "2013-07-01"), again="2013-04-01"),
    Story("digits", ("2013-09-01",)),
)
