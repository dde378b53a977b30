"""A node's input channels and a run spec -> the exact artifacts it is given.

Nothing is looked up by recency. A channel names a node and an output; the run spec names the units in which that node's work for this
run is to be found. What is found is checked against its stamp before it is used.
"""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from waybill.launch import units
from waybill.launch.errors import InputsUnresolved
from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.records.graph import Graph
from waybill.records.interval import Interval
from waybill.records.run_spec import RunSpec
from waybill.store import reads
from waybill.store.connection import Store
from waybill.store.reads import ArtifactRow, ExecutionRow


class InputResolver:
    """Finds artifacts for the nodes of one run.

    Args:
      store: The MLMD database.
      graph: The pipeline's graph, which says where each node's work belongs.
      lineage: The run's spec, then the specs it was derived from, newest first.
      span_unit: Unit of the span that the asking node works on; empty for a node that is given all spans of the window.
      left_out: Numbers of the spans of the window that it is not given; see `gates.left_out_before`.
    """

    def __init__(
        self, store: Store, graph: Graph, lineage: Sequence[RunSpec], span_unit: str = "", left_out: Collection[int] = frozenset()
    ):
        self._store = store
        self._graph = graph
        self._lineage = lineage
        self._span_unit = span_unit
        self._left_out = left_out

    @property
    def interval(self) -> Interval:
        """The run's own interval."""
        return self._lineage[0].interval

    def executions_of(self, node_id: str) -> list[tuple[str, ExecutionRow]]:
        """The successful executions of a node that the asking node builds on, with their units.

        There is one for each span of the window that is not left out, where the node works on spans and the asking one on the window; else
        there is one.

        Raises:
          InputsUnresolved: if one of them is missing.
        """
        node = self._graph.node(node_id)
        spec = self._lineage[0]
        if node.scope == "span" and self._span_unit:
            wanted = [[self._span_unit]]
        elif node.scope == "span":
            kept = [index for index, partition in enumerate(spec.window) if partition.interval.span not in self._left_out]
            wanted = [[units.of_span(spec, index).name] for index in kept]
        else:
            wanted = [list(dict.fromkeys(units.of(s, node, None).name for s in self._lineage))]
        return [self._first(node_id, candidates) for candidates in wanted]

    def of_run(self, node_id: str) -> bool:
        """Whether a node's work belongs to the run, and not to a span or schema that runs share."""
        return self._graph.node(node_id).scope == "run"

    def resolve(self, channels: Mapping[str, Iterable[tuple[str, str]]], optional: frozenset[str]) -> dict[str, list[ArtifactRow]]:
        """The artifacts for each input key.

        Args:
          channels: For each input key, the (node id, output key) pairs it reads.
          optional: Keys that may stay empty.

        Raises:
          InputsUnresolved: if an artifact is missing, or is no longer what it was stamped as.
        """
        resolved: dict[str, list[ArtifactRow]] = {}
        for key, sources in channels.items():
            found = [a for node_id, output in sources for a in self._outputs(node_id, output)]
            if not found and key not in optional:
                named = ", ".join(f"{node_id}.{output}" for node_id, output in sources)
                raise InputsUnresolved(f"input {key!r} is empty: {named} produced nothing for run {self._lineage[0].run}")
            resolved[key] = found
        for artifact in {a.id: a for group in resolved.values() for a in group}.values():
            check_bytes(artifact)
        return resolved

    def _outputs(self, node_id: str, output: str) -> list[ArtifactRow]:
        return [a for _, execution in self.executions_of(node_id) for a in reads.outputs(self._store, execution.id).get(output, [])]

    def _first(self, node_id: str, candidates: Sequence[str]) -> tuple[str, ExecutionRow]:
        for unit in candidates:
            execution = reads.successful_execution(self._store, self._graph.settings.name, unit, node_id)
            if execution is not None:
                return unit, execution
        raise InputsUnresolved(
            f"{node_id} has no finished execution in {' or '.join(candidates)}; run it first (in Airflow: clear {node_id}), "
            "or trigger a new run of the interval"
        )


def check_bytes(artifact: ArtifactRow) -> None:
    """Checks that an artifact's folder still holds what was stamped.

    Raises:
      InputsUnresolved: if it is gone, changed, or was never stamped.
    """
    path = pathlib.Path(artifact.uri)
    if not artifact.digest:
        raise InputsUnresolved(
            f"artifact {artifact.id} ({artifact.type}, {artifact.uri}) carries no digest; it was not made by Waybill's launcher"
        )
    if not path.exists():
        raise InputsUnresolved(
            f"artifact {artifact.id} ({artifact.type}) is gone from {artifact.uri}; clear the run from the node that made it"
        )
    try:
        found = digest.of_tree(path)
    except (RecordError, OSError) as error:
        raise InputsUnresolved(f"artifact {artifact.id} ({artifact.type}) cannot be read: {error}") from error
    if found != artifact.digest:
        raise InputsUnresolved(
            f"artifact {artifact.id} ({artifact.type}, {artifact.uri}) has changed since it was made: stamped {artifact.digest[:19]}, "
            f"found {found[:19]}. Put its bytes back, or clear the run from the node that made it"
        )


def channels_of(node: Any) -> tuple[dict[str, list[tuple[str, str]]], frozenset[str]]:
    """Reads a node's IR: what each visible input key is fed from, and which keys may stay empty."""
    channels: dict[str, list[tuple[str, str]]] = {}
    optional = set()
    for key, spec in node.inputs.inputs.items():
        if spec.hidden:
            continue
        channels[key] = [(c.producer_node_query.id, c.output_key) for c in spec.channels]
        if spec.min_count == 0:
            optional.add(key)
    return channels, frozenset(optional)


def pin(node: Any, resolved: Mapping[str, Sequence[ArtifactRow]]) -> None:
    """Replaces a node's input queries by artifact ids, so that TFX has nothing left to search for."""
    for key in list(node.inputs.inputs):
        artifacts = resolved.get(key, [])
        if not artifacts:
            del node.inputs.inputs[key]
            continue
        spec = node.inputs.inputs[key]
        spec.ClearField("channels")
        spec.static_inputs.artifact_ids.extend(a.id for a in artifacts)
    node.inputs.input_graphs.clear()
