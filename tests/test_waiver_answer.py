"""What Airflow's users ask for in a form and answer on a page becomes a waiver by the same rules, once, and only if Airflow says so."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
import shutil
from typing import Any

import pytest
from harness import Installation, make_tiny
from test_waivers import blocked, speak_for_airflow

from waybill.cli import load, main
from waybill.launch import waivers as lane
from waybill.records.node import NodeResult, Outcome
from waybill.records.person import Person
from waybill.store import journal, waivers

SUBJECT = "waivers/tiny"
CAROL = Person("airflow:carol", "os:airflow")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A blocked gate and no waivers."""
    made = make_tiny(tmp_path_factory.mktemp("template"))
    made.land("2013-01-01")
    blocked(made)
    return made


@pytest.fixture
def stuck(template: Installation, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The same, with a store of its own."""
    shutil.copy(template.settings.home / "mlmd.sqlite", tmp_path)
    url = f"sqlite:///{tmp_path}/mlmd.sqlite"
    made = dataclasses.replace(template, settings=dataclasses.replace(template.settings, store_url=url))
    monkeypatch.setenv("WAYBILL_HOME", str(made.settings.home))
    monkeypatch.setenv("WAYBILL_STORE_URL", url)
    monkeypatch.setattr(load, "graph_of", lambda name: made.graph)
    speak_for_airflow(monkeypatch, made)
    return made


@pytest.fixture
def task(stuck: Installation, capsys: pytest.CaptureFixture[str]):
    """What the form's task calls, and the result it gets."""

    def call(*words: str) -> NodeResult:
        status = main.main([*words, "--node=waiver"])
        found = [NodeResult.from_line(line) for line in capsys.readouterr().out.splitlines()]
        [result] = filter(None, found)
        assert status == (0 if result.successful else 1)
        return result

    return call


def form(who: str = "alice", run: str = "waybill_waiver/manual__1", **changes: str) -> list[str]:
    until = f"{dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=5):%Y-%m-%d}"
    filled = {"interval": "2013-01-01", "gate": "data_gate", "rule": "tiny.rule", "why": "we know", "until": until, **changes}
    return ["ask-waiver", "tiny", *(f"--{name}={value}" for name, value in filled.items()), f"--who={who}", f"--asked-in={run}"]


def says(answer: str, who: str = "bob", number: int = 1, why: str = "") -> list[str]:
    return ["answer-waiver", "tiny", str(number), f"--says={answer}", f"--who={who}", f"--why={why}"]


def entries(stuck: Installation) -> list[tuple[str, Any]]:
    return [(entry.kind, entry.says["who"]) for entry in journal.entries(stuck.store, SUBJECT)]


def test_one_user_asks_another_approves_and_each_is_recorded_once(stuck: Installation, task) -> None:
    for _ in range(2):
        asked = task(*form())
        assert (asked.extra["waiver"]["number"], asked.extra["waiver"]["state"]) == (1, "asked")
    assert asked.extra["approval"]["subject"] == "Waive tiny.rule on everything at data_gate of tiny, interval 2013-01-01?"
    page = asked.extra["approval"]["page"].replace("\\", "")
    assert "| asked for by | airflow:alice |" in page and "| why | we know |" in page
    for who in ("bob", "carol"):
        approved = task(*says("approve", who))
        assert approved.extra["waiver"]["state"] == "approved" and "approved by airflow:bob" in approved.message
    assert task(*form()).extra["waiver"]["state"] == "approved"
    assert entries(stuck) == [("waiver_request", "airflow:alice"), ("waiver_approval", "airflow:bob")]


def test_ones_own_approval_does_not_count_and_the_question_stays_open(stuck: Installation, task) -> None:
    task(*form())
    own = task(*says("approve", "alice"))
    assert own.extra["waiver"]["state"] == "asked"
    assert "approval by airflow:alice, who asked for it, does not count" in own.extra["approval"]["refused"]
    assert entries(stuck) == [("waiver_request", "airflow:alice")]


def test_a_no_ends_it_with_who_and_why_and_the_same_run_does_not_ask_again(stuck: Installation, task) -> None:
    task(*form())
    for _ in range(2):
        no = task(*says("decline", why="it is\na fault"))
        assert no.outcome is Outcome.REFUSED and "withdrawn by airflow:bob: it is a fault" in no.message
    assert task(*says("approve", "carol")).outcome is Outcome.REFUSED
    again = task(*form())
    assert again.outcome is Outcome.REFUSED and "withdrawn by airflow:bob" in again.message
    assert entries(stuck) == [("waiver_request", "airflow:alice"), ("waiver_withdrawal", "airflow:bob")]
    assert task(*form(run="waybill_waiver/manual__2")).extra["waiver"]["number"] == 3, "whoever fills in the form anew asks anew"


def test_a_no_that_comes_after_an_approval_takes_nothing_back(stuck: Installation, task) -> None:
    task(*form())
    now = dt.datetime.now(dt.timezone.utc)
    lane.approve(stuck.store, stuck.graph, 1, "seen", CAROL, now)
    late = task(*says("decline"))
    assert late.extra["waiver"]["state"] == "approved" and "approved by airflow:carol" in late.message


def test_what_another_person_has_asked_for_already_is_put_before_whoever_is_there(stuck: Installation, task) -> None:
    task(*form("carol", run="waybill_waiver/manual__0"))
    assert task(*form("alice")).extra["waiver"]["number"] == 1
    assert task(*says("approve", "alice")).extra["waiver"]["state"] == "approved", "carol asked, alice approved"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rule": "*"}, "expected the exact name of one rule"),
        ({"rule": "infra.loads"}, "can never be waived"),
        ({"rule": "other.rule"}, "does not block"),
        ({"until": "2013-01-01"}, "--until is 2013-01-01"),
        ({"until": "2199-01-01"}, "at most 90 days"),
        ({"why": " "}, "--why is empty"),
        ({"interval": "2013-01-01,2013-04-01"}, "expected a date"),
        ({"gate": "gate_of_hell"}, "no gate 'gate_of_hell'"),
        ({"who": "a\nb"}, "expected a person"),
    ],
)
def test_what_may_not_be_waived_is_refused_with_the_reason(stuck: Installation, task, changes: dict[str, str], why: str) -> None:
    refused = task(*form(**changes))
    assert refused.outcome is Outcome.REFUSED and why in refused.message
    assert entries(stuck) == []


def test_a_request_that_expired_while_it_waited_cannot_be_approved(stuck: Installation, task, monkeypatch: pytest.MonkeyPatch) -> None:
    task(*form())
    later = dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=6)
    monkeypatch.setattr("waybill.cli.waiver_answer._now", lambda: later)
    refused = task(*says("approve"))
    assert refused.outcome is Outcome.REFUSED and "expired: it held until" in refused.message
    assert entries(stuck) == [("waiver_request", "airflow:alice")]


def test_the_form_sets_a_baseline_aside_too(stuck: Installation, task) -> None:
    words = [word for word in form() if not word.startswith(("--gate", "--rule"))]
    for _ in range(2):
        assert task(*words, "--rebaseline").extra["waiver"]["state"] == "asked"
    assert task(*says("approve")).extra["waiver"]["state"] == "approved"
    [waiver] = waivers.read(stuck.store, "tiny").waivers
    assert (waiver.gate, waiver.rule, waiver.requested_by, waiver.approved_by) == (
        "baseline", "baseline.comparison", "airflow:alice", "airflow:bob",
    )  # fmt: skip
    assert "leave these empty" in task(*form(), "--rebaseline").message


# Who may speak for Airflow's users.


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"key": ""}, "WAYBILL_ORCHESTRATOR_KEY is not set"),
        ({"key": "guessed"}, "is not what"),
        ({"mode": 0o640}, "has mode 0640, so that others may know it"),
    ],
)
@pytest.mark.parametrize(
    "words",
    [
        ["waive", "request", "tiny", *form()[2:7], "--as=airflow:alice"],
        ["waive", "approve", "tiny", "1", "--as=airflow:bob"],
        ["waive", "withdraw", "tiny", "1", "--why=no", "--as=airflow:bob"],
        ["promote", "tiny", "1", "--why=mine", "--as=airflow:alice"],
        ["approve", "tiny", "1", "--why=fine", "--as=airflow:bob"],
        ["pin", "tiny", "--why=stop", "--as=airflow:bob"],
    ],
    ids=" ".join,
)
def test_a_person_at_a_shell_is_not_believed_to_be_a_user_of_airflow(
    stuck: Installation,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    how: dict[str, Any],
    why: str,
) -> None:
    speak_for_airflow(monkeypatch, stuck, **how)
    assert main.main(words) == 2
    said = capsys.readouterr().err
    assert "--as names a user of Airflow, and nothing shows that this process speaks for Airflow" in said and why in said
    assert entries(stuck) == []


def test_the_words_of_airflows_tasks_are_not_believed_at_a_shell_either(stuck: Installation, task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "settings_of", lambda name: stuck.graph.settings)
    monkeypatch.delenv("WAYBILL_ORCHESTRATOR_KEY")
    asked = ("--start=2013-01-01", "--kind=manual", "--run=a/b", "--ticket=t")
    for words in (form(), says("approve"), ["answer", "tiny", "1", "--asked-by=a/b", "--number=1", "--says=approve", "--who=bob"]):
        assert "--who names a user of Airflow, and nothing shows" in task(*words).message
    assert main.main(["run-spec", "tiny", *asked, "--who=alice"]) == 1
    assert entries(stuck) == []


def test_a_key_that_another_account_made_is_of_no_use_to_whoever_cannot_read_it(
    stuck: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path
) -> None:
    made = stuck.settings.key_file.rename(tmp_path / "key")
    stuck.settings.key_file.mkdir()  # cannot be read: root can read whatever a file's mode
    assert main.main(["waive", "approve", "tiny", "1", "--as=airflow:bob"]) == 2
    assert "cannot read" in capsys.readouterr().err
    stuck.settings.key_file.rmdir()
    made.rename(stuck.settings.key_file)
