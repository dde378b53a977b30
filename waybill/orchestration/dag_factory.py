"""pipelines/<name>/graph.json -> an Airflow DAG whose tasks and edges are the graph's."""

from __future__ import annotations

import datetime as dt
import pathlib
from typing import Any

from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, TaskGroup, XComArg, task_group

from waybill.orchestration.form import form
from waybill.orchestration.journey import journey
from waybill.orchestration.notice import Notice
from waybill.orchestration.operator import BaselineOperator, NodeOperator, RunSpecOperator
from waybill.orchestration.promoter import PromoterOperator
from waybill.records import settings as settings_lib
from waybill.records.graph import Graph, Node, PipelineSettings, Stage
from waybill.records.interval import parse_moment
from waybill.records.node import RUN_SPEC

MAX_ACTIVE_RUNS = 4
MAX_ACTIVE_TASKS = 8
DEFAULTS: dict[str, Any] = {
    "retries": 2,  # for what failed or was killed; what another attempt would not change is never retried
    "retry_exponential_backoff": 3.0,
    "max_retry_delay": dt.timedelta(minutes=10),
    "execution_timeout": dt.timedelta(days=1),  # a node that hangs would hold its slot for ever
    "depends_on_past": False,  # would forbid backfills in reverse
}
# The label of a mapped task: the span it works on, known before it begins.
SPAN_LABEL = f"{{{{ ti.xcom_pull(task_ids='{RUN_SPEC}')[ti.map_index]['label'] }}}}"


def build_dag(graph_path: pathlib.Path) -> DAG:
    """Draws a pipeline's DAG.

    Raises:
      RecordError: if the graph is missing or of another version.
    """
    graph = Graph.load(graph_path)
    settings = graph.settings
    installation = settings_lib.load()
    defaults = {
        **DEFAULTS,
        "on_failure_callback": [Notice()],
        "owner": settings.owner,
        "retry_delay": dt.timedelta(seconds=installation.retry_seconds),
    }
    with DAG(
        dag_id=settings.name,
        description=settings.description,
        doc_md=journey(graph),
        schedule=CronDataIntervalTimetable(settings.schedule, timezone=settings.timezone),
        start_date=parse_moment(settings.start),
        end_date=_last_start(settings),
        catchup=installation.catchup,
        params=form(graph),
        max_active_runs=MAX_ACTIVE_RUNS,
        max_active_tasks=MAX_ACTIVE_TASKS,
        default_args=defaults,
        tags=set(settings.tags),
    ) as dag:
        first = graph.node(RUN_SPEC)
        run_spec = RunSpecOperator(task_id=RUN_SPEC, pipeline=settings.name, doc_md=first.says)
        for stage in settings.stages:
            _draw(stage, graph, run_spec)
    return dag


def _draw(stage: Stage, graph: Graph, run_spec: RunSpecOperator) -> None:
    if stage.scope != "span":
        with TaskGroup(group_id=stage.name, prefix_group_id=False, tooltip=stage.says):
            _add_nodes(stage, graph, run_spec)
        return

    @task_group(group_id=stage.name, prefix_group_id=False, tooltip=stage.says)
    def per_span(span: Any) -> None:
        # Each copy finds its span by its position, so the tasks need no argument, and no edge from run_spec beyond the graph's own.
        _add_nodes(stage, graph, run_spec)

    per_span.expand(span=XComArg(run_spec))


def _add_nodes(stage: Stage, graph: Graph, run_spec: RunSpecOperator) -> None:
    """Adds a stage's tasks with their edges, in the graph's order: a mapped group links what has no upstream in it to its source."""
    label = {"map_index_template": SPAN_LABEL} if stage.scope == "span" else {}
    for node in (node for node in graph.nodes if node.stage == stage.name):
        named = {"asset": f"{graph.settings.name}-served"} if node.promotes else {}
        task = _operator(node)(task_id=node.id, doc_md=node.says, **label, **named)
        for upstream in node.upstream:
            task.set_upstream(run_spec if upstream == RUN_SPEC else run_spec.dag.get_task(upstream))


def _operator(node: Node) -> type[BaseOperator]:
    """A node that trains runs on Kubernetes where the settings name a cluster, the others on this machine."""
    if node.promotes:
        return PromoterOperator
    if node.looks_back:
        return BaselineOperator
    if not node.trains or settings_lib.load().kubernetes is None:
        return NodeOperator
    from waybill.orchestration.training_operator import TrainingJobOperator

    return TrainingJobOperator


def _last_start(settings: PipelineSettings) -> dt.datetime | None:
    """Airflow's end date is the last *start* of an interval that it may schedule; ours is the end of the last interval."""
    ends = [parse_moment(end) for end in (settings.end, settings_lib.load().schedule_end) if end]
    return min(ends) - dt.timedelta(microseconds=1) if ends else None
