"""Through the front door: whatever is backfilled, reprocessed or cleared, what is served stays, and nothing is judged by its future."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from test_airflow_end_to_end import HERE, in_tfx, numbers, wait
from waiver_form import Form

from waybill.cli import marked
from waybill.cli.airflow_client import AirflowClient
from waybill.cli.airflow_environment import MARK
from waybill.cli.services import AirflowService
from waybill.records import settings as settings_lib

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not (settings_lib.PROJECT / ".venv/bin/python").is_file(), reason="TFX's Python is not installed; `make test` does"),
]

Q1, Q2, Q3, Q4 = "2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01"
V1, V2, V3, V4 = "20130401000001", "20130701000001", "20131001000001", "20140101000001"
QUICK = {"train_steps": 300, "window": 1}
LAND = """
import taxi_data
from pipelines.taxi.settings import SETTINGS
from waybill.launch.landing import deliver
from waybill.launch.window import interval_from
from waybill.records import settings
from waybill.records.interval import parse_moment
for start in ("2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01", "2015-07-01", "2015-10-01", "2016-01-01", "2016-04-01"):
    data = taxi_data.partition(start)
    deliver(settings.load().landing, "taxi", interval_from(SETTINGS, parse_moment(start)), {"data.csv": data}, data.count(b"\\n") - 1)
"""


@dataclasses.dataclass
class Year:
    """An Airflow whose schedule has made two quarters, and then what people did."""

    service: AirflowService
    client: AirflowClient
    steps: dict[str, dict[str, Any]]

    @property
    def served(self) -> list[str]:
        return numbers(self.service.settings.serving / "taxi")

    @property
    def released(self) -> list[str]:
        return numbers(self.service.settings.releases / "taxi")

    def state(self, run_id: str) -> str:
        return next(str(r["state"]) for r in self.client.runs("taxi") if r["dag_run_id"] == run_id)

    def ended(self, run_id: str) -> bool:
        return self.state(run_id) in ("success", "failed")

    def of(self, start: str) -> str:
        return next(str(r["dag_run_id"]) for r in self.client.runs("taxi") if str(r["data_interval_start"]).startswith(start))

    def look(self, step: str, run_id: str) -> None:
        """Notes what a step has led to: the run's tasks, what they left, what is served."""
        tasks = {task["task_id"]: task for task in self.client.tasks("taxi", run_id)}
        done = [name for name in ("transform", "trainer", "baseline", "promoter") if tasks[name]["state"] == "success"]
        left = {name: self.client.xcom("taxi", run_id, name) for name in done}
        last = "promoter" if "promoter" in done else "model_gate"
        log = self.client.log("taxi", run_id, last, tasks[last]["try_number"])
        self.steps[step] = {"state": {t["state"] for t in tasks.values()}, **left, "served": self.served, "log": log}


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Year]:
    home = tmp_path_factory.mktemp("year")
    environ = {"WAYBILL_HOME": str(home), "WAYBILL_RETRY_SECONDS": "1", "WAYBILL_SCHEDULE_END": Q3, "WAYBILL_CATCHUP": "1"}
    environ["WAYBILL_AIRFLOW_USERS"] = "alice,bob"
    in_tfx(environ, "-m", "waybill.cli.main", "init")
    in_tfx({**environ, "PYTHONPATH": HERE}, "-c", LAND)
    service = AirflowService(settings_lib.load(environ))
    service.start()
    try:
        found = Year(service, service.client(), {})
        live(found)
        yield found
    finally:
        record = service.record()
        service.stop()
        assert record is None or marked.marked(MARK, record.mark) == []


def live(year: Year) -> None:
    """The schedule makes Q1 and Q2; Q1 is backfilled; Q3 and Q4 asked for by hand at once; Q2 reprocessed twice; Q1's trainer cleared."""
    client = year.client
    client.wait_for_dag("taxi")
    client.pause("taxi", paused=False)
    wait(lambda: [run["state"] for run in client.runs("taxi")] == ["success"] * 2, "the schedule's runs to end well")
    year.look("schedule", year.of(Q2))
    backfill = client.backfill("taxi", Q1, Q1, reprocess="completed", conf=QUICK)
    wait(lambda: "20130401000002" in year.released and year.ended(year.of(Q1)), "the older quarter to end")
    year.look("backfill", year.of(Q1))
    newer = [client.trigger("taxi", {"interval_start": start, **QUICK})["dag_run_id"] for start in (Q3, Q4)]
    wait(lambda: all(year.ended(run) for run in newer), "the two newer quarters to end")
    year.look("by hand", newer[0])
    year.look("beside it", newer[1])
    wait(lambda: client.backfill_ended(backfill["id"]), "Airflow to call the backfill ended")
    backfill = client.backfill("taxi", Q2, Q2, reprocess="completed", conf={**QUICK, "train_steps": 10})
    wait(lambda: year.state(year.of(Q2)) == "failed", "the gate to stop the promoted quarter, hardly trained")
    year.look("hardly trained", year.of(Q2))
    wait(lambda: client.backfill_ended(backfill["id"]), "Airflow to call that backfill ended")
    client.backfill("taxi", Q2, Q2, reprocess="completed", conf={**QUICK, "train_steps": 310})
    wait(lambda: "20130701000003" in year.released and year.ended(year.of(Q2)), "the promoted quarter to be made again")
    year.look("reprocessed", year.of(Q2))
    client.clear("taxi", year.of(Q1), ["trainer"])
    wait(lambda: "20130401000003" in year.released and year.ended(year.of(Q1)), "the cleared part to be made again")
    year.look("cleared", year.of(Q1))


def test_the_schedule_promotes_what_it_made(year: Year) -> None:
    made = year.steps["schedule"]
    assert made["promoter"]["promotion"] == "promoted"
    assert made["served"] == [V1, V2], "the one before stays below it"


def test_an_older_quarter_that_is_backfilled_is_held_and_judged_by_nothing_newer(year: Year) -> None:
    made = year.steps["backfill"]
    assert made["state"] == {"success"}, "to be held is no failure"
    assert made["promoter"]["promotion"] == "held"
    assert f"before that of {V2}, which is served" in made["log"]
    assert "no baseline yet" in made["baseline"]["message"]
    assert made["served"] == [V1, V2]


def test_the_quarter_after_it_is_compared_with_the_newest_older_one_whatever_was_made_last(year: Year) -> None:
    made = year.steps["by hand"]
    assert f"release {V2} " in made["baseline"]["message"]
    assert made["promoter"]["promotion"] == "held"
    assert made["served"] == [V1, V2]


def test_a_quarter_that_runs_beside_the_one_before_it_waits_for_it_and_is_compared_with_it(year: Year) -> None:
    assert f"release {V3} " in year.steps["beside it"]["baseline"]["message"]


def test_the_promoted_quarter_reprocessed_with_ten_steps_is_really_made_again_and_stopped_by_the_gate(year: Year) -> None:
    made = year.steps["hardly trained"]
    assert {made[node]["outcome"] for node in ("transform", "trainer")} == {"complete"}
    assert {made[node]["run"] for node in ("transform", "trainer")} == {"taxi.201304010000.g2"}
    assert "model_gate: BLOCKED" in made["log"] and "promoter" not in made
    assert "20130701000002" not in year.released
    assert made["served"] == [V1, V2]


def test_the_promoted_quarter_reprocessed_with_enough_steps_is_really_made_again_and_held(year: Year) -> None:
    made = year.steps["reprocessed"]
    assert {made[node]["outcome"] for node in ("transform", "trainer")} == {"complete"}
    assert {made[node]["run"] for node in ("transform", "trainer")} == {"taxi.201304010000.g3"}
    assert made["promoter"]["promotion"] == "held"
    assert made["served"] == [V1, V2]


def test_clearing_from_the_trainer_on_reuses_what_is_before_it_and_shows_the_whole_chain(year: Year) -> None:
    made = year.steps["cleared"]
    assert made["transform"]["run"] == "taxi.201301010000.g2"
    assert made["trainer"]["run"] == "taxi.201301010000.g3"
    assert made["served"] == [V1, V2]
    code = (
        "from waybill.lineage import chain; from waybill.records import settings; from waybill.store.connection import Store;"
        "store = Store(settings.load().store_url);"
        "print(sorted({l.artifact.type for l in chain.trace(store, chain.release(store, 'taxi', 20130401000003))}))"
    )
    found = in_tfx({"WAYBILL_HOME": str(year.service.settings.home)}, "-c", code)
    for kind in ("Examples", "Model", "PushedModel", "Schema", "TransformGraph", "WaybillVerdict"):
        assert kind in found


def test_every_release_is_kept_and_the_command_line_says_which_is_served(year: Year) -> None:
    assert year.released == [V1, "20130401000002", "20130401000003", V2, "20130701000003", V3, V4]
    home = {"WAYBILL_HOME": str(year.service.settings.home)}
    assert f"release {V2} is served" in in_tfx(home, "-m", "waybill.cli.main", "status", "taxi")
    lines = in_tfx(home, "-m", "waybill.cli.main", "releases", "taxi").splitlines()
    told = {line.split()[0]: line for line in lines if line[:2] == "20"}
    assert "stable, superseded" in told[V2]
    assert "it comes from a manual run" in told[V4]


def test_a_quarter_of_a_fifth_of_the_rows_is_let_pass_by_two_users_and_the_next_one_is_not(year: Year) -> None:
    thin = {"window": 3, "train_steps": 300}
    runs = [year.client.trigger("taxi", {"interval_start": start, **thin})["dag_run_id"] for start in ("2016-01-01", "2016-04-01")]
    wait(lambda: all(year.ended(run) for run in runs), "both thin quarters to end")
    assert {run: gate(year, run)[0] for run in runs} == dict.fromkeys(runs, "failed")
    assert "volume.rows on span 201601010000" in gate(year, runs[0])[1]
    form, until = Form(year.service), dt.datetime.now(dt.timezone.utc).date() + dt.timedelta(days=30)
    fields = {"pipeline": "taxi", "gate": "data_gate", "rule": "volume.rows", "why": "one company stopped reporting", "until": str(until)}
    asked = form.asks("alice", interval="2016-01-01", **fields)
    wait(lambda: form.waits(asked), "the form to wait for somebody else")
    assert form.page(asked)["subject"].startswith("Waive volume.rows on span 201601010000 at data_gate of taxi, interval 2016-01-01?")
    form.insists("alice", asked, "Approve", lambda: "approval by airflow:alice, who asked for it, does not count" in form.log(asked))
    wait(lambda: form.waits(asked), "the form to wait again")
    form.insists("bob", asked, "Approve", lambda: form.state(asked) == "success")
    assert "is approved by airflow:bob" in form.log(asked)
    for run in runs:
        year.client.clear("taxi", run, ["data_gate"])
    wait(lambda: gate(year, runs[0])[0] == "success" and gate(year, runs[1])[0] == "failed", "the gates to judge again")
    told = gate(year, runs[0])[1]
    assert "data_gate: WAIVED" in told and "airflow:alice" in told and "airflow:bob" in told
    assert "BLOCKED" in gate(year, runs[1])[1], "a waiver is for one interval"
    wait(lambda: all(year.ended(run) for run in runs), "both thin quarters to end again")


def gate(year: Year, run: str) -> tuple[str, str]:
    """State and last log of a run's data gate."""
    task = next(task for task in year.client.tasks("taxi", run) if task["task_id"] == "data_gate")
    return str(task["state"]), year.client.log("taxi", run, "data_gate", max(1, task["try_number"]))
