"""A generation of an interval -> the later one that has taken its place.

Never stored, because it always follows from the releases on record: a generation is superseded when a later one of its interval has been
released, whether or not it was released itself. What is shared between runs belongs to no generation and is never superseded.
"""

from __future__ import annotations

from waybill.records.interval import Interval
from waybill.store import reads
from waybill.store.connection import Store


def by(store: Store, pipeline: str, interval: Interval, generation: int) -> int:
    """Number of the newest released generation of the interval, if that is a later one; else 0.

    Args:
      store: The MLMD database.
      pipeline: Name of the pipeline.
      interval: The interval.
      generation: The generation that is asked about; 0 for what is shared.
    """
    if not generation:
        return 0
    found = reads.releases(store, pipeline, upto=str(interval.version(99)), limit=1)
    number, newest = divmod(int(found[0].properties["pushed_version"]), 100) if found else (0, 0)
    return newest if number == interval.version(99) // 100 and newest > generation else 0
