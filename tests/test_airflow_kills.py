"""Through the front door: at every line of every node Airflow's scheduler is killed and started again, and once in each the warm host.

One scheduled run goes through all of it, held still at each line until the scheduler is dead and back; `make prove` only, some minutes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import fault_lines
import pytest
from fault_lines import Line
from faults import Faults
from watcher import Watcher, report

from waybill.cli import host_status, marked
from waybill.cli.airflow_client import AirflowClient, AirflowRefused, AirflowUnreachable
from waybill.cli.airflow_environment import MARK
from waybill.cli.services import AirflowService
from waybill.records import settings as settings_lib
from waybill.records.interval import parse_moment

if "PROOF_ALL" not in os.environ:
    pytest.skip("takes minutes; `make prove` runs it", allow_module_level=True)

Q1, Q2, Q3, END = "2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01"
V1, V2, V3 = "20130401000001", "20130701000001", "20131001000001"
TFX = settings_lib.PROJECT / ".venv/bin/python"
SECONDS = 180
# The host is killed in a node's first attempt, before anything lasts that would spare the second a line; there, the scheduler.
WITH_HOST = {"run_spec": "freeze.saved", "promoter": "journal.written", "pusher": "publish.sealed"}
CASES = [
    case
    for node, points in fault_lines.OF_RUN.items()
    for case in (
        ("host", Line("run", node, WITH_HOST.get(node, "launch.registered"))),
        *(("scheduler", Line("run", node, point)) for point in points),
    )
]


@dataclasses.dataclass
class Front:
    """An Airflow whose one run is held at a line."""

    service: AirflowService
    client: AirflowClient
    faults: Faults
    watcher: Watcher
    scheduler: int  # or, at first, who would start it again
    kept: bool = True
    unpaused: bool = False

    def hold(self, line: Line) -> int:
        """Lets the run go on to a line and holds it there; returns the process that is held."""
        self.faults.arm(line.doing, line.point)
        self.faults.release()
        if not self.unpaused:
            self.client.pause("small", paused=False)
            self.unpaused = True
        wait(lambda: self.faults.held_at(line.doing, line.point), f"{line.doing} to come to {line.point}")
        self.watcher.wait_for_a_look()
        self.faults.disarm()
        return self.faults.held_at(line.doing, line.point)

    def kill_scheduler(self) -> Callable[[], None]:
        """Kills the scheduler, and those of its workers that have nothing to do; returns what starts it again.

        Its keeper is killed before it, since here the next one is to come when the test says so.
        """
        if self.kept:
            [scheduler] = children(self.scheduler)
            os.kill(self.scheduler, signal.SIGKILL)
            self.scheduler, self.kept = scheduler, False
        proc = pathlib.Path(f"/proc/{self.scheduler}")
        words = (proc / "cmdline").read_bytes().decode().rstrip("\0").split("\0")
        environment = dict(entry.split("=", 1) for entry in (proc / "environ").read_bytes().decode().split("\0") if "=" in entry)
        idle = [pid for pid in children(self.scheduler) if not children(pid)]
        for pid in (self.scheduler, *idle):
            os.kill(pid, signal.SIGKILL)
        wait(lambda: not marked.running(self.scheduler), "the scheduler to be gone")

        def again() -> None:
            log = self.service.home / "logs" / "components" / "scheduler again.log"
            # What its predecessor had at work is at work still: without this it would be begun anew after half a minute.
            patient = {"AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "3600"}
            began = dt.datetime.now(dt.timezone.utc)
            with log.open("ab") as output:
                process = subprocess.Popen(
                    words, env={**environment, **patient}, cwd=self.service.home, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True,
                )  # fmt: skip
            process.returncode = 0  # it outlives this test
            self.scheduler = process.pid
            wait(lambda: self._heartbeat() > began, "the scheduler to be back")

        return again

    def _heartbeat(self) -> dt.datetime:
        beat = self.client.health()["scheduler"]["latest_scheduler_heartbeat"]
        return parse_moment(beat) if beat else dt.datetime.min.replace(tzinfo=dt.timezone.utc)

    def kill_host(self) -> None:
        """Kills the warm host, and starts it again."""
        pid = host_status.ask(self.service.settings)["pid"]
        proc = pathlib.Path(f"/proc/{pid}")
        words = (proc / "cmdline").read_bytes().decode().rstrip("\0").split("\0")
        environment = dict(entry.split("=", 1) for entry in (proc / "environ").read_bytes().decode().split("\0") if "=" in entry)
        os.kill(pid, signal.SIGKILL)
        wait(lambda: not marked.running(pid), "the host to be gone")
        with (self.service.home / "logs" / "components" / "host again.log").open("ab") as output:
            process = subprocess.Popen(
                words,
                env=environment,
                cwd=self.service.home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        process.returncode = 0  # it outlives this test

    def run(self) -> dict:
        [run] = self.client.runs("small")
        return run


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    subprocess.run([str(TFX), str(pathlib.Path(__file__).with_name("small_here.py")), str(folder), Q3, END, Q1, Q2], check=True)
    faults = Faults(folder / "faults", folder / "home")
    environ = {
        "WAYBILL_HOME": str(folder / "home"), "WAYBILL_TFX_PYTHON": str(folder / "python"), "WAYBILL_FAULTS": str(faults.folder),
        "WAYBILL_CATCHUP": "1", "WAYBILL_RETRY_SECONDS": "1",
    }  # fmt: skip
    settings = settings_lib.load(environ)
    watcher = Watcher(folder / "seen", settings.releases / "small", settings.serving / "small")
    service = AirflowService(settings, dags=folder / "dags")
    record = service.start()
    made = Front(service, service.client(), faults, watcher, record.processes["scheduler"][0])
    try:
        made.client.wait_for_dag("small")
        yield made
        faults.disarm()
        faults.release()
        ended_as_the_rules_say(made, folder / "python", environ)
    finally:
        faults.disarm()
        faults.release()
        service.stop()
        seen = watcher.stop()
    assert marked.marked(MARK, record.mark) == [], "nothing is left of it"
    report(seen)
    assert not seen.problems, "\n".join(seen.problems)


def ended_as_the_rules_say(front: Front, python: pathlib.Path, environ: dict[str, str]) -> None:
    """Asserts that the run ends well by itself, and record and folders are as after an undisturbed one."""
    wait(lambda: front.run()["state"] in ("success", "failed"), "the run to end")
    tasks = {task["task_id"]: task["state"] for task in front.client.tasks("small", front.run()["dag_run_id"])}
    assert tasks == dict.fromkeys(fault_lines.OF_RUN, "success")
    settings = front.service.settings
    assert sorted(path.name for path in (settings.releases / "small").iterdir()) == [".publish.lock", V1, V2, V3]
    assert sorted(path.name for path in (settings.serving / "small").iterdir()) == [".publish.lock", V2, V3]
    words = [str(python), "-m", "waybill.cli.main", "doctor", "small"]
    doctor = subprocess.run(words, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert doctor.returncode == 0, doctor.stdout


@pytest.mark.parametrize(("victim", "line"), CASES, ids=str)
def test_the_run_goes_on_whoever_is_killed_while_it_is_at_a_line(front: Front, victim: str, line: Line) -> None:
    wrong = front.watcher.seen().wrong
    held = front.hold(line)
    if victim == "host":
        front.kill_host()
        wait(lambda: not marked.running(held), "the node to end with its host")
        front.faults.release()
    else:
        again = front.kill_scheduler()
        front.watcher.wait_for_a_look()
        if line.point == fault_lines.OF_RUN[line.doing][-1]:  # nobody is there when the task ends
            front.faults.release()
            wait(lambda: not marked.running(held), "the node to end without a scheduler")
        again()
    front.watcher.wait_for_a_look()
    seen = front.watcher.seen()
    assert seen.wrong == wrong, "\n".join(seen.problems)


def children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


def wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, AirflowUnreachable, AirflowRefused):  # it is starting, or ended while it was looked at
            if condition():
                return
        time.sleep(0.01)
    pytest.fail(f"waited {SECONDS} s for {what}")
