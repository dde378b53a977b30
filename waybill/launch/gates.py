"""The gates before a node -> a refusal, unless each has a PASS on record that its own rules still give, and the spans they left out.

A task's colour is nobody's evidence: marking a gate as success in the UI changes nothing here.
"""

from __future__ import annotations

import pathlib

from waybill.launch.errors import GateClosed, InputsUnresolved
from waybill.launch.inputs import InputResolver, check_bytes
from waybill.records import verdict_file
from waybill.records.errors import VerdictFileError
from waybill.records.graph import Graph
from waybill.records.run_spec import RunSpec
from waybill.records.verdict import Decision, Verdict
from waybill.store import reads
from waybill.store.connection import Store

VERDICT_TYPE = "WaybillVerdict"
PROMOTION_TYPE = "WaybillPromotion"  # what a promoter leaves: whether a release is served, and why or why not


def check_before(node_id: str, graph: Graph, resolver: InputResolver, store: Store) -> None:
    """Checks every gate on the way to a node.

    Raises:
      GateClosed: if one has not been run, says BLOCKED, or has a verdict that its rules do not support.
    """
    for gate in graph.gates_before(node_id):
        try:
            [(unit, execution)] = resolver.executions_of(gate)
        except InputsUnresolved as error:
            raise GateClosed(f"{node_id} needs a PASS of {gate}, which has not been run: {error}") from error
        verdict = verdict_of(store, execution.id)
        if verdict is None or verdict.decision is not Decision.PASS:
            found = verdict.summary() if verdict else "no verdict"
            raise GateClosed(
                f"{node_id} needs a PASS of {gate}; on record in {unit} (a task marked as success does not change it): {found}"
            )


def left_out_before(node_id: str, graph: Graph, resolver: InputResolver, store: Store, spec: RunSpec) -> frozenset[int]:
    """The spans of a run's window that a node must do without, because a gate on the way to it left them out.

    Raises:
      GateClosed: if a gate left out a span that is not an earlier one of the window.
      InputsUnresolved: if a gate has not been run.
    """
    left_out: set[int] = set()
    for gate in graph.gates_before(node_id):
        [(_, execution)] = resolver.executions_of(gate)
        verdict = verdict_of(store, execution.id)
        left_out.update(verdict.left_out if verdict else ())
    if stray := left_out - {partition.interval.span for partition in spec.window[:-1]}:
        raise GateClosed(
            f"a gate before {node_id} left out {sorted(stray)}; expected spans of the window of {spec.run} before the interval's own, "
            "which is never left out"
        )
    return frozenset(left_out)


def verdict_of(store: Store, execution_id: int) -> Verdict | None:
    """The verdict that an execution wrote, judged again from its rules; None when it wrote none.

    Raises:
      GateClosed: if the verdict's bytes are not those that were stamped, or its decision is not what its rules give.
    """
    found = [a for group in reads.outputs(store, execution_id).values() for a in group if a.type == VERDICT_TYPE]
    if not found:
        return None
    [artifact] = found
    try:
        check_bytes(artifact)
        verdict = verdict_file.read(pathlib.Path(artifact.uri), str(artifact.properties.get("gate")))
    except (InputsUnresolved, VerdictFileError) as error:
        raise GateClosed(f"the verdict of execution {execution_id} cannot be trusted: {error}") from error
    if artifact.properties.get("decision") != verdict.decision.value:
        raise GateClosed(
            f"MLMD has {artifact.properties.get('decision')!r} as the decision of execution {execution_id}, its verdict says "
            f"{verdict.decision.value}"
        )
    return verdict
