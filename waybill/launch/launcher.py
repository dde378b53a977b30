"""TFX's portable Launcher, made to keep its word: stamped outputs, recorded causes, one execution per attempt that counts.

TFX's own look-ups are not used: inputs come pinned, and the earlier execution to continue is handed in. That is also what keeps a
launch as quick after years of history as on the first day.
"""

from __future__ import annotations

import functools
import pathlib
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata
from tfx.orchestration.portable import execution_publish_utils, launcher
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration import execution_result_pb2

from waybill.launch import replaced
from waybill.launch.compile import CompiledNode
from waybill.launch.repair import CAUSE
from waybill.records import digest, fault_points

_MAX_CAUSE = 8000
# Of TFX's launcher, the private methods that ours override, as far as their source goes back to the version they were written for.
_SEAMS = {
    "_register_or_reuse_execution": "da0a5dce6660e972",
    "_publish_successful_execution": "001725ac250a6c6c",
    "_publish_failed_execution": "caa03ed340390a33",
}
_TFX_RESULT = "__execution_result__"


@functools.lru_cache(maxsize=1)
def check_seams() -> None:
    """Checks that TFX's launcher is the one that `NodeLauncher` was written for.

    Raises:
      UnknownSource: if a method that it overrides is another one.
    """
    for name, source in _SEAMS.items():
        replaced.check(launcher.Launcher, name, source)


class NodeLauncher(launcher.Launcher):
    """Launches one compiled node whose inputs are pinned.

    Args:
      compiled: The node.
      connection: MLMD connection config.
      stamps: Custom properties for every output artifact; the digest is added to them.
      earlier: Id of the unfinished execution to continue, or None to register a new one.
      attempt: Number of the attempt, recorded on the execution.

    Attributes:
      executor_seconds: Wall time of the executor, once it has run.
    """

    def __init__(self, compiled: CompiledNode, connection: Any, stamps: Mapping[str, str | int], earlier: int | None, attempt: int):
        super().__init__(
            pipeline_node=compiled.node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=compiled.info,
            pipeline_runtime_spec=compiled.runtime,
            executor_spec=compiled.executor,
        )
        self._stamps = stamps
        self._earlier = earlier
        self._attempt = attempt
        self.executor_seconds = 0.0

    def _run_executor(self, execution_info):  # type: ignore[no-untyped-def]
        """Tells the executor, by its output artifacts, which run it works for, and notes how much of the launch was its own work."""
        for artifacts in execution_info.output_dict.values():
            for artifact in artifacts:
                _note(artifact.mlmd_artifact, self._stamps)
        fault_points.reached("launch.prepared")
        started = time.monotonic()
        try:
            output = super()._run_executor(execution_info)
        finally:
            self.executor_seconds = time.monotonic() - started
        fault_points.reached("launch.executed")
        return output

    def _register_or_reuse_execution(self, metadata_handle, contexts, input_artifacts=None, exec_properties=None):  # type: ignore[no-untyped-def]
        """Continues the earlier execution, wiped of its old error, or registers a new one."""
        if self._earlier is None:
            execution = launcher._register_execution(
                metadata_handle, self._pipeline_node.node_info.type, contexts, input_artifacts, exec_properties
            )
        else:
            [execution] = metadata_handle.store.get_executions_by_id([self._earlier])
            execution.last_known_state = metadata_store_pb2.Execution.RUNNING
            for name in (CAUSE, _TFX_RESULT):
                execution.custom_properties.pop(name, None)
        execution.custom_properties["attempt"].int_value = self._attempt
        put = execution_lib.put_execution(metadata_handle, execution, contexts)
        fault_points.reached("launch.registered")
        return put

    def _publish_successful_execution(self, execution_id, contexts, output_dict, executor_output):  # type: ignore[no-untyped-def]
        """Stamps every output with the digest of its bytes, then publishes."""
        published: Mapping[str, Any] = executor_output.output_artifacts if executor_output else {}
        for key, artifacts in output_dict.items():
            for artifact in artifacts:
                self._stamp(artifact.mlmd_artifact, artifact.uri)
            for proto in published[key].artifacts if key in published else ():
                self._stamp(proto, proto.uri)
        fault_points.reached("launch.stamped")
        super()._publish_successful_execution(execution_id, contexts, output_dict, executor_output)
        fault_points.reached("launch.published")

    def _publish_failed_execution(self, execution_id, contexts, executor_output=None):  # type: ignore[no-untyped-def]
        """Publishes the failure with its cause, which TFX leaves out for an executor that raised."""
        error = sys.exc_info()[1]
        cause = f"{type(error).__name__}: {error}" if error else "the executor reported a failure"
        if executor_output is None:
            text = traceback.format_exc()[-_MAX_CAUSE:]
            executor_output = execution_result_pb2.ExecutorOutput(
                execution_result=execution_result_pb2.ExecutionResult(code=1, result_message=text)
            )
        with self._mlmd_connection as handle:
            [execution] = handle.store.get_executions_by_id([execution_id])
            execution.last_known_state = metadata_store_pb2.Execution.FAILED
            execution.custom_properties[CAUSE].string_value = cause[:_MAX_CAUSE]
            execution_publish_utils.set_execution_result_if_not_empty(executor_output, execution)
            execution_lib.put_execution(handle, execution, contexts)

    def _stamp(self, proto: Any, uri: str) -> None:
        _note(proto, {**self._stamps, "digest": digest.of_tree(pathlib.Path(uri))})


def _note(proto: Any, stamps: Mapping[str, str | int]) -> None:
    for name, value in stamps.items():
        if isinstance(value, int):
            proto.custom_properties[name].int_value = value
        else:
            proto.custom_properties[name].string_value = value


def reusable(earlier: Sequence[tuple[int, Mapping[str, Sequence[int]]]], wanted: Mapping[str, Sequence[int]]) -> int | None:
    """The newest unfinished execution whose recorded inputs are exactly the wanted ones; its chain would otherwise be broken.

    Args:
      earlier: (execution id, input artifact ids by key) of the unfinished executions, oldest first.
      wanted: Input artifact ids by key, of the launch to come.
    """
    plain = {key: list(ids) for key, ids in wanted.items() if ids}
    for execution_id, recorded in reversed(earlier):
        if {key: list(ids) for key, ids in recorded.items()} == plain:
            return execution_id
    return None
