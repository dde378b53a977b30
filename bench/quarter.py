"""The quarter that all runs are measured on: the first one of the real trips, 884 of them, in a window of one."""

from __future__ import annotations

import hashlib
import pathlib

from pipelines.taxi import land as trips
from pipelines.taxi.settings import SETTINGS
from waybill.launch import identity
from waybill.launch.landing import LandingArea
from waybill.launch.window import interval_from
from waybill.records.interval import parse_moment
from waybill.records.run_spec import Partition, RunSpec, Trigger
from waybill.records.settings import PROJECT

START, END = "2013-01-01", "2013-04-01"


def land(landing: pathlib.Path, start: str) -> Partition:
    """Delivers all quarters and returns the one that begins at `start`."""
    trips.land(landing)
    return landed(landing, start)


def landed(landing: pathlib.Path, start: str) -> Partition:
    """The quarter that begins at `start`, which has been delivered."""
    return LandingArea(landing, SETTINGS.name).partition(interval_from(SETTINGS, parse_moment(start)))


def check_released(folder: pathlib.Path) -> None:
    """Checks that a run in a folder ended with one release.

    Raises:
      SystemExit: if it did not; then there is nothing to compare.
    """
    released = [path.name for path in (folder / "releases").iterdir() if path.name.isdigit()]
    if len(released) != 1:
        raise SystemExit(f"released {released}; what does not end with a release is not compared")


def spec_of(partition: Partition) -> RunSpec:
    """What a run of that quarter alone would be frozen as."""
    return RunSpec(
        pipeline=SETTINGS.name,
        interval=partition.interval,
        generation=1,
        window=(partition,),
        absent=(),
        params=SETTINGS.resolve_params({}),
        schema="sha256:" + hashlib.sha256(b"").hexdigest(),
        code=identity.code(PROJECT, SETTINGS.name, SETTINGS.schema),
        environment=identity.environment(PROJECT),
        trigger=Trigger("command_line", "", "", ""),
    )
