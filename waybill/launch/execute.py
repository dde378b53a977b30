"""One decided attempt -> the node executed through TFX and a result read back from MLMD. The half that imports TFX."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import sys
import time
import traceback
from typing import Any

from waybill.launch import beam, specs, work
from waybill.launch.choice import run_resolver
from waybill.launch.compile import CompiledNode, CreatePipeline, compile_pipeline, node_of
from waybill.launch.errors import ChainBroken, GateClosed, InputsUnresolved
from waybill.launch.gates import left_out_before
from waybill.launch.graph import RESOLVER
from waybill.launch.inputs import InputResolver, channels_of, pin
from waybill.launch.installation import Installation, entered
from waybill.launch.launcher import NodeLauncher, check_seams, reusable
from waybill.launch.partitions import CorruptPartition
from waybill.launch.process import compute_with, no_words_to_developers
from waybill.launch.reference import take_over
from waybill.launch.repair import CAUSE
from waybill.launch.work import Work
from waybill.records import fault_points
from waybill.records.errors import Refusal
from waybill.records.graph import Graph
from waybill.records.node import EXECUTOR_SECONDS, NodeResult, Outcome
from waybill.records.settings import PROJECT, Settings
from waybill.store import reads
from waybill.store.connection import Store
from waybill.store.failures import record_failure
from waybill.store.reads import ArtifactRow

_OUTCOMES: tuple[tuple[type[Exception], Outcome], ...] = (
    (InputsUnresolved, Outcome.UNRESOLVED),
    (CorruptPartition, Outcome.CORRUPT),
    (Refusal, Outcome.REFUSED),
    (GateClosed, Outcome.REFUSED),
)


def execute(todo: Work, create: CreatePipeline, graph: Graph, settings: Settings) -> NodeResult:
    """Executes one attempt; an exception of the executor becomes a result, never a traceback alone."""
    started = time.monotonic()
    fault_points.work_on(todo.node)
    sys.argv = sys.argv[:1]  # executors append the process's arguments to Beam's
    adapt_libraries()
    compute_with(settings.node_threads)
    store = Store(settings.store_url)
    try:
        result = _Execution(todo, create, graph, settings, store).run()
    except Exception as error:  # noqa: BLE001 - the boundary to executors, which may raise anything
        traceback.print_exc()
        outcome = next((o for kind, o in _OUTCOMES if isinstance(error, kind)), Outcome.FAILED)
        result = NodeResult(todo.node, outcome, f"{type(error).__name__}: {error}", run=todo.unit.name)
    return NodeResult(**{**vars(result), "seconds": round(time.monotonic() - started, 3)})


def adapt_libraries() -> None:
    """Puts our functions in the place of third parties'; a process that is going to be forked does it for its children.

    Raises:
      UnknownSource: if a library is of another version than the locked one.
    """
    no_words_to_developers()
    beam.build_quickly()
    check_seams()


class _Execution:
    """The steps of one attempt, in order."""

    def __init__(self, todo: Work, create: CreatePipeline, graph: Graph, settings: Settings, store: Store):
        self._todo = todo
        self._graph = graph
        self._store = store
        self._settings = settings
        self._lineage = [specs.load(settings.specs, digest) for digest in todo.lineage]
        self._spec = self._lineage[0]
        self._connection = store.mlmd_config()
        places = todo.unit.places(settings, self._spec.pipeline, PROJECT / graph.settings.schema)
        self._scratch = pathlib.Path(places.scratch) / todo.node
        ir = compile_pipeline(create, self._spec, todo.unit.partition, places, todo.unit.name)
        self._compiled: CompiledNode = node_of(ir, todo.node)

    def run(self) -> NodeResult:
        """Runs the node with the installation at hand."""
        with entered(Installation(self._store, self._settings, tuple(self._lineage), self._graph)):
            fault_points.reached("execute.begun")
            result = self._run()
            fault_points.reached("execute.finished")
            return result

    def _run(self) -> NodeResult:
        """Resolves, launches, and reads the result back."""
        stamps = work.stamps(self._spec, self._todo.unit)
        if self._compiled.node.node_info.type.name == RESOLVER:
            execution_id, choice = run_resolver(self._compiled, self._connection, self._store, stamps)
            return self._result(execution_id, f"{choice.chosen}; rule: {choice.rule}")
        resolved = self._resolve()
        fault_points.reached("execute.resolved")
        pin(self._compiled.node, resolved)
        earlier = reusable(self._earlier(), {key: [a.id for a in found] for key, found in resolved.items()})
        launcher = NodeLauncher(self._compiled, self._connection, stamps, earlier, self._todo.attempt)
        launcher.launch()
        result = self._result(self._finished(resolved), "done")
        shutil.rmtree(self._scratch, ignore_errors=True)  # nobody has to go on from there any more
        return dataclasses.replace(result, extra={EXECUTOR_SECONDS: round(launcher.executor_seconds, 3)})

    def _resolve(self) -> dict[str, list[ArtifactRow]]:
        """Resolves the inputs first, so that a failure leaves an execution that says why, and no chain with holes."""
        mapped = self._graph.node(self._todo.node).scope == "span"
        resolver = InputResolver(self._store, self._graph, self._lineage, self._todo.unit.name if mapped else "")
        channels, optional = channels_of(self._compiled.node)
        try:
            if left_out := left_out_before(self._todo.node, self._graph, resolver, self._store, self._spec):
                resolver = InputResolver(self._store, self._graph, self._lineage, left_out=left_out)
            resolved = resolver.resolve(channels, optional)
        except (InputsUnresolved, GateClosed) as error:
            record_failure(self._connection, self._compiled.node, CAUSE, str(error), self._todo.attempt)
            raise
        take_over(self._store, self._spec.pipeline, resolver, channels, self._todo.unit, self._settings)
        return resolved

    def _earlier(self) -> list[tuple[int, dict[str, list[int]]]]:
        found = reads.executions(self._store, self._spec.pipeline, self._todo.unit.name, self._todo.node)
        unfinished = [e.id for e in found if not e.successful]
        return [(i, {key: [a.id for a in group] for key, group in reads.inputs(self._store, i).items()}) for i in unfinished]

    def _finished(self, resolved: dict[str, list[ArtifactRow]]) -> int:
        """The execution that this launch finished.

        Raises:
          ChainBroken: if there is none, or MLMD does not show the inputs it was given.
        """
        done = reads.successful_execution(self._store, self._spec.pipeline, self._todo.unit.name, self._todo.node)
        if done is None:
            raise ChainBroken(f"{self._todo.node} returned, but MLMD has no finished execution of it in {self._todo.unit.name}")
        recorded = {key: [a.id for a in group] for key, group in reads.inputs(self._store, done.id).items()}
        given = {key: [a.id for a in group] for key, group in resolved.items() if group}
        if recorded != given:
            raise ChainBroken(f"execution {done.id} of {self._todo.node} records inputs {recorded}; it was given {given}")
        return done.id

    def _result(self, execution_id: int, message: str) -> NodeResult:
        outputs: dict[str, Any] = work.result_refs(reads.outputs(self._store, execution_id))
        return NodeResult(self._todo.node, Outcome.COMPLETE, message, run=self._todo.unit.name, execution=execution_id, outputs=outputs)
