"""How the task that decides ends where Airflow has something unusual to say of an answer; the usual is in test_airflow_approval.py."""

from __future__ import annotations

import datetime as dt
import pathlib
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow_side import SPEC, FakeLauncher, TaskInstance, context, dag_run

from waybill.orchestration import approval, asking
from waybill.orchestration.approval import PATIENCE
from waybill.orchestration.outcome import NodeStopped
from waybill.orchestration.promoter import PromoterOperator
from waybill.records.node import NodeResult, Outcome

ASKED = {"promotion": {"outcome": "asked", "version": "20130401000001", "says": "needs two persons"}}
PAGE = {"approval": {"number": 7, "subject": "Serve it?", "page": "| |", "refused": ""}}
BOB = {"id": "2", "name": "bob"}


class Named(TaskInstance):
    """A task instance with an address."""

    dag_id, run_id, task_id, log_url = "tiny", "manual__1", "promoter", "http://airflow/dags/tiny/tasks/promoter?try_number=1"


@pytest.fixture
def launcher(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> FakeLauncher:
    fake = FakeLauncher(tmp_path / "launcher").install()
    monkeypatch.setenv("WAYBILL_TFX_PYTHON", str(fake.python))
    fake.answers("promoter", result(ASKED))
    fake.answers("answer", result({**ASKED, **PAGE}))
    return fake


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Airflow is asked to show; there is none in this process to ask."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(approval, "upsert_hitl_detail", lambda **how: asked.append(how))
    return asked


def result(extra: dict[str, Any]) -> NodeResult:
    return NodeResult("promoter", Outcome.COMPLETE, "needs two persons", extra=extra)


def operator() -> PromoterOperator:
    return PromoterOperator(task_id="promoter", asset="tiny-served")


def event(**how: Any) -> dict[str, Any]:
    now = dt.datetime.now(dt.timezone.utc)
    return {"chosen_options": ["Approve"], "params_input": {}, "responded_at": now, "responded_by_user": BOB, "timedout": False, **how}


def here() -> dict[str, Any]:
    return context(dag_run("manual", triggering_user_name="alice"), Named(xcoms={"spec": SPEC}))


def test_a_release_that_needs_another_person_is_asked_about_and_waited_for_but_not_for_ever(
    launcher: FakeLauncher, shown: list[dict[str, Any]]
) -> None:
    with pytest.raises(TaskAwaitingInput) as waits:
        operator().execute(here())
    assert (waits.value.method_name, waits.value.timeout) == ("answered", PATIENCE)
    assert waits.value.kwargs == {"version": "20130401000001", "number": 7}
    [asked] = shown
    assert (asked["subject"], asked["body"], asked["options"]) == ("Serve it?", "| |", ["Approve", "Reject"])


def test_an_answer_is_passed_on_with_who_gave_it_and_who_triggered_the_run(launcher: FakeLauncher) -> None:
    launcher.answers("answer", result({"promotion": {"outcome": "held", "version": "20130401000001", "says": "no"}}))
    left = operator().answered(here(), "20130401000001", 7, event(chosen_options=["Reject"], params_input={"reason": "--says=approve"}))
    assert left["promotion"] == "held"
    assert launcher.calls()[-1]["words"][:-1] == [
        "answer", "tiny", "20130401000001", "--node=promoter", f"--asked-by={asking.name(here()['dag_run'])}", "--triggered-by=alice",
        "--number=7", "--says=decline", "--who=bob", "--why=--says=approve",
    ]  # fmt: skip


@pytest.mark.parametrize("nobody", [None, {"id": "", "name": ""}])
def test_an_answer_that_airflow_puts_no_name_to_decides_nothing(launcher: FakeLauncher, nobody: Any) -> None:
    with pytest.raises(NodeStopped, match="does not say who answered"):
        operator().answered(here(), "20130401000001", 7, event(responded_by_user=nobody))
    assert launcher.calls() == []


def test_a_release_that_nobody_answers_for_is_held(launcher: FakeLauncher, shown: list[dict[str, Any]]) -> None:
    left = operator().answered(here(), "20130401000001", 7, {"error": "timeout", "error_type": "timeout"})
    assert left["promotion"] == "held" and shown == []
    assert not any("--says" in word for word in launcher.calls()[-1]["words"])


def test_an_answer_that_did_not_count_is_waited_for_again(launcher: FakeLauncher, shown: list[dict[str, Any]]) -> None:
    launcher.answers("answer", result({**ASKED, "approval": {**PAGE["approval"], "refused": "alice asked for it"}}))
    with pytest.raises(TaskAwaitingInput):
        operator().answered(here(), "20130401000001", 7, event())
    assert len(shown) == 1
