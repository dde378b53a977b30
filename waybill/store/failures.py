"""A node that could not be launched -> a FAILED execution in MLMD that says why."""

from __future__ import annotations

from typing import Any


def record_failure(connection: Any, node: Any, cause_property: str, cause: str, attempt: int) -> int:
    """Registers a failed execution without inputs.

    Args:
      connection: MLMD connection config.
      node: The node's IR, for its type and contexts.
      cause_property: Name of the custom property that holds the cause.
      cause: Why it could not be launched.
      attempt: Number of the attempt.

    Returns:
      The execution's id.
    """
    from ml_metadata.proto import metadata_store_pb2
    from tfx.orchestration import metadata
    from tfx.orchestration.portable import execution_publish_utils
    from tfx.orchestration.portable.mlmd import context_lib, execution_lib

    with metadata.Metadata(connection) as handle:
        contexts = context_lib.prepare_contexts(metadata_handle=handle, node_contexts=node.contexts)
        execution = execution_publish_utils.register_execution(
            metadata_handle=handle,
            execution_type=node.node_info.type,
            contexts=contexts,
            last_known_state=metadata_store_pb2.Execution.FAILED,
        )
        execution.custom_properties[cause_property].string_value = cause
        execution.custom_properties["attempt"].int_value = attempt
        execution_lib.put_execution(handle, execution, contexts)
        return int(execution.id)
