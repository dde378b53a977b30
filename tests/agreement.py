"""The rules' World and the installation that lived through the same -> whether they agree on what is served, released and pinned."""

from __future__ import annotations

from harness import Installation
from reference import Release, World

from waybill.serving import base_path, releases, state

STARTS = ("2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01", "2014-01-01")


def version(release: Release) -> int:
    """The number that a release of the rules bears."""
    ends = (*STARTS[1:], "2014-04-01")[release[0]]
    return int(ends.replace("-", "") + "0000") * 100 + release[1]


def span(quarter: int) -> int:
    """The span of a quarter of the rules."""
    return int(STARTS[quarter].replace("-", "") + "0000")


def agree(installation: Installation, world: World) -> None:
    """Asserts that record, base path and release store are what the rules say."""
    now = state.read(installation.store, "small")
    assert now.stable == (version(world.stable) if world.stable else 0)
    assert now.pinned == world.pinned
    assert base_path.present(installation.settings.serving / "small") == [version(release) for release in world.base_path]
    found = {release.version for release in releases.newest(installation.store, "small", 99)}
    assert found == {version(run.release) for run in world.runs if run.outcome != "blocked"}
