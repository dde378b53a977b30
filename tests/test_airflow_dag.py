"""The DAG that is drawn: every DAG loads, its tasks and edges are the graph's, and nothing heavy is imported for it."""

from __future__ import annotations

import ast
import datetime as dt
import json
import pathlib
import subprocess
import sys

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.taskgroup import MappedTaskGroup
from airflow.serialization.serialized_objects import DagSerialization
from airflow_side import edges, graph

from waybill.orchestration.dag_factory import build_dag
from waybill.orchestration.doctor import build_doctor_dag
from waybill.orchestration.journey import path
from waybill.records import settings
from waybill.records.errors import RecordError
from waybill.records.graph import Graph

DAGS = settings.PROJECT / "dags"
HEAVY = ("tensorflow", "tfx", "ml_metadata", "apache_beam")
UTC = dt.timezone.utc

# In a process of its own: what a DAG file imports must not be hidden by what the tests imported before.
LOAD_ALL = f"""
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder={str(DAGS)!r})
print("loaded " + json.dumps({{
    "errors": bag.import_errors, "heavy": sorted(set({HEAVY!r}) & {{m.split(".")[0] for m in sys.modules}}),
    "dags": {{d.dag_id: {{t.task_id: sorted(t.upstream_task_ids) for t in d.tasks}} for d in bag.dags.values()}},
}}))
"""


@pytest.fixture(scope="module")
def loaded() -> dict:
    done = subprocess.run([sys.executable, "-c", LOAD_ALL], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("loaded ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("loaded "))


@pytest.fixture
def graph_file(tmp_path: pathlib.Path) -> pathlib.Path:
    file = tmp_path / "tiny" / "graph.json"
    file.parent.mkdir()
    file.write_text(graph().to_text())
    return file


@pytest.fixture
def dag(graph_file: pathlib.Path) -> DAG:
    return build_dag(graph_file)


def test_every_dag_file_loads_without_error_and_without_anything_heavy(loaded: dict) -> None:
    assert loaded["errors"] == {}
    assert loaded["heavy"] == []
    assert len(loaded["dags"]) == len(list(DAGS.glob("*_dag.py"))) > 0


def test_tasks_and_edges_of_every_dag_are_its_graphs(loaded: dict) -> None:
    for dag_id, tasks in loaded["dags"].items():
        ours = {"waybill_doctor": {"doctor": []}, "waybill_waiver": {"waiver": []}}
        assert tasks == (ours.get(dag_id) or edges(Graph.load(settings.graph_path(dag_id))))


def test_the_doctor_looks_once_a_day_from_the_first_on_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    dag = build_doctor_dag()
    assert (dag.timetable.expression, dag.is_paused_upon_creation, dag.catchup) == ("0 5 * * *", False, False)
    assert dag.get_task("doctor").retries == 1, "what is only under way is gone at a second look"
    monkeypatch.setenv("WAYBILL_DOCTOR_SCHEDULE", "0 * * * *")
    assert build_doctor_dag().timetable.expression == "0 * * * *"
    monkeypatch.setenv("WAYBILL_DOCTOR_SCHEDULE", "daily")
    with pytest.raises(RecordError, match="WAYBILL_DOCTOR_SCHEDULE is 'daily'"):
        build_doctor_dag()


def test_tasks_and_edges_equal_the_graph(dag: DAG) -> None:
    assert {t.task_id: sorted(t.upstream_task_ids) for t in dag.tasks} == edges(graph())


def test_stages_are_groups_and_the_span_stage_is_mapped_over_the_window(dag: DAG) -> None:
    groups = dag.task_group.get_task_group_dict()
    assert {s.name: s.nodes for s in graph().settings.stages} == {k: tuple(g.children) for k, g in groups.items() if k}
    assert [k for k, g in groups.items() if isinstance(g, MappedTaskGroup)] == ["spans"]
    assert [op.task_id for op in groups["spans"].iter_mapped_dependencies()] == ["run_spec"]
    assert groups["spans"].tooltip == "Reads each span"


def test_the_dag_survives_airflows_serialization(dag: DAG) -> None:
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert {t.task_id: sorted(t.upstream_task_ids) for t in again.tasks} == edges(graph())
    first = again.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=_restriction(again, catchup=True))
    assert (first.data_interval.start, first.data_interval.end) == (
        dt.datetime(2013, 1, 1, tzinfo=UTC),
        dt.datetime(2013, 4, 1, tzinfo=UTC),
    )


def test_the_schedule_ends_with_the_last_interval_of_the_pipeline(dag: DAG) -> None:
    assert _starts(dag)[-1] == dt.datetime(2016, 10, 1, tzinfo=UTC)
    assert len(_starts(dag)) == 16


def test_the_schedules_end_can_be_set_nearer(graph_file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYBILL_SCHEDULE_END", "2013-10-01")
    assert len(_starts(build_dag(graph_file))) == 3


@pytest.mark.parametrize("value, catchup", [(None, False), ("0", False), ("1", True)])
def test_catching_up_is_off_unless_asked_for(
    graph_file: pathlib.Path, monkeypatch: pytest.MonkeyPatch, value: str | None, catchup: bool
) -> None:
    if value is not None:
        monkeypatch.setenv("WAYBILL_CATCHUP", value)
    assert build_dag(graph_file).catchup is catchup


def test_an_unclear_setting_is_an_error_not_a_guess(graph_file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYBILL_CATCHUP", "yes")
    with pytest.raises(RecordError, match="WAYBILL_CATCHUP is 'yes'"):
        build_dag(graph_file)


def test_the_form_has_a_typed_field_with_words_and_a_default_for_every_parameter(dag: DAG) -> None:
    dag.params.validate()  # a field without a default would stop every scheduled run
    fields = {name: dag.params.get_param(name) for name in dag.params}
    assert list(fields) == ["interval_start", "window", "train_steps", "learning_rate", "reason"]
    assert all(field.description for field in fields.values())
    assert fields["interval_start"].schema["format"] == "date"
    assert (fields["window"].value, fields["window"].schema["type"], fields["window"].schema["maximum"]) == (4, "integer", 16)


def test_who_triggers_a_run_can_ask_that_it_be_served_where_the_pipeline_serves() -> None:
    field = build_dag(settings.graph_path("taxi")).params.get_param("promote")
    assert field.value is False and "another user has to agree" in field.description


@pytest.mark.parametrize(
    "name, value, said",
    [("window", 0, "minimum"), ("window", "4", "integer"), ("learning_rate", 1.5, "maximum"), ("interval_start", "2013-13-01", "date")],
)
def test_the_form_refuses_what_a_parameter_cannot_hold(dag: DAG, name: str, value: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dag.params.get_param(name).resolve(value)


def test_an_hourly_pipeline_asks_for_a_time_instead_of_a_date(graph_file: pathlib.Path) -> None:
    graph_file.write_text(graph(schedule="0 * * * *").to_text())
    assert build_dag(graph_file).params.get_param("interval_start").schema["format"] == "date-time"


def test_failures_are_retried_later_and_later_and_a_run_does_not_wait_for_the_one_before(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.retries == 2
        assert task.retry_exponential_backoff > 1
        assert not task.depends_on_past
        assert task.owner == "data-team"


def test_the_page_of_the_dag_tells_the_journey(dag: DAG) -> None:
    assert path(graph()) in dag.doc_md
    assert (
        path(graph()) == "run_spec -> schema_gen -> [example_gen -> statistics_gen -> example_validator] per span -> data_gate -> trainer"
    )
    assert all(node.says in dag.doc_md and dag.get_task(node.id).doc_md == node.says for node in graph().nodes)


def test_a_missing_graph_says_what_to_do(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RecordError, match="make graph"):
        build_dag(tmp_path / "tiny" / "graph.json")


def _restriction(dag: object, catchup: bool) -> object:
    from airflow.timetables.base import TimeRestriction

    return TimeRestriction(earliest=dag.start_date, latest=dag.end_date, catchup=catchup)


def _starts(dag: DAG) -> list[dt.datetime]:
    """Starts of all intervals that a schedule which catches up makes runs for."""
    again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    starts, last = [], None
    while info := again.timetable.next_dagrun_info(last_automated_data_interval=last, restriction=_restriction(again, catchup=True)):
        last = info.data_interval
        starts.append(last.start)
    return starts


def test_the_bench_draws_the_same_dag_of_tasks_that_do_nothing():
    look = (
        "import sys; sys.path.insert(0, 'bench/empty'); import taxi_dag\n"
        "print([(task.task_id, getattr(task, 'operator_class', type(task)).__name__) for task in taxi_dag.dag.tasks])"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=settings.PROJECT, capture_output=True, text=True, check=True)
    drawn = dict(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert set(drawn) == {node.id for node in Graph.load(settings.graph_path("taxi")).nodes}
    assert set(drawn.values()) == {"Nothing"}
