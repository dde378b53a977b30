"""Killed at any line between two things that last, by itself or with the warm host, everything ends as if nothing had happened.

`make prove` tries every line, for the process that is there and for the host; the test suite takes a few of them.
"""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Iterator

import fault_lines
import pytest
import small_model
from agreement import STARTS, agree, version
from fault_lines import Line
from harness import remove
from proving import ALL, Proof, proving, who_decides
from reference import World

from waybill.launch import left_open
from waybill.records import fault_points
from waybill.records.node import Outcome
from waybill.records.run_spec import RunSpec
from waybill.serving import base_path, state
from waybill.store import journal, reads

Q1, Q2, Q3, Q4 = STARTS[:4]
V1, V2, V3 = (version((quarter, 1)) for quarter in range(3))
VERBS = {
    "rollback": ("rollback", "small", str(V2), "--why=in doubt"),
    "promote": ("promote", "small", str(V3), "--why=all is well"),
    "prune": ("prune", "small", "--keep=1", "--apply", "--why=room"),
    "doctor": ("doctor", "small", "--repair"),
}
FEW = {
    "run-run_spec-freeze.recorded", "run-trainer-launch.executed", "run-pusher-publish.copying", "run-pusher-publish.renamed",
    "run-promoter-journal.committed", "run-promoter-base_path.set_aside", "again-trainer-repair.dead_closed",
    "cleared-model_gate-freeze.saved", "rollback-rollback-base_path.brought_in", "prune-prune-journal.committed",
}  # fmt: skip
FEW_WITH_HOST = {"run-trainer-launch.registered", "run-promoter-publish.sealed"}
LINES = [line for line in fault_lines.ALL if ALL or str(line) in FEW]
LINES_WITH_HOST = [line for line in fault_lines.RUN if ALL or str(line) in FEW_WITH_HOST]


@pytest.fixture(scope="module")
def proof() -> Iterator[Proof]:
    """Two quarters are served; the third's run is kept as it is before each of its nodes, and with what may follow it."""
    with proving() as made:
        for start in (Q1, Q2, Q3, Q4):
            made.installation.land(start)
        for start in (Q1, Q2):
            assert made.finish(made.freeze(start, start))[-1].successful
        made.remember("run_spec")
        made.faults.forget()
        spec = made.freeze(Q3, Q3)
        nodes = [node for node in fault_lines.OF_RUN if node != "run_spec"]
        for node in nodes:
            made.remember(node)
            assert made.working(spec, node).end().successful
        made.remember("done")
        assert made.commanding(*VERBS["rollback"]).end() == 0
        made.remember("rolled back")
        made.go_to("done")
        damage(made)
        made.remember("damaged")
        yield made


def damage(made: Proof) -> None:
    """Leaves the doctor something of everything that it mends by itself; each version is whole at every moment."""
    spec = made.freeze(Q4, Q4)
    assert made.finish(spec, before="trainer")[-1].successful
    made.kill("trainer", "launch.prepared", lambda: made.working(spec, "trainer"), who_decides)
    base = made.installation.settings.serving / "small"
    small_model.write(made.home / "other", "evil").rename(made.home / "whole")
    (base / str(V3)).chmod(0o755)
    (base / str(V3)).rename(made.home / "away")
    (made.home / "whole").rename(base / str(V3))
    remove(made.home / "away")
    shutil.copytree(made.installation.settings.releases / "small" / str(V1), made.home / "whole")
    (made.home / "whole").chmod(0o755)
    (made.home / "whole").rename(base / str(V1))
    (base.parent / base_path.CONFIG).unlink()


def spec_of(proof: Proof, start: str) -> RunSpec:
    """The spec that a run was frozen with; the same asking finds it."""
    return proof.freeze(start, start)


@pytest.mark.parametrize("line", LINES, ids=str)
def test_whose_process_is_killed_at_a_line_is_finished_by_who_comes_after(proof: Proof, line: Line) -> None:
    if line.scenario in VERBS:
        proof.go_to({"promote": "rolled back", "doctor": "damaged"}.get(line.scenario, "done"))
        assert proof.kill(line.doing, line.point, lambda: proof.commanding(*VERBS[line.scenario])) is None
        assert proof.commanding(*VERBS[line.scenario]).end() == 0
    elif line.doing == "run_spec":
        proof.go_to("run_spec")
        assert proof.kill("run_spec", line.point, lambda: proof.freezing(Q3, Q3)) is None
    elif line.scenario == "cleared":
        proof.go_to("done")
        spec = spec_of(proof, Q3)
        ended = proof.kill(line.doing, line.point, lambda: proof.working(spec, line.doing, ticket="cleared"))
        assert ended is None or ended.outcome is Outcome.KILLED
        assert proof.finish(spec, since=line.doing, ticket="cleared")[-1].successful
    else:
        proof.go_to(line.doing)
        spec = spec_of(proof, Q3)
        if line.scenario == "again":
            assert proof.kill(line.doing, "launch.registered", lambda: proof.working(spec, line.doing), who_decides) is None
        ended = proof.kill(line.doing, line.point, lambda: proof.working(spec, line.doing))
        assert ended is None or ended.outcome is Outcome.KILLED
    if line.scenario in ("run", "again"):
        assert proof.finish(spec_of(proof, Q3))[-1].successful
    ended_as_the_rules_say(proof, line)


@pytest.mark.parametrize("line", LINES_WITH_HOST, ids=str)
def test_when_the_warm_host_is_killed_its_node_is_too_and_a_new_host_finishes_what_the_doctor_has_mended(proof: Proof, line: Line) -> None:
    proof.go_to(line.doing)
    host = proof.host()
    begin = (lambda: proof.warm_freezing(Q3, Q3)) if line.doing == "run_spec" else (lambda: proof.warm(spec_of(proof, Q3), line.doing))
    ended = proof.kill(line.doing, line.point, begin, lambda begun, held: host, mine={host})
    assert ended.outcome is Outcome.KILLED and "the warm host" in ended.message
    proof.doctor("--repair")
    store = proof.installation.store
    assert left_open.dead_executions(store, proof.installation.settings, "small") == []
    with proof.hosting():
        assert begin().end().successful
    assert proof.finish(spec_of(proof, Q3))[-1].successful
    ended_as_the_rules_say(proof, line)


def ended_as_the_rules_say(proof: Proof, line: Line) -> None:
    """Asserts that record and folders are as the rules have them, nothing is left over, and the doctor finds nothing."""
    agree(proof.installation, world_after(line.scenario))
    assert proof.doctor() == 0
    here = proof.installation
    run = "small.201307010000.g1"
    for node in fault_lines.OF_RUN:
        found = reads.executions(here.store, "small", run, node)
        assert [e.state for e in found if e.successful] == ([] if node == "run_spec" else ["COMPLETE"]), node
        assert all(e.state in ("COMPLETE", "FAILED") for e in found), node
    decided = journal.entries(here.store, state.subject("small"))
    assert [entry.number for entry in decided] == list(range(1, len(decided) + 1))
    by_schedule = [entry.says["version"] for entry in decided if entry.kind == "promote" and entry.says["who"] == "schedule"]
    assert by_schedule == [V1, V2, V3]
    nothing_half_made(here.settings.releases / "small", here.settings.serving)
    if line.scenario == "prune":
        assert base_path.present(here.settings.releases / "small") == [V2, V3]


def nothing_half_made(releases: pathlib.Path, serving: pathlib.Path) -> None:
    """Asserts that folders hold versions and what belongs beside them, and nothing that a dead process had begun."""
    kept = [path.name for base in (releases, serving / "small") for path in base.iterdir() if not path.name.isdigit()]
    assert {name for name in kept if not name.startswith(".changed-")} <= {".publish.lock"}
    assert {path.name for path in serving.iterdir()} == {"small", base_path.CONFIG, ".publish.lock"}


def world_after(scenario: str) -> World:
    """What the rules say of the same."""
    world = World(window=1)
    for quarter, start in enumerate(STARTS[:4]):
        world.land(quarter, start)
    for quarter in range(3):
        world.run(quarter, f"small/scheduled__{STARTS[quarter]}", scheduled=True, good=True)
    if scenario == "cleared":
        world.run(2, f"small/scheduled__{Q3}", scheduled=True, good=True)
    if scenario in ("rollback", "promote"):
        world.roll_back((1, 1))
    if scenario == "promote":
        world.promote((2, 1), persons=1)
    return world


def test_what_comes_by_the_lines_is_what_is_declared_no_less_and_no_more(proof: Proof) -> None:
    def reached(moment: str, *verb: str) -> list[tuple[str, str]]:
        proof.go_to(moment)
        proof.faults.forget()
        assert proof.commanding(*verb).end() == 0
        return proof.faults.reached()

    proof.go_to("run_spec")
    proof.faults.forget()
    assert proof.freezing(Q3, Q3).end()
    spec = spec_of(proof, Q3)
    for node in fault_lines.OF_RUN:
        if node != "run_spec":
            assert proof.working(spec, node).end().successful
    assert once(proof.faults.reached()) == [(line.doing, line.point) for line in fault_lines.RUN]
    for verb, words in VERBS.items():
        found = reached({"promote": "rolled back", "doctor": "damaged"}.get(verb, "done"), *words)
        assert once(found) == [(line.doing, line.point) for line in fault_lines.VERBS if line.scenario == verb]
    assert {line.point for line in fault_lines.ALL} == set(fault_points.POINTS)


def once(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without repetitions, in the order of the first time."""
    return list(dict.fromkeys(found))
