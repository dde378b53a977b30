"""A compiled pipeline and its settings -> the graph that Airflow's side draws its DAG from."""

from __future__ import annotations

from typing import Any

from waybill.launch.gates import PROMOTION_TYPE, VERDICT_TYPE
from waybill.records.errors import RecordError
from waybill.records.graph import Graph, Node, PipelineSettings
from waybill.records.node import RUN_SPEC

RESOLVER = "tfx.dsl.components.common.resolver.Resolver"
MODEL_RUN = "ModelRun"  # TFX's type of what a training logs
# What a node is, by the type of an artifact that it makes.
_KINDS = {"gate": VERDICT_TYPE, "trains": MODEL_RUN, "releases": "PushedModel", "promotes": PROMOTION_TYPE}


def build_graph(settings: PipelineSettings, ir: Any) -> Graph:
    """Joins what the pipeline's settings say of its stages with what the compiler found of its edges.

    Args:
      settings: The pipeline's settings.
      ir: The compiled pipeline, a `pipeline_pb2.Pipeline`.

    Raises:
      RecordError: if the two name different nodes, or a node comes before one it needs.
    """
    compiled = {n.pipeline_node.node_info.id: n.pipeline_node for n in ir.nodes}
    named = [node for stage in settings.stages for node in stage.nodes]
    if sorted(named) != sorted(compiled):
        only_here, only_there = sorted(set(named) - set(compiled)), sorted(set(compiled) - set(named))
        raise RecordError(
            f"settings.py and pipeline.py of {settings.name} name different nodes: only in settings {only_here}, "
            f"only in pipeline {only_there}"
        )
    first = Node(
        RUN_SPEC, "", "spec", (), gate=False, says="Freezes what the run is about: interval, window, parameters, code, environment"
    )
    nodes = [first]
    for stage in settings.stages:
        for node_id in stage.nodes:
            upstream = tuple(sorted(compiled[node_id].upstream_nodes)) or (RUN_SPEC,)
            if early := [u for u in upstream if u not in {n.id for n in nodes}]:
                raise RecordError(
                    f"node {node_id} needs {', '.join(early)}, which settings.py of {settings.name} lists after it; reorder the stages"
                )
            makes = {output.artifact_spec.type.name for output in compiled[node_id].outputs.outputs.values()}
            kinds = {name: kind in makes for name, kind in _KINDS.items()}
            looks_back = compiled[node_id].node_info.type.name == RESOLVER
            nodes.append(Node(node_id, stage.name, stage.scope, upstream, says=stage.says, looks_back=looks_back, **kinds))
    return Graph(settings, tuple(nodes))
