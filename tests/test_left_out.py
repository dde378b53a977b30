"""A span that the data gate left out of the window -> nodes after it that are not given it."""

from __future__ import annotations

import pathlib

import pytest
from harness import Installation, make_tiny

from waybill.records.node import NodeResult, Outcome
from waybill.store import reads

WITHOUT_THE_FIRST = "PASS without 201301010000"


@pytest.fixture
def tiny(tmp_path: pathlib.Path) -> Installation:
    made = make_tiny(tmp_path)
    for start in ("2013-01-01", "2013-04-01", "2013-07-01"):
        made.land(start)
    return made


def starts(tiny: Installation, result: NodeResult) -> list[str]:
    """The intervals of the examples that a node was given."""
    return [a.properties["interval_start"][:10] for a in reads.inputs(tiny.store, result.execution)["examples"]]


def test_nodes_after_the_gate_are_not_given_a_span_that_it_left_out(tiny: Installation) -> None:
    spec = tiny.freeze("2013-04-01", verdict=WITHOUT_THE_FIRST)
    results = {result.node: result for result in tiny.run(spec)}
    assert {result.outcome for result in results.values()} == {Outcome.COMPLETE}
    assert starts(tiny, results["data_gate"]) == ["2013-01-01", "2013-04-01"]
    assert starts(tiny, results["trainer"]) == ["2013-04-01"]
    assert "201301010000" not in pathlib.Path(results["trainer"].outputs["model"][0].uri, "data").read_text()


def test_the_next_generation_goes_by_the_verdict_it_builds_on(tiny: Installation) -> None:
    spec = tiny.freeze("2013-04-01", verdict=WITHOUT_THE_FIRST)
    tiny.run(spec)
    again = tiny.node(spec, "trainer", ticket="ticket-2")
    assert (again.run, again.outcome) == ("tiny.201304010000.g2", Outcome.COMPLETE)
    assert starts(tiny, again) == ["2013-04-01"]


def test_what_one_run_left_out_another_run_is_given(tiny: Installation) -> None:
    tiny.run(tiny.freeze("2013-04-01", verdict=WITHOUT_THE_FIRST))
    other = tiny.run(tiny.freeze("2013-07-01", "ticket-3", window=3), upto="trainer")[-1]
    assert starts(tiny, other) == ["2013-01-01", "2013-04-01", "2013-07-01"]


@pytest.mark.parametrize("span", ["201304010000", "201210010000"])
def test_a_gate_that_leaves_out_the_runs_own_span_or_a_stranger_is_not_obeyed(tiny: Installation, span: str) -> None:
    spec = tiny.freeze("2013-04-01", verdict=f"PASS without {span}")
    stopped = tiny.run(spec)[-1]
    assert (stopped.node, stopped.outcome, stopped.retried) == ("trainer", Outcome.REFUSED, False)
    assert f"left out [{span}]" in stopped.message
