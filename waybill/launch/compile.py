"""A pipeline function, a run spec and a unit -> the TFX IR of one node with concrete values.

The same spec and code give the same IR, so it is compiled where it is needed instead of being kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import pipeline as pipeline_lib
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

from waybill.records.errors import RecordError
from waybill.records.places import Places
from waybill.records.run_spec import Partition, RunSpec

CreatePipeline = Callable[..., pipeline_lib.Pipeline]


@dataclasses.dataclass(frozen=True)
class CompiledNode:
    """One node of a compiled pipeline, ready to be launched.

    Attributes:
      node: Its IR.
      info: The pipeline's info.
      runtime: The pipeline's runtime spec, with the unit as run id.
      executor: Its executor spec; None for a Resolver.
    """

    node: pipeline_pb2.PipelineNode
    info: pipeline_pb2.PipelineInfo
    runtime: pipeline_pb2.PipelineRuntimeSpec
    executor: Any


def compile_pipeline(create: CreatePipeline, spec: RunSpec, partition: Partition, places: Places, unit: str) -> pipeline_pb2.Pipeline:
    """The IR of the whole pipeline, for one span of the window and one unit of work."""
    ir = compiler.Compiler().compile(create(spec, partition=partition, places=places))
    runtime_parameter_utils.substitute_runtime_parameter(ir, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: unit})
    return ir


def node_of(ir: pipeline_pb2.Pipeline, node_id: str) -> CompiledNode:
    """One node of a compiled pipeline.

    Raises:
      RecordError: if the pipeline has no such node.
    """
    found = [n.pipeline_node for n in ir.nodes if n.pipeline_node.node_info.id == node_id]
    if not found:
        known = ", ".join(n.pipeline_node.node_info.id for n in ir.nodes)
        raise RecordError(f"create_pipeline of {ir.pipeline_info.id} makes no node {node_id!r}; it makes {known}. Run `make graph`")
    deployment = runner_utils.extract_local_deployment_config(ir)
    executor = runner_utils.extract_executor_spec(deployment, node_id)
    return CompiledNode(found[0], ir.pipeline_info, ir.runtime_spec, executor)
