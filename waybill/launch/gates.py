"""The gates before a node -> a refusal, unless each has a PASS on record that its own rules still give, or waivers that still hold.

And the spans that they left out.

A task's colour is nobody's evidence: marking a gate as success in the UI changes nothing here. Nor is a verdict's word that a rule was
waived: each waiver is looked up in its journal again.
"""

from __future__ import annotations

import pathlib

from waybill.launch.errors import GateClosed, InputsUnresolved
from waybill.launch.inputs import InputResolver, check_bytes
from waybill.records import verdict_file, waiving
from waybill.records.errors import VerdictFileError
from waybill.records.graph import Graph
from waybill.records.interval import Interval
from waybill.records.run_spec import RunSpec
from waybill.records.verdict import MODEL_DIGEST, Verdict
from waybill.store import generations, reads, waivers
from waybill.store.connection import Store
from waybill.store.reads import ArtifactRow

VERDICT_TYPE = "WaybillVerdict"
PROMOTION_TYPE = "WaybillPromotion"  # what a promoter leaves: whether a release is served, and why or why not


def check_before(node_id: str, graph: Graph, resolver: InputResolver, store: Store) -> None:
    """Checks every gate on the way to a node.

    Raises:
      GateClosed: if one has not been run, says BLOCKED, or has a verdict that its rules or the waivers on record do not support; or if
        they are about different models.
    """
    judged: dict[str, str] = {}
    for gate in graph.gates_before(node_id):
        try:
            [(unit, execution)] = resolver.executions_of(gate)
        except InputsUnresolved as error:
            raise GateClosed(f"{node_id} needs a PASS of {gate}, which has not been run: {error}") from error
        verdict = verdict_of(store, execution.id)
        if verdict is None or not verdict.decision.opens:
            found = verdict.summary() if verdict else "no verdict"
            raise GateClosed(
                f"{node_id} needs a PASS of {gate}; on record in {unit} (a task marked as success does not change it): {found}"
            )
        if reasons := groundless(verdict, graph, resolver.interval, store):
            told = f"{verdict.decision.value}, but: {'; '.join(reasons)}"
            raise GateClosed(f"{node_id} needs a PASS of {gate}; on record in {unit} is {told}. Clear {gate}")
        judged |= {rule.found: gate for rule in verdict.rules if rule.name == MODEL_DIGEST}
    if len(judged) > 1:
        told = ", ".join(f"{gate} {digest[:19]}" for digest, gate in judged.items())
        raise GateClosed(f"{node_id} needs gates that judged one model; on record they judged several: {told}. Clear all of them")


def groundless(verdict: Verdict, graph: Graph, interval: Interval, store: Store) -> list[str]:
    """Why the waivers that a verdict names do not hold; empty when they do, or it names none.

    Args:
      verdict: A gate's verdict.
      graph: The pipeline's graph, with its policy on waivers.
      interval: Interval of the run that relies on it.
      store: Where the waivers are.
    """
    if not verdict.on_waivers():
        return []
    return waiving.unsupported(verdict, interval.start, waivers.read(store, graph.settings.name).waivers, graph.settings.waivers)


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
    artifact = _verdict_artifact(store, execution_id)
    return _read(artifact, execution_id) if artifact else None


def latest_verdict(store: Store, graph: Graph, interval: Interval, gate: str) -> tuple[Verdict, int] | None:
    """The verdict of a gate in the newest generation of an interval that has one, and the MLMD id of its artifact.

    Raises:
      GateClosed: if it cannot be trusted; see `verdict_of`.
    """
    pipeline = graph.settings.name
    for generation in reversed(generations.all_of(store, pipeline, interval.span)):
        execution = reads.successful_execution(store, pipeline, f"{pipeline}.{interval.span}.g{generation.number}", gate)
        artifact = _verdict_artifact(store, execution.id) if execution else None
        if execution and artifact:
            return _read(artifact, execution.id), artifact.id
    return None


def _verdict_artifact(store: Store, execution_id: int) -> ArtifactRow | None:
    found = [a for group in reads.outputs(store, execution_id).values() for a in group if a.type == VERDICT_TYPE]
    return found[0] if found else None


def _read(artifact: ArtifactRow, execution_id: int) -> Verdict:
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
