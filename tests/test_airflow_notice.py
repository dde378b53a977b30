"""People are told of what needs one, once, through the notifier that the settings name, and never by what data made up."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import BaseNotifier
from airflow_side import TaskInstance, context

from waybill.orchestration.notice import Notice, inert
from waybill.orchestration.outcome import NodeFailed, NodeStopped
from waybill.orchestration.process import child_environment, pasteable
from waybill.records import settings
from waybill.records.errors import RecordError
from waybill.records.node import Outcome

SENT: list[str] = []


class Recorder(BaseNotifier):
    """Keeps what it is made with, rendered as Airflow renders it."""

    template_fields = ("text",)

    def __init__(self, text: str, fails: bool = False) -> None:
        super().__init__()
        self.text = text
        self.fails = fails

    def notify(self, context: Any) -> None:
        if self.fails:
            raise ConnectionError("no network")
        SENT.append(self.text)


class Named(TaskInstance):
    """A task instance with an address."""

    dag_id, run_id, task_id, log_url = "tiny", "manual__1", "data_gate", "http://airflow/log"


@pytest.fixture(autouse=True)
def notifier(monkeypatch: pytest.MonkeyPatch) -> None:
    SENT.clear()
    monkeypatch.setenv("WAYBILL_NOTIFIER", f'{{"class": "{__name__}.Recorder", "text": "<event> | <task> | <says> | <url>"}}')


def tell(exception: BaseException | None = None, **how: str) -> None:
    Notice(**how)({**context(ti=Named()), "exception": exception})


@pytest.mark.parametrize(
    ("exception", "event"),
    [
        (NodeStopped("data_gate: blocked: volume", Outcome.BLOCKED), "blocked"),
        (NodeStopped("run_spec: late", Outcome.LATE), "late"),
        (NodeFailed("trainer: failed", Outcome.FAILED), "failed"),
        (RuntimeError("Airflow's own"), "failed"),
    ],
)
def test_each_end_is_told_with_its_reason_and_the_address_of_the_log(exception: BaseException, event: str) -> None:
    tell(exception)
    assert [f"{event} | data_gate | {exception} | http://airflow/log"] == SENT


def test_a_hold_is_told_though_nothing_failed() -> None:
    tell(event="held", says="it is older")
    assert SENT == ["held | data_gate | it is older | http://airflow/log"]


def test_a_release_that_waits_for_a_person_is_told_with_the_address_where_they_answer() -> None:
    tell(event="approval waiting", says="needs two persons")
    assert SENT == ["approval waiting | data_gate | needs two persons | http://airflow/log/required_actions"]


def test_nobody_is_told_of_what_they_did_not_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYBILL_NOTIFY", "late, failed")
    tell(NodeStopped("data_gate: blocked", Outcome.BLOCKED))
    assert SENT == []
    tell(NodeStopped("run_spec: late", Outcome.LATE))
    assert len(SENT) == 1


def test_what_data_say_is_no_template() -> None:
    hostile = "company {{ 7 * 7 }} {{{ 7 * 7 }}} {{{{ 7 * 7 }}}} {% raw %} {# note"
    tell(NodeStopped(hostile, Outcome.BLOCKED))
    assert "49" not in SENT[0]
    assert inert(hostile) in SENT[0]


def test_a_notice_that_cannot_be_sent_changes_nothing_and_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WAYBILL_NOTIFIER", '{"class": "nowhere.Notifier"}')
    tell(NodeStopped("data_gate: blocked", Outcome.BLOCKED))
    told = capsys.readouterr().out + capsys.readouterr().err + caplog.text
    assert "NOTICE blocked: data_gate of tiny" in told and "could not be sent through nowhere.Notifier" in told


@pytest.mark.parametrize("text", ["slack", "[]", "{}", '{"class": "os"}', '{"class": "a b.c"}'])
def test_settings_that_name_no_notifier_are_refused_without_showing_them(text: str) -> None:
    with pytest.raises(RecordError, match="WAYBILL_NOTIFIER is no notifier") as caught:
        settings.load({"WAYBILL_NOTIFIER": text})
    assert text not in str(caught.value) or text in "{}[]"


def test_an_unknown_event_is_named() -> None:
    with pytest.raises(RecordError, match="WAYBILL_NOTIFY names loud"):
        settings.load({"WAYBILL_NOTIFY": "loud"})


def test_a_notifiers_address_reaches_no_log_and_no_node() -> None:
    environ = child_environment({"WAYBILL_NOTIFIER": '{"class": "a.B", "url": "https://hooks/secret"}', "WAYBILL_HOME": "/home"})
    assert "WAYBILL_NOTIFIER" not in environ
    assert pasteable(["node"], environ) == "env WAYBILL_HOME=/home node"
