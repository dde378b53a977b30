"""An Airflow data interval -> the span number and the names made from it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from waybill.records.errors import RecordError

UTC = dt.timezone.utc


@dataclasses.dataclass(frozen=True, order=True)
class Interval:
    """The half-open stretch of time `[start, end)` that a run is for.

    Attributes:
      start: First instant of the interval, in UTC, whole minutes.
      end: First instant after it, in UTC, whole minutes.
    """

    start: dt.datetime
    end: dt.datetime

    def __post_init__(self) -> None:
        for name, moment in (("start", self.start), ("end", self.end)):
            if moment.tzinfo is None:
                raise RecordError(f"the interval's {name} is {moment.isoformat()}, which names no time zone; give it in UTC")
            if moment.second or moment.microsecond:
                raise RecordError(f"the interval's {name} is {moment.isoformat()}; expected whole minutes")
            object.__setattr__(self, name, moment.astimezone(UTC))
        if self.start >= self.end:
            raise RecordError(f"the interval starts at {self.start.isoformat()} and ends at {self.end.isoformat()}; expected start < end")

    @property
    def span(self) -> int:
        """The span number TFX knows the interval's data by: its start as `YYYYMMDDHHMM`."""
        return int(self.start.strftime("%Y%m%d%H%M"))

    @property
    def label(self) -> str:
        """The interval's start as people write it: a date, with the time only where it is not midnight."""
        midnight = (self.start.hour, self.start.minute) == (0, 0)
        return self.start.strftime("%Y-%m-%d" if midnight else "%Y-%m-%dT%H:%M")

    def version(self, generation: int) -> int:
        """The release version of a generation: the interval's end as `YYYYMMDDHHMM`, then the generation in two places.

        Raises:
          RecordError: if the generation does not fit in two places.
        """
        if not 1 <= generation <= 99:
            raise RecordError(f"generation is {generation}; a version has room for 1 to 99")
        return int(self.end.strftime("%Y%m%d%H%M")) * 100 + generation

    def to_json(self) -> dict[str, str]:
        """The interval as two ISO 8601 strings."""
        return {"start": self.start.isoformat(), "end": self.end.isoformat()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Interval:
        """The inverse of `to_json`."""
        return cls(parse_moment(value["start"]), parse_moment(value["end"]))


def parse_moment(text: str) -> dt.datetime:
    """Reads an ISO 8601 date or time; one without a zone is taken as UTC.

    Raises:
      RecordError: if the text is neither.
    """
    try:
        moment = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, AttributeError, OverflowError):
        raise RecordError(f"got {str(text)[:40]!r}, expected a date such as 2013-07-01 or a time such as 2013-07-01T06:00") from None
