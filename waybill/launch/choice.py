"""A Resolver node with one of our strategies -> an execution that records what was chosen, by which rule, and what was not.

TFX's own resolver strategies sort by creation, so that a backfill would be judged by a model from its future. Ours are asked for a
choice by interval, with the reasons, and both go into MLMD.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import execution_publish_utils
from tfx.orchestration.portable.input_resolution import node_inputs_resolver
from tfx.orchestration.portable.mlmd import context_lib
from tfx.proto.orchestration import pipeline_pb2
from tfx.utils import import_utils

from waybill.launch.compile import CompiledNode
from waybill.launch.errors import LaunchError
from waybill.records import fault_points
from waybill.store.connection import Store

BY_WAIVER = "waiver"  # property of the execution; see `Choice.waiver`


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a strategy chose.

    Attributes:
      artifacts: Chosen artifact ids by output key; an empty list where nothing qualifies.
      rule: The rule, as a sentence.
      chosen: What was chosen, as a sentence.
      rejected: The candidates that were not, each with the reason.
      waiver: Number of the waiver by which nothing was chosen; 0 where none plays a part.
    """

    artifacts: Mapping[str, Sequence[int]]
    rule: str
    chosen: str
    rejected: tuple[str, ...]
    waiver: int = 0


def run_resolver(compiled: CompiledNode, connection: Any, store: Store, stamps: Mapping[str, str | int]) -> tuple[int, Choice]:
    """Makes and records the choice of a Resolver node.

    Args:
      compiled: The node.
      connection: MLMD connection config.
      store: Where the strategy looks.
      stamps: What describes the run; recorded on the execution.

    Returns:
      The execution's id and the choice.
    """
    choice = _strategy(compiled.node).choose(store)
    with metadata.Metadata(connection) as handle:
        contexts = context_lib.prepare_contexts(metadata_handle=handle, node_contexts=compiled.node.contexts)
        chosen = {
            key: node_inputs_resolver._resolve_static_inputs(handle, pipeline_pb2.InputSpec.Static(artifact_ids=ids))
            for key, ids in choice.artifacts.items()
        }
        execution = execution_publish_utils.register_execution(
            metadata_handle=handle,
            execution_type=compiled.node.node_info.type,
            contexts=contexts,
            exec_properties={
                "rule": choice.rule,
                "chosen": choice.chosen,
                "rejected": json.dumps(choice.rejected),
                BY_WAIVER: choice.waiver,
                **stamps,
            },
        )
        fault_points.reached("launch.registered")
        execution_publish_utils.publish_internal_execution(
            metadata_handle=handle, contexts=contexts, execution_id=execution.id, output_artifacts=chosen
        )
        fault_points.reached("launch.published")
    return execution.id, choice


def _strategy(node: pipeline_pb2.PipelineNode) -> Any:
    """The strategy object that the IR names.

    Raises:
      LaunchError: if it is not one that chooses with reasons.
    """
    for graph in node.inputs.input_graphs.values():
        for step in graph.nodes.values():
            if step.WhichOneof("kind") != "op_node":
                continue
            cls = _class(step.op_node.op_type)
            if cls is not None and hasattr(cls, "choose"):
                return cls(**{name: data_types_utils.get_value(operand.value) for name, operand in step.op_node.kwargs.items()})
    raise LaunchError(
        f"node {node.node_info.id} is a Resolver whose strategy does not choose by interval; TFX's own strategies resolve 'latest', "
        "which Waybill does not allow. Use components.baseline"
    )


def _class(path: str) -> Any:
    return import_utils.import_class_by_path(path) if "." in path else None
