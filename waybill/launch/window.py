"""A cron schedule and a date -> the data interval it begins, and the intervals of the window before it."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import croniter

from waybill.records.errors import RecordError
from waybill.records.graph import PipelineSettings
from waybill.records.interval import UTC, Interval


def interval_from(settings: PipelineSettings, start: dt.datetime) -> Interval:
    """The schedule's interval that begins at `start`.

    Raises:
      RecordError: if no interval begins there; the message names the nearest ones.
    """
    local = start.astimezone(_zone(settings))
    if not croniter.croniter.match(settings.schedule, local):
        before, after = (_step(settings, start, direction) for direction in (-1, 1))
        raise RecordError(
            f"no interval of {settings.name} begins at {start.isoformat()} (schedule {settings.schedule!r}, {settings.timezone}); "
            f"the nearest begin at {before.isoformat()} and {after.isoformat()}"
        )
    return Interval(start, _step(settings, start, 1))


def window(settings: PipelineSettings, interval: Interval, length: int) -> list[Interval]:
    """The `length` intervals that end with `interval`, oldest first."""
    intervals = [interval]
    while len(intervals) < length:
        start = _step(settings, intervals[0].start, -1)
        intervals.insert(0, Interval(start, intervals[0].start))
    return intervals


def _step(settings: PipelineSettings, moment: dt.datetime, direction: int) -> dt.datetime:
    walk = croniter.croniter(settings.schedule, moment.astimezone(_zone(settings)))
    found = walk.get_next(dt.datetime) if direction > 0 else walk.get_prev(dt.datetime)
    return found.astimezone(UTC)


def _zone(settings: PipelineSettings) -> zoneinfo.ZoneInfo:
    return zoneinfo.ZoneInfo(settings.timezone)
