"""A request for one node of a frozen run -> its result. The light half: decides what there is to do without importing TFX."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Protocol

from waybill.launch import freeze, identity, reference, repair, specs, units, work
from waybill.launch.errors import GateClosed, LaunchError, SpecMismatch, SpecMissing
from waybill.launch.gates import PROMOTION_TYPE, check_before, verdict_of
from waybill.launch.inputs import InputResolver
from waybill.launch.lease import lease
from waybill.launch.older import open_runs
from waybill.launch.work import Work
from waybill.records import fault_points
from waybill.records.errors import RecordError
from waybill.records.graph import Graph, Node
from waybill.records.node import WAITS_FOR, NodeRequest, NodeResult, Outcome
from waybill.records.run_spec import RunSpec
from waybill.records.settings import PROJECT, Settings
from waybill.records.verdict import Verdict
from waybill.records.waivable import why_never
from waybill.store import generations, reads
from waybill.store.connection import Store
from waybill.store.errors import StoreError
from waybill.store.reads import ExecutionRow


class Backend(Protocol):
    """Executes decided work in a process of its own."""

    def __call__(self, todo: Work, lease_descriptor: int) -> NodeResult:
        """Runs `launch.execute.execute`, and says how the process ended when it left no result."""


def run_node(
    request: NodeRequest, graph_of: Callable[[str], Graph], settings: Settings, backend: Backend, say: Callable[[str], None]
) -> NodeResult:
    """Runs one attempt at one node; whatever happens becomes a result.

    Args:
      request: What to run.
      graph_of: Finds a pipeline's graph by name.
      settings: Where things are.
      backend: Executes what has to be executed.
      say: Called with lines for the log.
    """
    started = time.monotonic()
    fault_points.work_on(request.node)
    try:
        result = _Attempt(request, graph_of, settings, backend, say).run()
    except (SpecMismatch, SpecMissing, GateClosed) as error:
        result = NodeResult(request.node, Outcome.REFUSED, str(error))
    except (RecordError, LaunchError) as error:
        result = NodeResult(request.node, Outcome.UNRESOLVED, str(error))
    except (StoreError, OSError) as error:
        result = NodeResult(request.node, Outcome.FAILED, f"{type(error).__name__}: {error}")
    return dataclasses.replace(result, seconds=round(time.monotonic() - started, 3))


class _Attempt:
    """One attempt, from the request to the result."""

    def __init__(
        self, request: NodeRequest, graph_of: Callable[[str], Graph], settings: Settings, backend: Backend, say: Callable[[str], None]
    ):
        self._request = request
        self._settings = settings
        self._backend = backend
        self._say = say
        self._store = Store(settings.store_url)
        told = specs.load(settings.specs, request.spec)
        if request.asked_by and request.asked_by != told.trigger.run:
            raise SpecMismatch(
                f"run spec {request.spec} was frozen for {told.trigger.run!r}, but {request.asked_by!r} asks with it; "
                "what run_spec left was changed. Clear run_spec, so that it freezes the run anew"
            )
        self._graph = graph_of(told.pipeline)
        self._node: Node = self._graph.node(request.node)
        identity.check(told, PROJECT, self._graph.settings.schema)
        self._lineage = self._working_lineage(told)
        self._spec = self._lineage[0]
        self._unit = units.of(self._spec, self._node, request.index)

    def run(self) -> NodeResult:
        """Finds the work done, or has it done, under the lease of (unit, node)."""
        with lease(self._settings.leases, self._unit.name, self._node.id, self._say) as descriptor:
            fault_points.reached("node.leased")
            found = reads.executions(self._store, self._spec.pipeline, self._unit.name, self._node.id)
            done = [e for e in found if e.successful]
            if done:
                return self._already(done[-1])
            if self._node.looks_back and (waiting := self._waiting()):
                return waiting
            check_before(self._node.id, self._graph, InputResolver(self._store, self._graph, self._lineage), self._store)
            self._clear_ground(found)
            fault_points.reached("node.cleared")
            todo = Work(tuple(s.digest for s in self._lineage), self._node.id, self._request.attempt, self._unit)
            result = self._backend(todo, descriptor)
            fault_points.reached("node.worked")
            if result.outcome is Outcome.KILLED:
                left = reads.executions(self._store, self._spec.pipeline, self._unit.name, self._node.id)
                repair.close_dead(self._store, left, result.message)
            return self._judged(result)

    def _waiting(self) -> NodeResult | None:
        """The result of a node that has to wait for older intervals' runs; None when none is under way."""
        found = open_runs(self._spec, self._graph, self._settings, self._store)
        left = {one.run: one.asked_by for one in found if one.run not in self._request.over}
        if not left:
            return None
        says = f"{self._node.id} waits for runs of older intervals, whose releases it has to know: {', '.join(left)}"
        return NodeResult(self._node.id, Outcome.WAITING, says, run=self._unit.name, extra={WAITS_FOR: left})

    def _working_lineage(self, told: RunSpec) -> list[RunSpec]:
        """The specs to work with, newest first: the told one, or a later generation that clearing a finished node began.

        A task keeps the spec it was told by `run_spec`. When it is cleared after it had succeeded, its ticket is new to the store and
        its work is done: then it belongs to the next generation, which everything cleared along with it shares by the ticket.
        """
        span = told.interval.span
        generation = generations.of_spec(self._store, told.pipeline, span, told.digest)
        if generation is None:
            raise SpecMissing(f"run spec {told.digest} is not on record in this store; clear the run from run_spec")
        chain = generations.chain(self._store, told.pipeline, span, generation.root)
        of_ticket = [g for g in chain if g.ticket == self._request.ticket]
        if of_ticket:
            return self._load_chain(chain, of_ticket[-1].number)
        lineage = self._load_chain(chain, chain[-1].number)
        if self._node.scope != "run" or not self._done_in(lineage):
            return lineage
        spec = freeze.derive(lineage[0], self._request.ticket, generation.root, self._settings, self._store)
        self._say(f"{self._node.id} had finished and is asked for again: generation {spec.generation} begins here ({spec.run})")
        return [spec, *lineage]

    def _load_chain(self, chain: list[generations.Generation], upto: int) -> list[RunSpec]:
        wanted = [g.spec for g in chain if g.number <= upto]
        return [specs.load(self._settings.specs, digest) for digest in reversed(wanted)]

    def _done_in(self, lineage: list[RunSpec]) -> bool:
        return any(reads.successful_execution(self._store, s.pipeline, s.run, self._node.id) for s in lineage)

    def _clear_ground(self, found: list[ExecutionRow]) -> None:
        """Closes what a dead attempt left open and puts its half-written output aside; the lease says that it is dead."""
        repair.close_dead(
            self._store, found, "the process of an earlier attempt ended without a word (killed, out of memory or power lost)"
        )
        fault_points.reached("repair.dead_closed")
        folder = self._settings.artifacts / self._spec.pipeline / self._unit.name / self._node.id
        moved = repair.quarantine(folder, self._settings.quarantine, self._unit.name)
        if moved:
            self._say(f"put aside what an earlier attempt left half-written: {moved}")

    def _already(self, done: ExecutionRow) -> NodeResult:
        outputs = reads.outputs(self._store, done.id)
        refs = work.result_refs(outputs)
        made_for = {str(a.properties.get("run_spec")) for group in outputs.values() for a in group}
        if self._unit.shared and not made_for & {spec.digest for spec in self._lineage}:
            cached = reference.refer(self._store, self._spec.pipeline, self._spec.run, self._node.id, done.id)
            outcome = Outcome.CACHED
            message = f"made before for the same content: execution {done.id} of {self._unit.name}; noted in this run as execution {cached}"
        else:
            outcome = Outcome.COMPLETE
            message = f"an earlier attempt had finished it: execution {done.id} of {self._unit.name}"
        return self._judged(NodeResult(self._node.id, outcome, message, run=self._unit.name, execution=done.id, outputs=refs))

    def _promoted(self, result: NodeResult) -> NodeResult:
        """Says what a promoter's finished execution decided."""
        found = [a for group in reads.outputs(self._store, result.execution).values() for a in group if a.type == PROMOTION_TYPE]
        decided = {name: str(a.properties.get(name, "")) for a in found for name in ("outcome", "version", "says")}
        return dataclasses.replace(result, message=decided.get("says", result.message), extra={**result.extra, "promotion": decided})

    def _judged(self, result: NodeResult) -> NodeResult:
        """Turns a gate's finished execution into its verdict, and a promoter's into its decision."""
        if self._node.promotes and result.successful:
            return self._promoted(result)
        if not (self._node.gate and result.successful):
            return result
        verdict = verdict_of(self._store, result.execution)
        if verdict is None:
            return dataclasses.replace(result, outcome=Outcome.UNRESOLVED, message=f"gate {self._node.id} finished without a verdict")
        outcome = result.outcome if verdict.decision.opens else Outcome.BLOCKED
        message = verdict.summary() + self._way_out(verdict)
        return dataclasses.replace(result, outcome=outcome, message=message, extra={**result.extra, "verdict": verdict.decision.value})

    def _way_out(self, verdict: Verdict) -> str:
        """How to ask for a waiver of the first rule that blocks and can be waived; nothing where there is none."""
        rules = [r.name for r in verdict.rules if r.blocks and not why_never(r.name)]
        asking = f"waybill waive request {self._spec.pipeline} --interval {self._spec.interval.label} --gate {self._node.id} --rule"
        return f"\n  who knows why that is all right can ask for a waiver: {asking} {rules[0]} --why ... --until ..." if rules else ""
