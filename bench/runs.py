"""One quarter, run in turn by everything that can run it -> seconds of each, from being asked to the release.

Every run begins in a home of its own, where nothing has been made: what is measured is work, not caches. The runs take turns, so that a
machine that is busy for a while is busy for all of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping

from bench.quarter import END, START, land
from waybill.cli import host_status
from waybill.cli.airflow_client import AirflowClient
from waybill.cli.services import HOST, AirflowService
from waybill.records import settings as settings_lib
from waybill.records.interval import parse_moment
from waybill.records.settings import PROJECT, Settings

LOCAL, WARM, COLD, EMPTY = "TFX LocalDagRunner", "Airflow, warm host", "Airflow, cold nodes", "Airflow, empty tasks"
PEER = "TFX AirflowDagRunner"
_WORKED = re.compile(r"of which its executor worked ([0-9.]+) s")
_MINUTES = 20


@dataclasses.dataclass(frozen=True)
class Run:
    """One measured run.

    Attributes:
      seconds: From being asked to the end.
      executors: Seconds that each node's executor worked; empty where nobody notes them.
      starting: Seconds that the services took to start before, which no run of theirs pays for.
      importing: Seconds of them that the host imported TFX.
    """

    seconds: float
    executors: dict[str, float] = dataclasses.field(default_factory=dict)
    starting: float = 0.0
    importing: float = 0.0


def measure(rounds: int, say: Callable[[str], None]) -> dict[str, list[Run]]:
    """All kinds that `make bench` compares, `rounds` of each."""
    return measure_kinds({LOCAL: local_runner, WARM: warm, COLD: cold, EMPTY: empty}, rounds, say)


def measure_kinds(kinds: Mapping[str, Callable[[pathlib.Path], Run]], rounds: int, say: Callable[[str], None]) -> dict[str, list[Run]]:
    """Runs of each kind, in turns, each in an empty folder."""
    found: dict[str, list[Run]] = {name: [] for name in kinds}
    for number in range(rounds):
        for name, run in kinds.items():
            folder = pathlib.Path(tempfile.mkdtemp(prefix="waybill-bench-"))
            try:
                found[name].append(run(folder))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            say(f"round {number + 1} of {rounds}: {name:<22} {found[name][-1].seconds:6.1f} s")
    return found


def local_runner(folder: pathlib.Path) -> Run:
    """TFX's LocalDagRunner, a whole process from its start to its end."""
    with (folder / "log").open("wb") as log:
        began = time.monotonic()
        status = subprocess.run(
            [sys.executable, "-m", "bench.local_runner", str(folder)], cwd=PROJECT, stdout=log, stderr=log, check=False
        ).returncode
        seconds = time.monotonic() - began
    if status:
        raise SystemExit(f"LocalDagRunner ended with status {status}:\n" + (folder / "log").read_text(errors="replace")[-3000:])
    return Run(seconds)


def warm(folder: pathlib.Path) -> Run:
    """Ours, through Airflow, each node a fork of the warm host."""
    with airflow(folder) as (service, client, starting):
        importing = float(host_status.ask(service.settings)["imported_in"])
        run = scheduled(client)
        return dataclasses.replace(run, starting=starting, importing=importing, executors=executors(client))


def cold(folder: pathlib.Path) -> Run:
    """Ours, through Airflow, each node an interpreter of its own."""
    with airflow(folder) as (service, client, starting):
        record = service.record()
        if record:
            os.kill(record.processes[HOST][0], signal.SIGKILL)
        return dataclasses.replace(scheduled(client), starting=starting)


def empty(folder: pathlib.Path) -> Run:
    """The same DAG with tasks that do nothing."""
    with airflow(folder, PROJECT / "bench" / "empty") as (_, client, starting):
        return dataclasses.replace(scheduled(client), starting=starting)


@contextlib.contextmanager
def airflow(home: pathlib.Path, dags: pathlib.Path = PROJECT / "dags") -> Iterator[tuple[AirflowService, AirflowClient, float]]:
    """A fresh installation whose schedule has one quarter to catch up, ready to run it."""
    settings = settings_lib.load({"WAYBILL_HOME": str(home), "WAYBILL_CATCHUP": "1", "WAYBILL_SCHEDULE_END": END})
    prepare(settings)
    service = AirflowService(settings, say=lambda line: None, dags=dags)
    began = time.monotonic()
    service.start()
    try:
        client = service.client()
        client.wait_for_dag("taxi")
        yield service, client, time.monotonic() - began
    finally:
        service.stop()


def prepare(settings: Settings) -> None:
    """Makes the store and lands the data, as a set-up would have done."""
    command = [sys.executable, "-m", "waybill.cli.main", "init"]
    environ = {**os.environ, "WAYBILL_HOME": str(settings.home)}
    subprocess.run(command, cwd=PROJECT, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    land(settings.landing, START)


def scheduled(client: AirflowClient) -> Run:
    """Lets the schedule make its run; from the moment it is queued to its end, as Airflow's database has them."""
    client.pause("taxi", paused=False)
    deadline = time.monotonic() + _MINUTES * 60
    while time.monotonic() < deadline:
        for run in client.runs("taxi"):
            if run["state"] == "success":
                began, ended = (parse_moment(run[name]) for name in ("queued_at", "end_date"))
                return Run((ended - began).total_seconds())
            if run["state"] == "failed":
                raise SystemExit(f"the run of {run['dag_run_id']} failed; what does not end well is not compared")
        time.sleep(0.2)
    raise SystemExit(f"the run had not ended after {_MINUTES} minutes")


def executors(client: AirflowClient) -> dict[str, float]:
    """How long each node's executor worked, from the tasks' logs."""
    [run] = client.runs("taxi")
    found = {}
    for task in client.tasks("taxi", run["dag_run_id"]):
        log = client.log("taxi", run["dag_run_id"], task["task_id"], task["try_number"], task["map_index"])
        if worked := _WORKED.search(log):
            found[task["task_id"]] = float(worked[1])
    return found
