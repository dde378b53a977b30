"""The form that asks for a waiver: what it passes on, for whom, and how its task ends; through a real Airflow in test_airflow_time.py."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow_side import FakeLauncher, TaskInstance, context, dag_run

from waybill.orchestration import approval
from waybill.orchestration.outcome import NodeStopped
from waybill.orchestration.waiver import WaiverOperator, build_waiver_dag
from waybill.records.node import NodeResult, Outcome

FORM = {
    "pipeline": "tiny", "interval": "2013-01-01", "gate": "data_gate", "rule": "volume.rows", "subject": None, "every_subject": False,
    "rebaseline": False, "until": "2030-01-01", "why": "--says=approve",
}  # fmt: skip
ASKED = {"waiver": {"number": 7, "state": "asked", "says": "needs another person"}}
PAGE = {"approval": {"subject": "Waive it?", "page": "| |", "refused": ""}}


class Named(TaskInstance):
    """A task instance with an address."""

    dag_id, run_id, task_id, log_url = "waybill_waiver", "manual__1", "waiver", "http://airflow/dags/waybill_waiver/tasks/waiver"


@pytest.fixture
def launcher(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> FakeLauncher:
    fake = FakeLauncher(tmp_path / "launcher").install()
    monkeypatch.setenv("WAYBILL_TFX_PYTHON", str(fake.python))
    monkeypatch.setenv("WAYBILL_ORCHESTRATOR_KEY", "the key")
    monkeypatch.setattr(approval, "upsert_hitl_detail", lambda **how: None)
    answers(fake, {**ASKED, **PAGE})
    return fake


def answers(fake: FakeLauncher, extra: dict[str, Any], outcome: Outcome = Outcome.COMPLETE) -> None:
    fake.answers("waiver", NodeResult("waiver", outcome, "so it is", extra=extra))


def here(who: str | None = "alice", **form: Any) -> dict[str, Any]:
    made = context(dag_run("manual", triggering_user_name=who), Named())
    return {**made, "params": {**FORM, **form}}


def event(**how: Any) -> dict[str, Any]:
    return {"chosen_options": ["Approve"], "params_input": {"reason": "seen"}, "responded_by_user": {"id": "2", "name": "bob"}, **how}


def operator() -> WaiverOperator:
    return WaiverOperator(task_id="waiver")


def test_the_form_is_passed_on_in_the_name_of_whoever_triggered_the_run_with_the_key_that_shows_it(
    launcher: FakeLauncher, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(TaskAwaitingInput) as waits:
        operator().execute(here())
    assert waits.value.kwargs == {"pipeline": "tiny", "number": 7}
    [call] = launcher.calls()
    assert call["words"][:-1] == [
        "ask-waiver", "tiny", "--gate=data_gate", "--interval=2013-01-01", "--rule=volume.rows", "--until=2030-01-01",
        "--why=--says=approve", "--who=alice", "--asked-in=tiny/manual__2013-07-01", "--node=waiver",
    ]  # fmt: skip
    assert call["environment"]["WAYBILL_ORCHESTRATOR_KEY"] == "the key"
    assert "the key" not in caplog.text


def test_a_run_that_nobody_is_known_to_have_triggered_asks_for_nothing(launcher: FakeLauncher) -> None:
    with pytest.raises(NodeStopped, match="does not say who triggered"):
        operator().execute(here(None))
    assert launcher.calls() == []


def test_a_pipeline_whose_name_begins_with_a_dash_is_no_option(launcher: FakeLauncher) -> None:
    with pytest.raises(NodeStopped, match="pipeline is '--help'"):
        operator().execute(here(pipeline="--help"))
    assert launcher.calls() == []


def test_an_approval_ends_green_and_a_refusal_red_without_retries(launcher: FakeLauncher) -> None:
    answers(launcher, {"waiver": {"number": 7, "state": "approved", "says": "fine"}})
    assert operator().answered(here(), "tiny", 7, event())["state"] == "approved"
    assert launcher.calls()[-1]["words"][:-1] == [
        "answer-waiver", "tiny", "7", "--node=waiver", "--says=approve", "--who=bob", "--why=seen",
    ]  # fmt: skip
    answers(launcher, {"waiver": {"number": 7, "state": "withdrawn", "says": "no"}}, Outcome.REFUSED)
    with pytest.raises(NodeStopped):
        operator().answered(here(), "tiny", 7, event(chosen_options=["Reject"]))


def test_no_answer_and_one_without_a_name_end_red_and_record_nothing(launcher: FakeLauncher) -> None:
    with pytest.raises(NodeStopped, match="waybill waive approve tiny 7"):
        operator().answered(here(), "tiny", 7, {"error": "timeout", "error_type": "timeout"})
    with pytest.raises(NodeStopped, match="does not say who answered"):
        operator().answered(here(), "tiny", 7, event(responded_by_user=None))
    assert launcher.calls() == []


def test_the_form_has_no_schedule_and_demands_what_a_waiver_needs() -> None:
    dag = build_waiver_dag()
    assert (dag.schedule, dag.is_paused_upon_creation) == (None, False)
    demanded = {name for name in dag.params if dag.params.get_param(name).schema["type"] == "string"}  # and not "or nothing"
    assert demanded == {"pipeline", "interval", "until", "why"}
    assert "taxi" in dag.params.get_param("pipeline").schema["examples"]
