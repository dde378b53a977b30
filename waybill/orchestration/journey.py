"""A graph -> the text that people read beside the DAG."""

from __future__ import annotations

from waybill.records.graph import Graph, Node, Stage
from waybill.records.node import RUN_SPEC

_SCOPES = {
    "shared": "made once for a schema and found again by every run",
    "span": "made once for each partition and found again by every run that needs it; one mapped task per span of the window",
    "run": "made by each run",
}


def journey(graph: Graph) -> str:
    """The DAG's page: what it does, its stops in order, and what a red task means."""
    settings = graph.settings
    stages = [f"**{stage.name}**: {stage.says} ({_SCOPES[stage.scope]})." for stage in settings.stages]
    return "\n\n".join([f"### {settings.name}", settings.description, f"`{path(graph)}`", *stages, _stops(graph), _FOOT])


def path(graph: Graph) -> str:
    """The stops in order, on one line; those that are mapped over the window in brackets."""
    return " -> ".join([RUN_SPEC, *(_bracketed(stage) for stage in graph.settings.stages)])


def _bracketed(stage: Stage) -> str:
    stops = " -> ".join(stage.nodes)
    return f"[{stops}] per span" if stage.scope == "span" else stops


def _stops(graph: Graph) -> str:
    rows = [f"| `{node.id}`{_kind(node)} | {node.says} | {', '.join(f'`{u}`' for u in node.upstream)} |" for node in graph.nodes]
    return "\n".join(["| stop | what it does | after |", "|---|---|---|", *rows])


def _kind(node: Node) -> str:
    return " (gate)" if node.gate else ""


_FOOT = """\
A red gate says *no*, and why, at the end of its log; it is not retried. A stop that failed or was killed is retried twice. Data that have
not landed are waited for without holding a slot. Clearing a task that had succeeded makes the next generation of the interval."""
