"""Reports in Airflow's UI: found by what a gate left, shown to who may read its log, and no other file to anybody."""

from __future__ import annotations

import ast
import datetime as dt
import inspect
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from airflow import plugins_manager
from airflow import settings as airflow_settings
from airflow.api_fastapi.app import create_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from airflow_side import FakeLauncher, TaskInstance, context
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import delete, text

from waybill.orchestration import report_file
from waybill.orchestration.operator import VERDICT, NodeOperator
from waybill.orchestration.outcome import NodeStopped
from waybill.orchestration.plugin import WaybillPlugin
from waybill.orchestration.report_file import NoReport
from waybill.records import settings
from waybill.records.node import NodeResult, Outcome, OutputRef

RUN = "manual__2013-07-01T00:00:00+00:00"
PAGE = "<!DOCTYPE html><title>data_gate: BLOCKED</title>"
ADDRESS = "/waybill/report/taxi/manual__2013-07-01T00:00:00+00:00/data_gate"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """An app that mounts what Airflow's plugins bring, as Airflow's own does, over an empty database."""
    import_all_models()
    Base.metadata.create_all(airflow_settings.engine)
    with create_session() as session:
        session.add(DagRun(dag_id="taxi", run_id=RUN, run_type="manual", state="failed", run_after=dt.datetime.now(dt.timezone.utc)))
    root = FastAPI()
    for mounted in plugins_manager.get_fastapi_plugins()[0]:
        root.mount(mounted["url_prefix"], mounted["app"])
    root.state.auth_manager = create_auth_manager()
    root.state.auth_manager.init()
    with pytest.MonkeyPatch.context() as patch, TestClient(root) as made:
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a key for tests " * 4)
        yield made
    Base.metadata.drop_all(airflow_settings.engine)


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Folder of a verdict with its report, in a home of its own."""
    monkeypatch.setenv("WAYBILL_HOME", str(tmp_path / "home"))
    made = settings.load().artifacts / "taxi" / "taxi.201307010000.g1" / "data_gate" / "verdict" / "7"
    made.mkdir(parents=True)
    (made / "report.html").write_text(PAGE)
    (made / "verdict.json").write_text("{}")
    return made


def login(role: str | None) -> dict[str, str]:
    token = create_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role=role))
    return {"Authorization": f"Bearer {token}"}


def left(value: Any, map_index: int = -1) -> None:
    """Leaves something under the key of a verdict, as whoever may write XComs can."""
    with create_session() as session:
        session.execute(text("PRAGMA foreign_keys = OFF"))  # spares the test a serialized DAG and its task instances
        session.execute(delete(XComModel))
        number = session.query(DagRun.id).scalar()
        of_task = {"dag_run_id": number, "dag_id": "taxi", "run_id": RUN, "task_id": "data_gate", "map_index": map_index}
        session.add(XComModel(key=VERDICT, value=value, **of_task))


def test_who_may_read_the_log_gets_the_report_which_can_do_nothing_but_be_read(client: TestClient, folder: pathlib.Path) -> None:
    left({"id": 7, "uri": str(folder), "digest": "sha256:7"})
    answer = client.get(ADDRESS + "?map_index={MAP_INDEX}", headers=login("viewer"))  # as the UI asks for a task that is not mapped
    assert (answer.status_code, answer.text) == (200, PAGE)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].startswith("private")
    policy = [part.strip() for part in answer.headers["content-security-policy"].split(";")]
    assert {"default-src 'none'", "style-src 'unsafe-inline'", "img-src data:", "frame-ancestors 'self'", "sandbox"} <= set(policy)
    assert not any(part.startswith(("script-src", "connect-src")) for part in policy)


@pytest.mark.parametrize("who, status", [("nobody", 401), ("a guesser", 403), ("a person without a role", 403)])
def test_nobody_else_gets_it(client: TestClient, folder: pathlib.Path, who: str, status: int) -> None:
    left({"uri": str(folder)})
    tried = {"nobody": {}, "a guesser": {"Authorization": "Bearer guessed"}, "a person without a role": login(None)}
    answer = client.get(ADDRESS, headers=tried[who])
    assert answer.status_code == status
    assert "BLOCKED" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_task_that_left_no_verdict_says_so_and_a_mapped_one_is_told_from_its_copies(client: TestClient, folder: pathlib.Path) -> None:
    left({"uri": str(folder)}, map_index=1)
    none, copy = (client.get(f"{ADDRESS}?map_index={i}", headers=login("viewer")) for i in (0, 1))
    assert (none.status_code, copy.status_code) == (404, 200)
    assert "has left no verdict" in none.text
    assert client.get(ADDRESS.replace("data_gate", "trainer"), headers=login("viewer")).status_code == 404


@pytest.mark.parametrize("value", ["/etc", {"uri": "/etc"}, {"uri": ["x"]}, [1], "{", {"uri": "x" * 9000}, {"uri": "a\0b"}, None])
def test_whatever_else_is_left_there_serves_nothing(client: TestClient, folder: pathlib.Path, value: Any) -> None:
    left(value)
    answer = client.get(ADDRESS, headers=login("admin"))
    assert answer.status_code == 404
    assert "No report" in answer.text


def test_only_the_report_in_a_folder_of_the_tasks_own_is_read(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    root, text_of = settings.load().artifacts, (tmp_path / "secret")
    text_of.mkdir()
    (text_of / "report.html").write_text("secret")
    (root / "taxi/taxi.201307010000.g1/data_gate/verdict/8").symlink_to(text_of)
    linked = root / "taxi/taxi.201307010000.g1/data_gate/verdict/9"
    linked.mkdir()
    (linked / "report.html").symlink_to(text_of / "report.html")
    piped = root / "taxi/taxi.201307010000.g1/data_gate/verdict/10"
    piped.mkdir()
    os.mkfifo(piped / "report.html")
    up = f"{folder}/../../../../../../../secret"
    for uri in (text_of, linked.with_name("8"), linked, piped, linked.with_name("11"), up, folder.parent, f"{folder}/x", "", "/", "report"):
        with pytest.raises(NoReport):
            report_file.read(root, "taxi", "data_gate", {"uri": str(uri)})
    with pytest.raises(NoReport):
        report_file.read(root, "taxi", "model_gate", {"uri": str(folder)})
    with pytest.raises(NoReport):
        report_file.read(root, "other", "data_gate", {"uri": str(folder)})
    assert report_file.read(root, "taxi", "data_gate", {"uri": str(folder)}) == PAGE.encode()


@pytest.mark.parametrize("outcome", [Outcome.COMPLETE, Outcome.BLOCKED])
def test_a_gate_leaves_its_verdict_before_it_ends_red_or_green(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    launcher, ti = FakeLauncher(tmp_path / "launcher").install(), TaskInstance()
    monkeypatch.setenv("WAYBILL_TFX_PYTHON", str(launcher.python))
    launcher.answers("data_gate", NodeResult("data_gate", outcome, "judged", outputs={"verdict": [OutputRef(7, "/v/7", "sha256:7")]}))
    try:
        NodeOperator(task_id="data_gate").execute(context(ti=ti))
    except NodeStopped:
        assert outcome is Outcome.BLOCKED
    assert ti.xcoms[VERDICT] == {"id": 7, "uri": "/v/7", "digest": "sha256:7"}


def test_the_tab_leads_to_the_address_and_the_plugin_costs_a_task_nothing() -> None:
    (view,) = WaybillPlugin.external_views
    assert view["destination"] == "task_instance"
    filled = view["href"].replace("{DAG_ID}", "taxi").replace("{RUN_ID}", RUN).replace("{TASK_ID}", "data_gate")
    assert filled.split("?")[0] == ADDRESS
    source = ast.parse(pathlib.Path(inspect.getfile(WaybillPlugin)).read_text())
    imported = [node.module for node in source.body if isinstance(node, ast.ImportFrom)]
    assert imported == ["__future__", "typing", "airflow.plugins_manager"], "each task imports what this module imports"
