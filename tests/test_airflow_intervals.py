"""The launcher's arithmetic of intervals is Airflow's, whose intervals it is given: in any zone, over jumps of the clock and leap days."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pendulum
import pytest
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow_side import graph

from waybill.launch.window import interval_from, window
from waybill.records.errors import RecordError

UTC = dt.timezone.utc
SCHEDULES = (
    "0 0 * * *",
    "0 * * * *",
    "*/15 * * * *",
    "30 2 * * *",
    "0 2 * * *",
    "30 */2 * * *",
    "15 1-4 * * *",
    "0 0 1 */3 *",
    "0 3 * * 0",
)
# Days around which clocks jump, or a year is longer.
EDGES = (
    ("Europe/Berlin", "2024-03-30"),
    ("Europe/Berlin", "2024-10-26"),
    ("America/New_York", "2024-03-09"),
    ("America/New_York", "2024-11-02"),
    ("Australia/Lord_Howe", "2024-04-06"),
    ("Australia/Lord_Howe", "2024-10-05"),
    ("Asia/Kolkata", "2024-02-28"),
    ("UTC", "2023-12-30"),
)


def intervals(schedule: str, zone: str, day: str, count: int) -> list[tuple[dt.datetime, dt.datetime]]:
    """Airflow's intervals from a day on."""
    timetable = CronDataIntervalTimetable(schedule, timezone=zone)
    start = timetable._align_to_next(pendulum.parse(day, tz=zone))
    found = []
    for _ in range(count):
        end = timetable._get_next(start)
        found.append((plain(start), plain(end)))
        start = end
    return found


def plain(moment: pendulum.DateTime) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment.timestamp(), UTC)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("zone", "day"), EDGES)
def test_intervals_are_airflows_over_every_edge(schedule: str, zone: str, day: str) -> None:
    settings = dataclasses.replace(graph().settings, schedule=schedule, timezone=zone)
    expected = intervals(schedule, zone, day, 115 if schedule.startswith("*/15") else 40)
    for start, end in expected:
        found = interval_from(settings, start)
        assert (found.start, found.end) == (start, end)
    back = window(settings, interval_from(settings, expected[-1][0]), len(expected))
    assert [(one.start, one.end) for one in back] == expected


def test_a_leap_day_is_an_interval_of_four_years() -> None:
    settings = dataclasses.replace(graph().settings, schedule="0 0 29 2 *")
    found = interval_from(settings, dt.datetime(2020, 2, 29, tzinfo=UTC))
    assert found.end == dt.datetime(2024, 2, 29, tzinfo=UTC)


def test_a_moment_at_which_nothing_begins_is_refused_with_the_nearest() -> None:
    settings = dataclasses.replace(graph().settings, schedule="30 2 * * *", timezone="Europe/Berlin")
    with pytest.raises(RecordError, match="2024-03-31T01:30:00.*2024-04-01T00:30:00"):
        interval_from(settings, dt.datetime(2024, 3, 31, 2, 0, tzinfo=UTC))
