"""A run waits for older intervals' runs that are under way, so that its baseline is the one it had if they had run one after the other."""

from __future__ import annotations

import pathlib

import pytest
import released_pipeline
from harness import Installation, install

from waybill.launch.lease import lease
from waybill.launch.older import RUN
from waybill.records.node import WAITS_FOR, NodeResult, Outcome

Q1, Q2 = "2013-01-01", "2013-04-01"


@pytest.fixture
def small(tmp_path: pathlib.Path) -> Installation:
    made = install(tmp_path, released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
    for start in (Q1, Q2):
        made.land(start)
    return made


def baseline(results: list[NodeResult]) -> NodeResult:
    return next(result for result in results if result.node == "baseline")


def test_the_newer_run_waits_until_the_older_is_released_and_is_compared_with_it(small: Installation) -> None:
    older, newer = small.freeze(Q1, "one", kind="scheduled"), small.freeze(Q2, "two", kind="scheduled")
    waits = small.run_in_one(newer)[-1]
    assert (waits.node, waits.outcome) == ("baseline", Outcome.WAITING)
    assert waits.extra[WAITS_FOR] == {"small.201301010000.g1": f"small/{Q1}"}
    assert small.run_in_one(older)[-1].successful
    assert "release 20130401000001" in baseline(small.run_in_one(newer)).message


def test_a_run_that_a_gate_stopped_is_not_waited_for(small: Installation) -> None:
    small.run_in_one(small.freeze(Q1, "one", data="spoilt"))
    assert "no baseline yet" in baseline(small.run_in_one(small.freeze(Q2, "two"))).message


def test_the_older_run_waits_for_nobody(small: Installation) -> None:
    older, _ = small.freeze(Q1, "one"), small.freeze(Q2, "two")
    assert baseline(small.run_in_one(older)).outcome is Outcome.COMPLETE


def test_a_run_that_the_orchestrator_calls_over_is_not_waited_for(small: Installation) -> None:
    older, newer = small.freeze(Q1, "one"), small.freeze(Q2, "two")
    assert small.run_in_one(newer)[-1].outcome is Outcome.WAITING
    assert baseline(small.run_in_one(newer, over=(older.run,))).outcome is Outcome.COMPLETE


def test_a_run_of_the_command_line_is_waited_for_as_long_as_it_lives(small: Installation) -> None:
    older, newer = small.freeze(Q1, "one", kind="command_line"), small.freeze(Q2, "two")
    with lease(small.settings.leases, older.run, RUN, print):
        assert small.run_in_one(newer)[-1].extra[WAITS_FOR] == {older.run: ""}
    assert baseline(small.run_in_one(newer)).outcome is Outcome.COMPLETE


def test_what_lies_before_the_newest_older_release_is_not_waited_for(small: Installation) -> None:
    small.freeze(Q1, "never run")
    small.run_in_one(small.freeze(Q2, "two"), over=("small.201301010000.g1",))
    small.land("2013-07-01")
    assert "release 20130701000001" in baseline(small.run_in_one(small.freeze("2013-07-01", "three"))).message
