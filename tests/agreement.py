"""The rules' World and the installation that lived through the same -> whether they agree on runs, and on what is served and released."""

from __future__ import annotations

import json

from harness import Installation
from reference import Release, Run, World

from waybill.launch.gates import left_out_before
from waybill.launch.inputs import InputResolver
from waybill.records.node import NodeResult, Outcome
from waybill.records.run_spec import RunSpec
from waybill.serving import base_path, releases, standing, state
from waybill.store import journal, reads

STARTS = ("2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01", "2014-01-01")


def version(release: Release) -> int:
    """The number that a release of the rules bears."""
    ends = (*STARTS[1:], "2014-04-01")[release[0]]
    return int(ends.replace("-", "") + "0000") * 100 + release[1]


def span(quarter: int) -> int:
    """The span of a quarter of the rules."""
    return int(STARTS[quarter].replace("-", "") + "0000")


def agree(installation: Installation, world: World) -> None:
    """Asserts that record, base path and release store are what the rules say, and that `waybill releases` says so."""
    now = state.read(installation.store, "small")
    assert now.stable == (version(world.stable) if world.stable else 0)
    assert now.pinned == world.pinned
    assert base_path.present(installation.settings.serving / "small") == [version(release) for release in world.base_path]
    entries = journal.entries(installation.store, state.subject("small"))
    found = {
        one.version: standing.of(installation.store, one, entries, "promoter") for one in releases.newest(installation.store, "small", 99)
    }
    told = {number: (tuple(w for w in is_now.words if w != "removed"), is_now.superseded_by) for number, is_now in found.items()}
    assert told == {version(release): world.standing(release) for release in world.released}


def agree_on_run(installation: Installation, expected: Run, results: list[NodeResult]) -> None:
    """Asserts that a run came to what the rules say: its window to the byte, what its gates said, its baseline, what became of it."""
    found = {result.node: result for result in results}
    gate = found.pop("data_gate")
    assert gate.run == f"small.{span(expected.quarter)}.g{expected.generation}"
    spec = frozen(installation, gate.run)
    assert [(part.interval.label, part.digest) for part in spec.window] == [(STARTS[q], delivery) for q, delivery in expected.window]
    resolver = InputResolver(installation.store, installation.graph, [spec])
    left_out = left_out_before("trainer", installation.graph, resolver, installation.store, spec)
    assert left_out == {span(quarter) for quarter in expected.left_out}
    assert gate.extra["verdict"] == expected.data
    if expected.data == "BLOCKED":
        assert gate.outcome is Outcome.BLOCKED and {result.outcome for result in found.values()} <= {Outcome.REFUSED}
        return
    none = "set aside by waiver" if expected.aside else "no baseline yet"
    assert (f"release {version(expected.baseline)} " if expected.baseline else none) in found["baseline"].message
    outcome = found["promoter"].extra["promotion"]["outcome"] if "promoter" in found else "blocked"
    assert outcome == expected.outcome


def frozen(installation: Installation, run: str) -> RunSpec:
    """A run's spec as MLMD has it."""
    return RunSpec.from_json(json.loads(str(reads.context_properties(installation.store, "pipeline_run", run)["run_spec_json"])))
