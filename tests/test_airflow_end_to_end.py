"""Through the front door: a real Airflow schedules real quarters; one is good, one is spoilt, one of its processes is killed.

It runs in Airflow's Python like a person at the keyboard: by the REST API of a service of its own, and by the files that come out.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from waybill.cli import marked
from waybill.cli.airflow_client import AirflowClient
from waybill.cli.airflow_environment import MARK
from waybill.cli.services import AirflowService
from waybill.records import settings as settings_lib

GOOD, SPOILT = "2013-01-01", "2013-04-01"
MINUTES = 15

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not (settings_lib.PROJECT / ".venv/bin/python").is_file(), reason="TFX's Python is not installed; `make test` does"),
]

LAND = """
import pathlib, taxi_data
from waybill.launch.landing import deliver
from waybill.launch.window import interval_from
from waybill.records import settings
from waybill.records.interval import parse_moment
from pipelines.taxi.settings import SETTINGS
for start, spoil in (("{good}", list), ("{spoilt}", taxi_data.new_payment_type_in_a_tenth)):
    data = taxi_data.partition(start, spoil)
    deliver(settings.load().landing, "taxi", interval_from(SETTINGS, parse_moment(start)), {{"data.csv": data}}, data.count(b"\\n") - 1)
"""


@dataclasses.dataclass
class Story:
    """A finished pass over both quarters, and the service it ran on."""

    service: AirflowService
    client: AirflowClient
    killed: int

    def run(self, start: str) -> dict[str, Any]:
        return next(r for r in self.client.runs("taxi") if str(r["data_interval_start"]).startswith(start))

    def tasks(self, start: str) -> dict[str, dict[str, Any]]:
        return {t["task_id"]: t for t in self.client.tasks("taxi", self.run(start)["dag_run_id"])}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home = tmp_path_factory.mktemp("front-door")
    environ = {"WAYBILL_HOME": str(home), "WAYBILL_CATCHUP": "1", "WAYBILL_SCHEDULE_END": "2013-07-01"}
    in_tfx(environ, "-m", "waybill.cli.main", "init")
    in_tfx({**environ, "PYTHONPATH": str(pathlib.Path(__file__).parent)}, "-c", LAND.format(good=GOOD, spoilt=SPOILT))
    service = AirflowService(settings_lib.load(environ))
    service.start()
    try:
        client = service.client()
        client.wait_for_dag("taxi")
        client.pause("taxi", paused=False)
        killed = kill_once(service, "trainer")
        wait(lambda: sum(r["state"] in ("success", "failed") for r in client.runs("taxi")) == 2, "both quarters to end")
        yield Story(service, client, killed)
    finally:
        record = service.record()
        service.stop()
        assert record is None or marked.marked(MARK, record.mark) == []


def in_tfx(environ: dict[str, str], *words: str) -> None:
    python = settings_lib.PROJECT / ".venv/bin/python"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "WAYBILL"))}
    subprocess.run([str(python), *words], env={**kept, **environ}, check=True, cwd=settings_lib.PROJECT)


def kill_once(service: AirflowService, node: str) -> int:
    """Kills the process that works on a node, as the kernel does when memory runs out; returns its id."""
    work: list[int] = []

    def found() -> bool:
        for pid in marked.marked(MARK, service.record().mark):
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() if marked.running(pid) else b""
            folder = next(iter(service._settings.artifacts.glob(f"taxi/taxi.*.g*/{node}/model/*")), None)
            if b"waybill.cli.execute" in command and folder is not None:
                work.append(pid)
        return bool(work)

    wait(found, f"{node} to begin")
    os.kill(work[0], signal.SIGKILL)
    return work[0]


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + MINUTES * 60
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass  # a process ended while it was looked at
        time.sleep(0.2)
    pytest.fail(f"waited {MINUTES} minutes for {what}")


def releases(story: Story) -> list[str]:
    base = story.service._settings.serving / "taxi"
    return sorted(p.name for p in base.iterdir() if p.name.isdigit())


def test_a_good_quarter_ends_green_with_its_release_though_a_process_was_killed(story: Story) -> None:
    assert story.run(GOOD)["state"] == "success"
    assert {task["state"] for task in story.tasks(GOOD).values()} == {"success"}
    assert releases(story) == ["20130401000001"]
    tries = {name: task["try_number"] for name, task in story.tasks(GOOD).items() if task["try_number"] != 1}
    assert tries == {"trainer": 2}
    told = story.client.log("taxi", story.run(GOOD)["dag_run_id"], "trainer", 1)
    assert "killed by SIGKILL" in told


def test_a_spoilt_quarter_stops_red_at_its_gate_without_retries_and_says_why(story: Story) -> None:
    tasks = story.tasks(SPOILT)
    assert story.run(SPOILT)["state"] == "failed"
    assert (tasks["data_gate"]["state"], tasks["data_gate"]["try_number"]) == ("failed", 1)
    assert tasks["pusher"]["state"] == "upstream_failed"
    told = story.client.log("taxi", story.run(SPOILT)["dag_run_id"], "data_gate", 1)
    assert "BLOCKED" in told
    assert "Barter" in told


def test_a_manual_run_that_names_no_interval_is_refused_clearly(story: Story) -> None:
    run = story.client.trigger("taxi", {})["dag_run_id"]
    wait(lambda: by_id(story, run)["state"] == "failed", "the manual run to be refused")
    task = next(t for t in story.client.tasks("taxi", run) if t["task_id"] == "run_spec")
    told = story.client.log("taxi", run, "run_spec", task["try_number"])
    assert task["try_number"] == 1
    assert "a manual run must name its interval" in told


def test_marking_a_blocked_gate_as_success_in_the_ui_lets_nothing_past_it(story: Story) -> None:
    run = story.run(SPOILT)["dag_run_id"]
    story.client.set_task_state("taxi", run, "data_gate", "success")
    story.client.clear("taxi", run, ["transform"])
    wait(lambda: story.tasks(SPOILT)["transform"]["state"] == "failed", "transform to be refused")
    told = story.client.log("taxi", run, "transform", story.tasks(SPOILT)["transform"]["try_number"])
    assert "needs a PASS of data_gate" in told
    assert releases(story) == ["20130401000001"]


def test_a_cleared_gate_that_was_green_is_executed_again_as_the_next_generation(story: Story) -> None:
    run = story.run(GOOD)["dag_run_id"]
    story.client.clear("taxi", run, ["model_gate"])
    wait(lambda: story.run(GOOD)["state"] == "success" and len(releases(story)) == 2, "the second generation")
    assert releases(story) == ["20130401000001", "20130401000002"]
    told = json.dumps(story.client.xcom("taxi", run, "model_gate"))
    assert "PASS" in told


def by_id(story: Story, run_id: str) -> dict[str, Any]:
    return next(r for r in story.client.runs("taxi") if r["dag_run_id"] == run_id)
