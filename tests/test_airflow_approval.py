"""Through a real Airflow: a release waits for another person without a slot, and only their answer, as Airflow records it, promotes it.

The pipeline's executors are trivial; launcher, journal, promotion and Airflow are the real ones. Beside it the doctor's DAG looks at what
came of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from test_airflow_end_to_end import HERE, in_tfx, numbers, wait

from waybill.cli import marked
from waybill.cli.airflow_client import AirflowClient, AirflowRefused
from waybill.cli.airflow_environment import MARK
from waybill.cli.airflow_place import airflow_of
from waybill.cli.services import AirflowService
from waybill.records import settings as settings_lib

PYTHON = settings_lib.PROJECT / ".venv/bin/python"
pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not PYTHON.is_file(), reason="TFX's Python is not installed; `make test` does"),
]
Q1, Q2, Q3 = "2013-01-01", "2013-04-01", "2013-07-01"
V1, V2, V3 = "20130401000001", "20130701000001", "20131001000001"
DAG = """\
\"\"\"The small pipeline's graph -> its Airflow DAG.\"\"\"
import pathlib
from waybill.orchestration.dag_factory import build_dag
dag = build_dag(pathlib.Path({graph!r}))
"""
ENTRIES = """
import json
from waybill.records import settings
from waybill.store import journal
from waybill.store.connection import Store
print(json.dumps([{"kind": e.kind, **e.says} for e in journal.entries(Store(settings.load().store_url), "serving/small")]))
"""


@dataclasses.dataclass
class Office:
    """An Airflow with three people: `alice` and `bob` are users, `admin` triggers nothing."""

    service: AirflowService

    def task(self, run: str, task_id: str = "promoter") -> dict[str, Any]:
        return next(t for t in self.service.client().tasks("small", run) if t["task_id"] == task_id)

    def waits(self, run: str) -> bool:
        state = self.task(run)["state"]
        assert state not in ("failed", "upstream_failed", "success"), (state, self.log(run))
        return bool(state == "awaiting_input")

    def log(self, run: str) -> str:
        return self.service.client().log("small", run, "promoter", max(1, self.task(run)["try_number"]))

    def trigger(self, user: str, start: str, **form: Any) -> str:
        client = self.service.client(user)
        return str(client.trigger("small", {"interval_start": start, "reason": "a strike", **form})["dag_run_id"])

    def page(self, run: str) -> dict[str, Any]:
        return self.service.client().call("GET", self._place(run))

    def answer(self, client: AirflowClient, run: str, says: str, reason: str = "") -> None:
        client.call("PATCH", self._place(run), {"chosen_options": [says], "params_input": {"reason": reason}})

    def insist(self, user: str, run: str, says: str, reason: str, done: Callable[[], bool]) -> None:
        """Answers, and again when it is asked again: who is quicker than the scheduler's news of the process that asked is not heard."""
        client = self.service.client(user)

        def heard() -> bool:
            if not done() and self.task(run)["state"] == "awaiting_input":
                with contextlib.suppress(AirflowRefused):  # it has the answer and has not gone on yet
                    self.answer(client, run, says, reason)
            return done()

        wait(heard, f"{user}'s answer to be heard")

    def ended(self, run: str) -> bool:
        return bool(self.task(run)["state"] == "success")

    def run_state(self, run: str) -> str:
        return next(str(r["state"]) for r in self.service.client().runs("small") if r["dag_run_id"] == run)

    def tells(self, run: str) -> str:
        """How things stand, for a wait that was in vain."""
        return f"the run is {self.run_state(run)}, its promoter {self.task(run)['state']}; its log:\n{self.log(run)}"

    def entries(self) -> list[dict[str, Any]]:
        return list(json.loads(in_tfx(self.environ, "-c", ENTRIES)))

    @property
    def environ(self) -> dict[str, str]:
        return {"WAYBILL_HOME": str(self.service.settings.home)}

    @property
    def served(self) -> list[str]:
        base = self.service.settings.serving / "small"
        return numbers(base) if base.is_dir() else []

    def events(self) -> list[str]:
        found = self.service.client().call("GET", "/assets/events?limit=100")["asset_events"]
        return sorted(event["extra"]["version"] for event in found)

    def scheduled(self) -> str:
        [run] = [r["dag_run_id"] for r in self.service.client().runs("small") if r["run_type"] == "scheduled"]
        return str(run)

    def _place(self, run: str) -> str:
        return f"/dags/small/dagRuns/{urllib.parse.quote(run, safe='')}/taskInstances/promoter/-1/hitlDetails"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("office")
    python, dags = home / "python", home / "dags"
    python.write_text(f'#!/bin/sh\nexec {PYTHON} {HERE}/small_python.py {python} "$@"\n')
    python.chmod(0o755)
    environ = {
        "WAYBILL_HOME": str(home), "WAYBILL_TFX_PYTHON": str(python), "WAYBILL_CATCHUP": "1", "WAYBILL_SCHEDULE_END": Q2,
        "WAYBILL_RETRY_SECONDS": "1", "WAYBILL_AIRFLOW_USERS": "alice,bob",
    }  # fmt: skip
    subprocess.run([str(python), "set-up", "always"], check=True, env={**os.environ, **environ})
    dags.mkdir()
    (dags / "small_dag.py").write_text(DAG.format(graph=str(home / "small" / "graph.json")))
    shutil.copy(settings_lib.PROJECT / "dags/doctor_dag.py", dags)
    service = AirflowService(settings_lib.load(environ), dags=dags)
    service.start()
    try:
        for dag in ("small", "waybill_doctor"):
            service.client().wait_for_dag(dag)
        service.client().pause("small", paused=False)
        found = Office(service)
        wait(lambda: bool(service.client().runs("small")), "the schedule to make its run")
        yield found
    finally:
        record = service.record()
        service.stop()
        assert record is None or marked.marked(MARK, record.mark) == []


def test_the_schedules_release_waits_for_a_person_without_a_slot_and_shows_what_is_asked(office: Office) -> None:
    run = office.scheduled()
    wait(lambda: office.waits(run), "the promoter to wait")
    assert office.served == []
    assert office.service.client().call("GET", "/pools/default_pool")["occupied_slots"] == 0
    asked = office.page(run)
    assert asked["subject"] == f"Serve release {V1} of small, 2013-01-01 to 2013-04-01?"
    for part in ("| data_gate | PASS", "| model_gate | PASS", "| asked for by | schedule |", "nothing, since nothing is served"):
        assert part in asked["body"].replace("\\", "")
    wait(lambda: "NOTICE approval waiting: promoter of small" in office.log(run), "the notice")
    assert "/required_actions" in office.log(run)


def test_one_who_is_logged_in_agrees_and_it_is_served_and_on_record_with_their_name(office: Office) -> None:
    run = office.scheduled()
    stranger = AirflowClient(office.service.client().address, "bob", "guessed")
    with pytest.raises(AirflowRefused, match="401"):
        office.answer(stranger, run, "Approve")
    office.insist("bob", run, "Approve", "looks good", lambda: office.ended(run))
    assert office.served == office.events() == [V1]
    last = office.entries()[-1]
    assert (last["kind"], last["who"], last["approved_by"], last["approved_why"]) == ("promote", "schedule", "airflow:bob", "looks good")
    assert "cold:" not in office.log(run), "an answer is passed on by the warm host"


def test_whoever_triggered_the_run_cannot_agree_nor_do_a_mark_or_an_edited_xcom_let_it_through(office: Office) -> None:
    run = office.trigger("alice", Q2, promote=True)
    wait(lambda: office.waits(run), "the promoter to wait")
    office.insist("alice", run, "Approve", "it is mine", lambda: "cannot agree to it as well" in office.log(run))
    wait(lambda: office.waits(run), "the promoter to wait again")
    assert office.entries()[-1]["who"] == "airflow:alice" and office.served == [V1]
    place = f"/dags/small/dagRuns/{urllib.parse.quote(run, safe='')}/taskInstances/promoter/xcomEntries"
    edited = {"outcome": "complete", "promotion": "promoted", "approved_by": "airflow:bob"}
    for key in ("return_value", "approval"):
        office.service.client().call("POST", place, {"key": key, "value": edited, "map_index": -1})
    office.service.client().set_task_state("small", run, "promoter", "success")
    # A clear while the scheduler still counts the marked task into the run's end would be lost: it calls the run a success after it.
    wait(lambda: office.run_state(run) == "success", "the run to end by the mark", lambda: office.tells(run))
    office.service.client().clear("small", run, ["promoter"])
    wait(lambda: office.ended(run), "the promoter to be asked again", lambda: office.tells(run))
    assert "and only promoter was asked for again" in office.log(run)
    assert [entry["kind"] for entry in office.entries()] == ["request", "promote", "request"]
    assert office.served == office.events() == [V1]


def test_a_no_is_a_hold_with_who_and_why_and_no_event(office: Office) -> None:
    run = office.trigger("alice", Q3, promote=True)
    wait(lambda: office.waits(run), "the promoter to wait")
    office.insist("bob", run, "Reject", "too few rows", lambda: office.ended(run))
    assert office.service.client().xcom("small", run, "promoter")["promotion"] == "held"
    last = office.entries()[-1]
    assert (last["kind"], last["who"], last["why"], str(last["version"])) == ("decline", "airflow:bob", "too few rows", V3)
    wait(lambda: "NOTICE held" in office.log(run), "the notice")  # what a task says last may reach its log after its state is known
    assert "airflow:bob declined request" in office.log(run)
    assert office.served == office.events() == [V1]


def test_a_run_that_asks_for_nothing_waits_for_nobody(office: Office) -> None:
    run = office.trigger("alice", Q3)
    wait(lambda: office.ended(run), "the promoter to end")
    assert office.service.client().xcom("small", run, "promoter")["promotion"] == "held"


def examine(office: Office) -> tuple[dict[str, Any], str]:
    """Has the doctor look; the run and the log of its last attempt."""
    client = office.service.client()
    run = client.call("POST", "/dags/waybill_doctor/dagRuns", {"logical_date": None})["dag_run_id"]
    wait(lambda: next(r for r in client.runs("waybill_doctor") if r["dag_run_id"] == run)["state"] in ("success", "failed"), "the doctor")
    [task] = client.tasks("waybill_doctor", run)
    wait(lambda: "disagreement" in client.log("waybill_doctor", run, "doctor", task["try_number"]), "the doctor's words")
    return task, client.log("waybill_doctor", run, "doctor", task["try_number"])


def test_the_doctors_dag_is_green_while_everything_agrees_and_red_with_the_disagreements_when_not(office: Office) -> None:
    assert office.service.client().call("GET", "/dags/waybill_doctor")["is_paused"] is False
    task, told = examine(office)
    assert (task["state"], "no disagreements" in told) == ("success", True), told
    config = pathlib.Path(office.service.settings.serving, "models.config")
    kept = config.read_text()
    config.write_text("evil")
    task, told = examine(office)
    assert (task["state"], task["try_number"]) == ("failed", 2)
    for part in ("the Serving base path of small", "it was edited", "1 disagreement"):
        assert part in told
    run = task["dag_run_id"]
    wait(lambda: "NOTICE failed: doctor" in office.service.client().log("waybill_doctor", run, "doctor", 2), "the notice")
    assert config.read_text() == "evil", "it only looks"
    config.write_text(kept)


def test_a_promoter_that_was_marked_as_success_by_hand_is_found_by_the_doctor_and_mended_by_a_clear(office: Office) -> None:
    client = office.service.client()
    run = office.trigger("alice", Q3)
    client.set_task_state("small", run, "promoter", "success")  # before it has run, and so that it never will
    wait(lambda: office.run_state(run) == "success", "Airflow to call the run a success", lambda: office.tells(run))
    _, told = examine(office)
    assert f"Airflow was asked at {client.address}" in told
    assert f"Airflow has small/{run} as success; the store shows neither its end nor a gate that stopped it" in told
    client.clear("small", run, ["promoter"])
    wait(lambda: office.task(run)["state"] == "success" and client.xcom("small", run, "promoter")["promotion"] == "held", "a decision")
    assert f"small/{run}" not in examine(office)[1]


def test_another_airflow_that_the_settings_name_is_asked_with_a_password_or_a_token(office: Office, tmp_path: pathlib.Path) -> None:
    client, login = office.service.client("bob"), tmp_path / "login"
    client.runs("small")
    for text in (":".join(office.service.login("bob")), client._token):
        login.touch(mode=0o600)
        login.write_text(text)
        named = {"WAYBILL_HOME": str(tmp_path), "WAYBILL_AIRFLOW": client.address, "WAYBILL_AIRFLOW_LOGIN_FILE": str(login)}
        asked, said = airflow_of(settings_lib.load(named))
        assert said == f"Airflow was asked at {client.address}"
        assert office.scheduled() in [run["dag_run_id"] for run in asked.runs("small")]
