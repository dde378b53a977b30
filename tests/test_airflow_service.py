"""Airflow on this machine: it starts healthy, listens on loopback alone, and its end leaves nothing of it and everything else."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from airflow_side import alive, gone

from waybill.cli import keeper, marked, ports, services
from waybill.cli.airflow_client import AirflowClient, AirflowRefused, AirflowUnreachable
from waybill.cli.airflow_environment import MARK, airflow_environment, host_environment, password
from waybill.cli.model_server import ModelServer
from waybill.cli.service_record import Record
from waybill.cli.services import AirflowService, AlreadyRunning, ServiceError
from waybill.records import settings
from waybill.records.errors import RecordError

SLEEP = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"]


@pytest.fixture
def service(tmp_path: pathlib.Path) -> Iterator[AirflowService]:
    made = AirflowService(settings.load({"WAYBILL_HOME": str(tmp_path / "home")}), say=lambda line: None)
    yield made
    made.stop()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(SLEEP, stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def sleeper(mark: str) -> subprocess.Popen:
    process = subprocess.Popen(SLEEP, stdout=subprocess.PIPE, env={**os.environ, MARK: mark}, start_new_session=True)
    process.stdout.readline()
    return process


def test_a_service_starts_once_listens_on_loopback_alone_and_ends_wholly_even_after_a_crash(
    service: AirflowService, stranger: subprocess.Popen
) -> None:
    record = service.start()
    pids = marked.marked(MARK, record.mark)
    assert {pid for pid, _ in record.processes.values()} <= set(pids)
    listening = [connection for pid in pids for connection in listens(pid)]
    assert {(c.laddr.ip, c.laddr.port) for c in listening} == {("127.0.0.1", record.port)}
    assert "dags" in service.client().call("GET", "/dags")
    with pytest.raises(AirflowRefused, match="401"):
        AirflowClient(record.address, "admin", "guessed").call("GET", "/dags")
    with pytest.raises(AlreadyRunning, match=str(record.port)):
        service.start()
    kept, _ = record.processes["scheduler"]
    [scheduler] = [pid for pid in children(kept) if "scheduler" in psutil.Process(pid).cmdline()]
    idle = soon(lambda: children(scheduler))
    os.kill(scheduler, signal.SIGKILL)
    assert gone([scheduler, *idle], 30), "its idle workers, which would wait for work for ever, end after it"
    assert soon(lambda: children(kept)), "another scheduler is in its place"
    assert service.running()
    pids = marked.marked(MARK, record.mark)
    os.kill(kept, signal.SIGKILL)
    assert gone([kept])
    assert not service.running()
    assert service.stop()
    assert gone(pids)
    assert alive(stranger.pid)
    assert not service.stop()


def listens(pid: int) -> list[Any]:
    with contextlib.suppress(psutil.NoSuchProcess):  # a DAG file's own process may have ended meanwhile
        return [c for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    return []


def children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children()]


def soon(found: Callable[[], list[int]]) -> list[int]:
    deadline = time.monotonic() + 30
    while not (what := found()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return what


KEEP = "import sys; from waybill.cli.keeper import keep; sys.exit(keep(['sh', '-c', sys.argv[1]], settled=1.5, delay=0.01))"


def test_a_component_that_ends_by_itself_is_started_again_until_it_does_not_start_well(tmp_path: pathlib.Path) -> None:
    starts = tmp_path / "starts"
    lives = f"printf . >>'{starts}'; [ $(wc -c <'{starts}') -gt 2 ] || sleep 2; exit 4"
    kept = subprocess.run([sys.executable, "-c", KEEP, lives], capture_output=True, text=True, timeout=60, check=False)
    assert kept.returncode == 4
    assert len(starts.read_text()) == 2 + keeper.TRIES
    assert re.search(r"the component ended with status 4 after \d s; it is started again in 0 s", kept.stderr)
    assert "it is not started again" in kept.stderr.splitlines()[-1]


def test_a_component_whose_first_start_fails_is_not_started_again() -> None:
    kept = subprocess.run([sys.executable, "-c", KEEP, "exit 5"], capture_output=True, text=True, timeout=60, check=False)
    assert kept.returncode == 5
    assert re.search(r"ended with status 5 after \d s; it is not started again", kept.stderr)


def test_a_component_that_is_killed_soon_after_its_first_start_is_started_again(tmp_path: pathlib.Path) -> None:
    starts = tmp_path / "starts"
    dies = f"printf . >>'{starts}'; [ $(wc -c <'{starts}') -gt 1 ] || kill -9 $$; exec sleep 600"
    kept = subprocess.Popen([sys.executable, "-c", KEEP, dies])
    try:
        soon(lambda: [2] if starts.exists() and len(starts.read_text()) == 2 else [])
    finally:
        kept.terminate()
        kept.wait(10)


def test_a_component_ends_with_its_keeper_when_somebody_wants_it_to(tmp_path: pathlib.Path) -> None:
    pid = tmp_path / "pid"
    lives = f"echo $$ >'{pid}'; exec sleep 600"
    kept = subprocess.Popen([sys.executable, "-c", KEEP, lives])
    [component] = soon(lambda: [int(pid.read_text())] if pid.exists() and pid.read_text() else [])
    kept.terminate()
    kept.wait(10)
    assert gone([component])


def test_a_component_that_ends_while_starting_is_named_with_the_end_of_its_log(
    service: AirflowService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_components", lambda port: {"scheduler": ["scheduler", "--no-such-option"]})
    monkeypatch.setattr(service, "_migrate", lambda environment: None)
    with pytest.raises(ServiceError, match=r"scheduler ended while starting:(.|\n)*--no-such-option"):
        service.start()
    assert service.record() is None


def test_where_another_airflow_was_faster_to_listen_it_starts_on_another_port(
    service: AirflowService, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def refused(self: AirflowClient, method: str, path: str, body: object = None) -> None:
        raise AirflowRefused(method, path, 401, "Invalid credentials")

    monkeypatch.setattr(services, "_components", lambda port: tried.append(port) or {})
    monkeypatch.setattr(service, "_migrate", lambda environment: None)
    monkeypatch.setattr(service, "_spawn_host", lambda mark: (os.getpid(), marked.started(os.getpid())))
    monkeypatch.setattr(service, "_host_answers", lambda: True)
    monkeypatch.setattr(AirflowClient, "not_healthy_since", lambda self, began: "")
    monkeypatch.setattr(AirflowClient, "call", refused)
    with pytest.raises(ServiceError, match="no port of its own, 3 times"):
        service.start()
    assert len(tried) == 3
    assert service.record() is None


def test_a_second_start_at_the_same_time_says_so(service: AirflowService) -> None:
    with service._alone(), pytest.raises(AlreadyRunning, match="another process"):
        AirflowService(service.settings).start()


def test_a_start_after_a_crash_ends_what_the_crash_left(service: AirflowService, monkeypatch: pytest.MonkeyPatch) -> None:
    service.home.mkdir(parents=True)
    left = sleeper("before")
    Record("before", 8080, {"scheduler": (left.pid, "another boot/1")}).write(service.home / "service.json")
    monkeypatch.setattr(services, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(services, "_components", dict)
    monkeypatch.setattr(services, "PYTHON", pathlib.Path("/bin/false"))
    with pytest.raises(ServiceError, match="could not make its database"):
        service.start()
    assert gone([left.pid])
    left.communicate()


def test_ending_finds_processes_by_their_mark_through_sessions_and_kills_those_that_do_not_listen(stranger: subprocess.Popen) -> None:
    ours, others = sleeper("mine"), sleeper("not mine")
    assert marked.end(MARK, "mine", grace=0.3) == [ours.pid]
    assert gone([ours.pid])
    assert alive(others.pid)
    assert alive(stranger.pid)
    assert marked.end(MARK, "", grace=0.1) == []
    for process in (ours, others):
        process.kill()
        process.communicate()


def test_a_record_knows_a_process_from_another_that_got_its_number(tmp_path: pathlib.Path) -> None:
    me = (os.getpid(), marked.started(os.getpid()))
    Record("m", 1, {"scheduler": me, "api-server": (os.getpid(), "another boot/1")}).write(tmp_path / "r.json")
    assert Record.read(tmp_path / "r.json").dead() == ["api-server"]


def test_the_environment_holds_the_settings_and_nothing_that_leads_astray(tmp_path: pathlib.Path) -> None:
    installation = dataclasses.replace(settings.load({"WAYBILL_HOME": str(tmp_path)}), catchup=True)
    caller = {
        "PYTHONPATH": "/p", "PYTHONDONTWRITEBYTECODE": "1", "VIRTUAL_ENV": "/v", "AIRFLOW__CORE__EXECUTOR": "x", "HOME": "/h",
        "AWS_PROFILE": "p", "WAYBILL_HOME": "/elsewhere", "no_proxy": "a.b",
    }  # fmt: skip
    made = airflow_environment(installation, tmp_path / "airflow", 8080, "m", caller)
    assert not {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"} & set(made)
    assert made["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert (made["HOME"], made["AWS_PROFILE"], made["no_proxy"]) == ("/h", "p", "a.b,127.0.0.1,localhost")
    inside = {name: value for name, value in made.items() if name.startswith("WAYBILL_")}
    assert settings.load(inside) == installation


def test_secrets_are_made_once_and_only_their_owner_may_read_them(tmp_path: pathlib.Path) -> None:
    where = settings.load({"WAYBILL_HOME": str(tmp_path)})
    first = airflow_environment(where, tmp_path, 1, "m", {})
    again = airflow_environment(where, tmp_path, 1, "m", {})
    assert first == again
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 5
    assert first["WAYBILL_ORCHESTRATOR_KEY"] == where.key_file.read_text()
    assert "WAYBILL_ORCHESTRATOR_KEY" not in host_environment(where, "m", first), "nodes do not need it"
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert password(tmp_path) in (tmp_path / "passwords.json").read_text()


def test_a_notifier_reaches_airflow_and_not_the_processes_that_nodes_are_forked_from(tmp_path: pathlib.Path) -> None:
    text = '{"class": "a.Notifier", "url": "https://hooks/secret"}'
    where = settings.load({"WAYBILL_HOME": str(tmp_path), "WAYBILL_NOTIFIER": text})
    made = airflow_environment(where, tmp_path / "airflow", 1, "m", {})
    assert settings.load(made).notifier == where.notifier
    assert "WAYBILL_NOTIFIER" not in host_environment(where, "m", {"WAYBILL_NOTIFIER": text})


def test_further_people_can_log_in_as_users_each_with_a_password_of_their_own(tmp_path: pathlib.Path) -> None:
    before = password(tmp_path)
    where = settings.load({"WAYBILL_HOME": str(tmp_path), "WAYBILL_AIRFLOW_USERS": "alice, bob"})
    made = airflow_environment(where, tmp_path, 1, "m", {})
    assert made["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "admin:admin,alice:user,bob:user"
    known = [password(tmp_path, name) for name in ("admin", "alice", "bob")]
    assert known[0] == before and len(set(known)) == 3
    assert stat.S_IMODE((tmp_path / "passwords.json").stat().st_mode) == 0o600
    with pytest.raises(RecordError, match="WAYBILL_AIRFLOW_USERS is 'eve:admin'"):
        settings.load({"WAYBILL_AIRFLOW_USERS": "alice,eve:admin"})


def test_what_ended_beside_a_healthy_airflow_is_started_again_and_nothing_else(
    service: AirflowService, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = {name: sleeper("up") for name in ("host", "api-server", "model-server")}
    record = Record("up", 1, {name: (process.pid, marked.started(process.pid)) for name, process in processes.items()})
    service.home.mkdir(parents=True)
    record.write(service.home / "service.json")
    asked: list[str] = []
    serving = AirflowService(service.settings, say=lambda line: None, serve=True)
    monkeypatch.setattr(ModelServer, "spawn", lambda self, mark: asked.append(mark) or record.processes["host"])
    with pytest.raises(AlreadyRunning):
        serving.start()
    ended = processes.pop("model-server")
    ended.kill()
    ended.communicate()
    assert serving.running(), "Airflow does without it"
    with pytest.raises(AlreadyRunning):
        service.start()  # which was not asked to serve
    assert serving.start().dead() == [] and asked == ["up"]
    for process in processes.values():
        process.kill()
        process.communicate()


def test_an_airflow_that_does_not_run_is_said_to() -> None:
    with ports.kept(0) as port, pytest.raises(AirflowUnreachable, match="make up"):
        AirflowClient(f"http://127.0.0.1:{port}", "admin", "x").call("GET", "/dags")
