"""A cron schedule and a date -> the data interval it begins, and the intervals of the window before it.

The arithmetic is that of Airflow's CronDataIntervalTimetable, whose intervals a run is given: a schedule is read on the clock on the
wall. Where that jumps, in Berlin from 2 to 3 o'clock, `30 2 * * *` fires once, at 3:30; where it shows an hour twice, at the second 2:30;
and what fires in every hour of the day fires in both.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo

import croniter

from waybill.records.errors import RecordError
from waybill.records.graph import PipelineSettings
from waybill.records.interval import UTC, Interval

_STEPS, _LONGEST_JUMP = 3, dt.timedelta(hours=4)


def interval_from(settings: PipelineSettings, start: dt.datetime) -> Interval:
    """The schedule's interval that begins at `start`.

    Raises:
      RecordError: if no interval begins there; the message names the nearest ones.
    """
    before = _before(settings, start)
    if (nearest := _after(settings, before)) != start:
        raise RecordError(
            f"no interval of {settings.name} begins at {start.isoformat()} (schedule {settings.schedule!r}, {settings.timezone}); "
            f"the nearest begin at {before.isoformat()} and {nearest.isoformat()}"
        )
    return Interval(start, _after(settings, start))


def window(settings: PipelineSettings, interval: Interval, length: int) -> list[Interval]:
    """The `length` intervals that end with `interval`, oldest first."""
    intervals = [interval]
    while len(intervals) < length:
        intervals.insert(0, Interval(_before(settings, intervals[0].start), intervals[0].start))
    return intervals


def _after(settings: PipelineSettings, moment: dt.datetime) -> dt.datetime:
    """The next moment at which the schedule fires."""
    zone = zoneinfo.ZoneInfo(settings.timezone)
    shown = moment.astimezone(zone).replace(tzinfo=None)  # what a clock on the wall shows
    walk = croniter.croniter(settings.schedule, shown)
    found: dt.datetime = walk.get_next(dt.datetime)
    if walk.expanded[1] == ["*"]:  # every hour: an hour is an hour, whatever the clock shows
        return (moment + (found - shown)).astimezone(UTC)
    return _at(found, zone)


def _before(settings: PipelineSettings, moment: dt.datetime) -> dt.datetime:
    """The last moment before at which the schedule fires.

    Going back over a jump of the clock does not lead where one came from. So it is gone back further than any jump, and forth again.
    """
    zone = zoneinfo.ZoneInfo(settings.timezone)
    walk = croniter.croniter(settings.schedule, moment.astimezone(zone).replace(tzinfo=None))
    found, steps = moment, 0
    while steps < _STEPS or moment - found < _LONGEST_JUMP:
        found, steps = _at(walk.get_prev(dt.datetime), zone), steps + 1
    while (after := _after(settings, found)) < moment:
        found = after
    return found


def _at(shown: dt.datetime, zone: zoneinfo.ZoneInfo) -> dt.datetime:
    """The moment at which a clock on the wall shows something: the second one, if it does so twice; as if it had not jumped, if never."""
    second = shown.replace(tzinfo=zone, fold=1).astimezone(UTC)
    exists = second.astimezone(zone).replace(tzinfo=None) == shown
    return second if exists else shown.replace(tzinfo=zone, fold=0).astimezone(UTC)
