"""Random histories of what people and schedulers do, on the real store, launcher and promotion, compared with the rules in plain Python.

`PROOF_EXAMPLES` says how many histories; the test suite takes few, `docs/proof.md` tells of many.
"""

from __future__ import annotations

import os

import fault_lines
import pytest
from agreement import STARTS, agree, agree_on_run, version
from fault_lines import Line
from harness import Installation
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from proving import Proof, proving
from reference import Run, World
from waiver_ways import ADA, GRACE, WAYS, People

from waybill.cli import main as command
from waybill.records.node import NodeResult, Outcome
from waybill.records.run_spec import RunSpec
from waybill.serving import base_path, requests, state
from waybill.serving.errors import DecisionRefused, RequestVoid
from waybill.serving.promotion import Desk
from waybill.store import journal

WINDOW = 2
KILLED_AT = [line for line in fault_lines.RUN if line.doing in ("trainer", "model_gate", "pusher", "promoter")]
EXAMPLES = int(os.environ.get("PROOF_EXAMPLES", "4"))

quarters = st.integers(0, len(STARTS) - 1)
kinds = st.sampled_from(["scheduled", "scheduled", "backfill", "manual"])


class History(RuleBasedStateMachine):
    """One history; both worlds live through it."""

    proof: Proof
    installation: Installation

    @initialize()
    def begin(self) -> None:
        self.proof.go_to("pristine")
        self.world = World(WINDOW)
        self.asked = 0
        for quarter, start in enumerate(STARTS):
            self._land(quarter, start)

    @rule(quarter=quarters, kind=kinds, good=st.integers(0, 4), wish=st.booleans())
    def run(self, quarter: int, kind: str, good: int, wish: bool) -> None:
        """The schedule, a backfill or a person runs a quarter, wishing or not that it be served; asked for again, it is a clear."""
        self._run(quarter, kind, good > 0, wish and kind != "scheduled")

    @rule(quarter=quarters, content=st.integers(0, 9))
    def correct(self, quarter: int, content: int) -> None:
        """A partition is delivered anew."""
        self._land(quarter, f"{STARTS[quarter]} corrected {content}")

    @rule(quarter=quarters, kind=kinds, content=st.integers(0, 9), way=st.sampled_from(list(WAYS)), mended=st.booleans())
    def spoil(self, quarter: int, kind: str, content: int, way: str, mended: bool) -> None:
        """A partition comes spoilt, and the data gate stops its run; people do about it what they do, and the gate is cleared.

        What is delivered anew meanwhile is for later runs: the cleared one keeps the window that it was frozen with.
        """
        self._land(quarter, f"spoilt {content}", spoilt=True)
        spec = self._freeze(quarter, kind, True)
        run = self._compare(quarter, kind, True, self.installation.run_in_one(spec))
        if run.data != "BLOCKED":
            return  # two persons let it pass before
        WAYS[way](People(self.installation, self.world), quarter)
        if mended:
            self._land(quarter, f"mended {content}")
        assert self.installation.node(spec, "data_gate", attempt=2).outcome is Outcome.BLOCKED, "what was judged is not judged again"
        cleared = self.proof.finish(spec, since="data_gate", ticket=f"{spec.trigger.ticket} cleared")
        self._compare(quarter, kind, True, cleared, cleared=run)

    @rule(quarter=quarters, agrees=st.booleans())
    def rebaseline(self, quarter: int, agrees: bool) -> None:
        """A quarter shall be compared with no older release, if another person agrees."""
        People(self.installation, self.world).rebaseline(quarter, agrees)

    @rule(quarter=quarters, kind=kinds)
    def crash(self, quarter: int, kind: str) -> None:
        """The base path cannot be written when the promoter has decided; a retry finishes."""
        away = self.installation.settings.serving.with_name("serving-away")
        serving = self.installation.settings.serving
        if serving.is_dir():
            serving.rename(away)
        serving.write_text("in the way")
        spec = self._freeze(quarter, kind, True)
        results = self.installation.run_in_one(spec)
        serving.unlink()
        if away.is_dir():
            away.rename(serving)
        if results[-1].node == "promoter":
            assert results.pop().outcome is Outcome.FAILED
            results.append(self.installation.node(spec, "promoter", attempt=2))
        self._compare(quarter, kind, True, results)

    @rule(quarter=quarters, kind=kinds, line=st.sampled_from(KILLED_AT))
    def kill(self, quarter: int, kind: str, line: Line) -> None:
        """A process of a node is killed at a line, if the run comes by there; a retry finishes."""
        spec = self._freeze(quarter, kind, True)
        before = self.proof.finish(spec, before=line.doing)
        self.proof.kill(line.doing, line.point, lambda: self.proof.working(spec, line.doing), must=False)
        self._compare(quarter, kind, True, [*before, *self.proof.finish(spec, since=line.doing)])

    @precondition(lambda self: any(run.outcome != "blocked" for run in self.world.runs))
    @rule(data=st.data(), persons=st.integers(1, 2))
    def promote(self, data: st.DataObject, persons: int) -> None:
        release = data.draw(st.sampled_from(sorted(run.release for run in self.world.runs if run.outcome != "blocked")))
        decided = self._desk().promote(version(release), ADA, "a wish")
        if persons == 2 and decided.outcome == "asked":
            with pytest.raises(DecisionRefused):
                self._desk().approve(decided.number, ADA, "my own wish")
            decided = self._desk().approve(decided.number, GRACE, "agreed")
        assert decided.outcome == self.world.promote(release, persons)

    @precondition(lambda self: any(run.outcome != "blocked" for run in self.world.runs))
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        release = data.draw(st.sampled_from(sorted(run.release for run in self.world.runs if run.outcome != "blocked")))
        expected = self.world.roll_back(release)
        try:
            assert self._desk().rollback(version(release), ADA, "in doubt").outcome == expected
        except DecisionRefused:
            assert expected == "refused"

    @precondition(lambda self: hasattr(self, "world") and self.world.asked)
    @rule(data=st.data(), agrees=st.booleans())
    def answer(self, data: st.DataObject, agrees: bool) -> None:
        """Another person answers what somebody has asked for."""
        release = data.draw(st.sampled_from(sorted(self.world.asked)))
        entries = journal.entries(self.installation.store, state.subject("small"))
        request, expected = requests.last(entries, version(release)), self.world.answer(release, agrees)
        assert request is not None
        try:
            desk = self._desk()
            decided = desk.approve(request.number, GRACE, "seen") if agrees else desk.decline(request.number, GRACE, "seen")
            assert decided.outcome == expected
        except RequestVoid:
            assert expected == "void"

    @rule(pinned=st.booleans())
    def pin(self, pinned: bool) -> None:
        self._desk().pin(pinned, ADA, "in doubt")
        self.world.pinned = pinned

    @invariant()
    def the_same_is_served(self) -> None:
        if not hasattr(self, "world"):
            return
        base_path.follow(self.installation.store, self.installation.settings, "small")
        agree(self.installation, self.world)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            assert command.main(["doctor", "small"]) == 0

    def _land(self, quarter: int, content: str, spoilt: bool = False) -> None:
        self.world.land(quarter, self.installation.deliver(STARTS[quarter], content).digest, spoilt)

    def _freeze(self, quarter: int, kind: str, good: bool, wish: bool = False) -> RunSpec:
        self.asked += 1
        params = {"window": WINDOW, "quality": "good" if good else "bad", "data": " ".join(sorted(self.world.spoilt)) or "PASS"}
        run, ticket = self._asked_by(quarter, kind), f"asking {self.asked}"
        return self.installation.freeze(STARTS[quarter], ticket, kind=kind, run=run, promote=wish, **params)

    def _asked_by(self, quarter: int, kind: str) -> str:
        return f"small/{kind}__{STARTS[quarter]}"

    def _run(self, quarter: int, kind: str, good: bool, wish: bool) -> None:
        self._compare(quarter, kind, good, self.installation.run_in_one(self._freeze(quarter, kind, good, wish)), wish)

    def _compare(
        self, quarter: int, kind: str, good: bool, results: list[NodeResult], wish: bool = False, cleared: Run | None = None
    ) -> Run:  # fmt: skip
        expected = self.world.run(quarter, self._asked_by(quarter, kind), kind == "scheduled", good, wish, cleared)
        agree_on_run(self.installation, expected, results)
        return expected

    def _desk(self) -> Desk:
        return Desk(self.installation.store, self.installation.graph, self.installation.settings)


def test_every_history_ends_as_the_rules_say_and_nothing_half_made_is_seen_meanwhile() -> None:
    with proving() as proof:
        proof.remember("pristine")
        History.proof, History.installation = proof, proof.installation
        case = History.TestCase
        case.settings = settings(
            max_examples=EXAMPLES, stateful_step_count=8, deadline=None, derandomize="PROOF_EXAMPLES" not in os.environ,
            suppress_health_check=list(HealthCheck), database=None,
        )  # fmt: skip
        case("runTest").runTest()
