"""Through the front door: a real Airflow schedules real quarters; one is spoilt, of the other every node is killed in its work.

It runs in Airflow's Python like a person at the keyboard: by the REST API of a service of its own, and by the files that come out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from waybill.cli import host_status, marked
from waybill.cli.airflow_client import AirflowClient, AirflowRefused
from waybill.cli.airflow_environment import MARK
from waybill.cli.services import AirflowService
from waybill.records import settings as settings_lib

GOOD, SPOILT = "2013-01-01", "2013-04-01"
MINUTES = 15
HERE = str(pathlib.Path(__file__).parent)

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
    killed: dict[str, str]
    home: pathlib.Path
    undisturbed: pathlib.Path

    def run(self, start: str) -> dict[str, Any]:
        return next(r for r in self.client.runs("taxi") if str(r["data_interval_start"]).startswith(start))

    def tasks(self, start: str) -> dict[str, dict[str, Any]]:
        return {t["task_id"]: t for t in self.client.tasks("taxi", self.run(start)["dag_run_id"]) if t["map_index"] <= 0}

    def log(self, start: str, task: dict[str, Any], attempt: int) -> str:
        return self.client.log("taxi", self.run(start)["dag_run_id"], task["task_id"], attempt, task["map_index"])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home, undisturbed = tmp_path_factory.mktemp("front-door"), tmp_path_factory.mktemp("undisturbed")
    environ = {"WAYBILL_HOME": str(home), "WAYBILL_CATCHUP": "1", "WAYBILL_SCHEDULE_END": "2013-07-01", "WAYBILL_RETRY_SECONDS": "1"}
    for folder in (home, undisturbed):
        in_tfx({**environ, "WAYBILL_HOME": str(folder)}, "-m", "waybill.cli.main", "init")
        in_tfx({**environ, "WAYBILL_HOME": str(folder), "PYTHONPATH": HERE}, "-c", LAND.format(good=GOOD, spoilt=SPOILT))
    service = AirflowService(settings_lib.load(environ))
    service.start()
    try:
        client = service.client()
        client.wait_for_dag("taxi")
        client.pause("taxi", paused=False)
        with Killer(service.settings) as killer:
            wait(lambda: sum(r["state"] in ("success", "failed") for r in client.runs("taxi")) == 2, "both quarters to end")
        in_tfx({**environ, "WAYBILL_HOME": str(undisturbed)}, "-m", "waybill.cli.main", "run", "taxi", "--interval", GOOD)
        yield Story(service, client, killer.killed, home, undisturbed)
    finally:
        record = service.record()
        service.stop()
        assert record is None or marked.marked(MARK, record.mark) == []


class Killer:
    """Kills the process that works on each node of the good quarter once, as the kernel does when memory runs out.

    A node with much to do is killed when it has written its first file, the others as soon as they are seen.
    """

    LONG = ("example_gen", "statistics_gen", "transform", "trainer", "evaluator")

    def __init__(self, settings: settings_lib.Settings):
        self.killed: dict[str, str] = {}  # unit by node
        self._settings = settings
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.002):
            for lock in self._settings.leases.glob("*.lock"):
                holder, unit, node = (lock.read_text().split() or ["", "", ""])[:3]
                mine = unit.startswith(("taxi.201301010000.", "taxi.span.201301010000.", "taxi.schema."))
                if mine and node not in self.killed and (node not in self.LONG or self._has_written(unit, node)):
                    self._kill(int(holder), unit, node)

    def _has_written(self, unit: str, node: str) -> bool:
        return any((self._settings.artifacts / "taxi" / unit / node).glob("*/*/*"))

    def _kill(self, supervisor: int, unit: str, node: str) -> None:
        """Kills the child of the process that holds the lease, if that still works on it."""
        try:
            children = [int(pid) for pid in pathlib.Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]
            for child in children:
                os.kill(child, signal.SIGKILL)
                self.killed[node] = unit
        except (FileNotFoundError, ProcessLookupError):
            pass  # it ended meanwhile


def in_tfx(environ: dict[str, str], *words: str) -> str:
    python = settings_lib.PROJECT / ".venv/bin/python"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "WAYBILL"))}
    done = subprocess.run(
        [str(python), *words], env={**kept, **environ}, check=True, cwd=settings_lib.PROJECT, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def wait(condition: Callable[[], bool], what: str, tells: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + MINUTES * 60
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except OSError:
            pass  # a process ended while it was looked at
        time.sleep(0.2)
    pytest.fail(f"waited {MINUTES} minutes for {what}\n{tells()}")


def releases(story: Story) -> list[str]:
    return numbers(story.service.settings.releases / "taxi")


def served(story: Story) -> list[str]:
    return numbers(story.service.settings.serving / "taxi")


def numbers(folder: pathlib.Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.isdigit())


def promotions(story: Story) -> int:
    """How often Airflow was told of a promotion."""
    return int(story.client.call("GET", "/assets/events?limit=100")["total_entries"])


def test_a_good_quarter_ends_green_with_its_release_though_a_process_of_every_node_was_killed(story: Story) -> None:
    tasks = story.tasks(GOOD)
    assert story.run(GOOD)["state"] == "success"
    assert {task["state"] for task in tasks.values()} == {"success"}
    assert releases(story) == served(story) == ["20130401000001"]
    assert promotions(story) == 1
    assert set(story.killed) == set(tasks) - {"run_spec"}
    again = {name for name, task in tasks.items() if task["try_number"] == 2}
    # A span and the schema belong to both quarters: the other one's task may have been at work when it was killed. A short node's
    # process may have been killed before it had its work or after it had answered, which costs nobody anything.
    assert {name for name, unit in story.killed.items() if ".g1" in unit and name in Killer.LONG} <= again
    assert {"transform", "trainer", "evaluator"} <= again
    for name in again:
        assert "killed by SIGKILL" in story.log(GOOD, tasks[name], 1), name
    assert not list(story.service.settings.scratch.rglob("trainer")), "nobody has to go on from there any more"


def test_a_quarter_whose_every_node_was_killed_has_left_exactly_what_an_undisturbed_one_leaves(story: Story) -> None:
    assert shapes(story, story.home) == shapes(story, story.undisturbed)


def test_nodes_are_forked_from_the_warm_host_and_say_so(story: Story) -> None:
    [host] = {pid for name, (pid, _) in story.service.record().processes.items() if name == "host"}
    for name, task in story.tasks(GOOD).items():
        assert f"forked from host {host}" in story.log(GOOD, task, task["try_number"]), name


def shapes(story: Story, home: pathlib.Path) -> dict[str, Any]:
    words = [str(pathlib.Path(HERE, "shapes.py")), "taxi", json.dumps(story.killed)]
    return json.loads(in_tfx({"WAYBILL_HOME": str(home), "PYTHONPATH": HERE}, *words))


def test_a_spoilt_quarter_stops_red_at_its_gate_without_retries_and_says_why(story: Story) -> None:
    tasks = story.tasks(SPOILT)
    assert story.run(SPOILT)["state"] == "failed"
    assert (tasks["data_gate"]["state"], tasks["data_gate"]["try_number"]) == ("failed", 1)
    assert tasks["pusher"]["state"] == tasks["promoter"]["state"] == "upstream_failed"
    told = story.log(SPOILT, tasks["data_gate"], 1)
    assert "BLOCKED" in told
    assert "Barter" in told
    assert "Traceback" not in told
    assert "task_runner.py" not in told
    assert len(told.splitlines()) < 100, "what a person wants to read is not buried"


def test_the_report_of_a_blocked_gate_is_for_people_who_are_logged_in(story: Story) -> None:
    run = urllib.parse.quote(story.run(SPOILT)["dag_run_id"], safe="")
    address = f"{story.client.address}/waybill/report/taxi/{run}/data_gate?map_index={{MAP_INDEX}}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        opener.open(address)
    with opener.open(urllib.request.Request(address, headers={"Authorization": f"Bearer {story.client._token}"})) as answer:
        page, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert "data_gate: BLOCKED" in page
    assert "Barter" in page
    assert "<svg" in page
    assert policy.startswith("default-src 'none'")


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
    assert releases(story) == served(story) == ["20130401000001"]


BEFORE = {"pusher": ("trainer", "baseline", "evaluator", "infra_validator", "model_gate"), "promoter": ("pusher",)}


@pytest.mark.parametrize("task", BEFORE)
def test_a_stop_after_a_blocked_gate_is_refused_though_everything_before_it_was_marked_as_success(story: Story, task: str) -> None:
    run = story.run(SPOILT)["dag_run_id"]
    wait(lambda: is_refused(story, run, task), f"{task} to be refused")
    told = story.client.log("taxi", run, task, story.tasks(SPOILT)[task]["try_number"])
    assert "needs a PASS of" in told
    assert releases(story) == served(story) == ["20130401000001"]


def is_refused(story: Story, run: str, task: str) -> bool:
    """Marks all before a task as success and clears it, until it has run: what is marked has others run, which fail and undo the marks."""
    state = story.tasks(SPOILT)[task]["state"]
    if state == "upstream_failed":
        for upstream in BEFORE[task]:
            with contextlib.suppress(AirflowRefused):  # it is one already
                story.client.set_task_state("taxi", run, upstream, "success")
        story.client.clear("taxi", run, [task], downstream=False)
    return bool(state == "failed")


def test_a_run_whose_spec_was_exchanged_for_another_runs_is_refused(story: Story) -> None:
    good, run = story.run(GOOD)["dag_run_id"], story.run(SPOILT)["dag_run_id"]
    spec = story.client.xcom("taxi", good, "run_spec", "spec")
    place = f"/dags/taxi/dagRuns/{urllib.parse.quote(run, safe='')}/taskInstances/run_spec/xcomEntries/spec"
    story.client.call("PATCH", place, {"value": spec, "map_index": -1})
    with contextlib.suppress(AirflowRefused):  # it is one already
        story.client.set_task_state("taxi", run, "pusher", "success")
    story.client.clear("taxi", run, ["promoter"], downstream=False)
    wait(lambda: "what run_spec left was changed" in story.client.log("taxi", run, "promoter", attempts(story)), "the refusal")
    assert releases(story) == served(story) == ["20130401000001"]


def attempts(story: Story) -> int:
    return int(story.tasks(SPOILT)["promoter"]["try_number"])


def test_a_cleared_gate_that_was_green_is_executed_again_as_the_next_generation_cold_when_the_host_is_gone(story: Story) -> None:
    run = story.run(GOOD)["dag_run_id"]
    os.kill(story.service.record().processes["host"][0], signal.SIGKILL)
    story.client.clear("taxi", run, ["model_gate"])
    wait(lambda: story.run(GOOD)["state"] == "success" and len(releases(story)) == 2, "the second generation")
    assert releases(story) == ["20130401000001", "20130401000002"]
    assert story.client.xcom("taxi", run, "promoter")["promotion"] == "held"
    assert served(story) == ["20130401000001"] and promotions(story) == 1, "a hold changes nothing and is no event"
    told = json.dumps(story.client.xcom("taxi", run, "model_gate"))
    assert "PASS" in told
    tasks = story.tasks(GOOD)
    assert "cold: in an interpreter of its own, since no warm host takes it: nobody answers" in story.log(
        GOOD, tasks["pusher"], tasks["pusher"]["try_number"]
    )


def test_a_second_up_starts_only_the_host_that_had_ended(story: Story) -> None:
    before = story.service.record()
    os_host = before.processes["host"]
    after = story.service.start()
    assert after.processes["host"] != os_host
    assert {k: v for k, v in after.processes.items() if k != "host"} == {k: v for k, v in before.processes.items() if k != "host"}
    assert host_status.ask(story.service.settings)["pid"] == after.processes["host"][0]


def by_id(story: Story, run_id: str) -> dict[str, Any]:
    return next(r for r in story.client.runs("taxi") if r["dag_run_id"] == run_id)
