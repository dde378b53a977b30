"""Work of an earlier generation -> CACHED executions in this one, so that each generation shows its whole chain.

The artifact keeps its one producer: the execution that is not CACHED.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from waybill.launch.compile import CompiledNode
from waybill.launch.inputs import InputResolver
from waybill.launch.lease import lease
from waybill.launch.units import Unit
from waybill.records.settings import Settings
from waybill.store.reads import node_context

FROM = "taken_over_from"


def take_over(
    connection: Any,
    compiled: CompiledNode,
    resolver: InputResolver,
    channels: Mapping[str, Iterable[tuple[str, str]]],
    unit: Unit,
    settings: Settings,
) -> None:
    """Pulls a node's direct upstream work of earlier generations into its own run, once.

    Args:
      connection: MLMD connection config.
      compiled: The node about to be launched.
      resolver: Finds what the run builds on.
      channels: As `inputs.channels_of`.
      unit: The node's unit; nothing is taken into a shared one.
      settings: Where the leases are.
    """
    if unit.shared:
        return
    for upstream in sorted({node_id for sources in channels.values() for node_id, _ in sources}):
        for found_in, execution in resolver.executions_of(upstream):
            if found_in != unit.name and resolver.of_run(upstream):
                with lease(settings.leases, unit.name, upstream, print):
                    # Whoever held the lease before us may have done it already.
                    if all(where != unit.name for where, _ in resolver.executions_of(upstream)):
                        _reference(connection, compiled, upstream, execution.id, unit)


def _reference(connection: Any, compiled: CompiledNode, upstream: str, original_id: int, unit: Unit) -> None:
    """Registers a CACHED execution with the original's type, properties and events, in the unit's contexts."""
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    mlmd = metadata_store.MetadataStore(connection)
    [original] = mlmd.get_executions_by_id([original_id])
    copy = metadata_store_pb2.Execution(type_id=original.type_id, last_known_state=metadata_store_pb2.Execution.CACHED)
    for name, value in original.properties.items():
        copy.properties[name].CopyFrom(value)
    for name, value in original.custom_properties.items():
        copy.custom_properties[name].CopyFrom(value)
    copy.custom_properties[FROM].int_value = original_id
    events = mlmd.get_events_by_execution_ids([original_id])
    artifacts = {a.id: a for a in mlmd.get_artifacts_by_id([e.artifact_id for e in events])}
    pairs = []
    for old in events:
        event = metadata_store_pb2.Event(type=old.type, path=old.path)
        pairs.append((artifacts[old.artifact_id], event))
    mlmd.put_execution(copy, pairs, _contexts(mlmd, compiled, upstream, unit), reuse_context_if_already_exist=True)


def _contexts(mlmd: Any, compiled: CompiledNode, upstream: str, unit: Unit) -> list[Any]:
    from ml_metadata.proto import metadata_store_pb2

    pipeline = compiled.info.id
    names = {"pipeline": pipeline, "pipeline_run": unit.name, "node": node_context(pipeline, upstream)}
    return [metadata_store_pb2.Context(type_id=mlmd.get_context_type(kind).id, name=name) for kind, name in names.items()]
