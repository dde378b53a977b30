"""Work that was done before -> a CACHED execution in the run that uses it, so that each run shows its whole chain.

The artifact keeps its one producer: the execution that is not CACHED.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from waybill.launch.inputs import InputResolver
from waybill.launch.lease import lease
from waybill.launch.units import Unit
from waybill.records.settings import Settings
from waybill.store import reads
from waybill.store.connection import Store

FROM = "taken_over_from"


def take_over(
    store: Store, pipeline: str, resolver: InputResolver, channels: Mapping[str, Iterable[tuple[str, str]]], unit: Unit, settings: Settings
) -> None:
    """Pulls a node's direct upstream work of earlier generations into its own run, once.

    Args:
      store: The MLMD database.
      pipeline: Name of the pipeline.
      resolver: Finds what the run builds on.
      channels: As `inputs.channels_of`.
      unit: The node's unit; nothing is taken into a shared one.
      settings: Where the leases are.
    """
    if unit.shared:
        return
    for upstream in sorted({node_id for sources in channels.values() for node_id, _ in sources}):
        if not resolver.of_run(upstream):
            continue
        for found_in, execution in resolver.executions_of(upstream):
            if found_in != unit.name:
                with lease(settings.leases, unit.name, upstream, print):
                    refer(store, pipeline, unit.name, upstream, execution.id)


def refer(store: Store, pipeline: str, run: str, node: str, original_id: int) -> int:
    """Registers a CACHED execution of a node in a run, with the original's type, properties and events; once, however often it is asked.

    Args:
      store: The MLMD database.
      pipeline: Name of the pipeline.
      run: The run that uses the work.
      node: The node that did it.
      original_id: The execution that did it.

    Returns:
      The CACHED execution's id.
    """
    for known in reads.executions(store, pipeline, run, node):
        if known.properties.get(FROM) == original_id:
            return known.id
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2

    mlmd = metadata_store.MetadataStore(store.mlmd_config())
    [original] = mlmd.get_executions_by_id([original_id])
    copy = metadata_store_pb2.Execution(type_id=original.type_id, last_known_state=metadata_store_pb2.Execution.CACHED)
    for name, value in original.properties.items():
        copy.properties[name].CopyFrom(value)
    for name, value in original.custom_properties.items():
        copy.custom_properties[name].CopyFrom(value)
    copy.custom_properties[FROM].int_value = original_id
    events = mlmd.get_events_by_execution_ids([original_id])
    artifacts = {a.id: a for a in mlmd.get_artifacts_by_id([e.artifact_id for e in events])}
    pairs = [(artifacts[old.artifact_id], metadata_store_pb2.Event(type=old.type, path=old.path)) for old in events]
    names = {"pipeline": pipeline, "pipeline_run": run, "node": reads.node_context(pipeline, node)}
    contexts = [metadata_store_pb2.Context(type_id=mlmd.get_context_type(kind).id, name=name) for kind, name in names.items()]
    execution_id, _, _ = mlmd.put_execution(copy, pairs, contexts, reuse_context_if_already_exist=True)
    return int(execution_id)
