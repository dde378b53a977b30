"""An installation -> Airflow and the warm host on this machine's loopback interface, and their end: `waybill up`, `waybill down`.

Airflow keeps everything in `airflow/` in Waybill's home: its database, logs, secrets, and `service.json`, which says what runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from waybill.cli import host_status, marked
from waybill.cli.airflow_client import AirflowClient
from waybill.cli.airflow_environment import DAGS, MARK, USER, airflow_environment, host_environment, password
from waybill.cli.service_record import Record
from waybill.records.settings import PROJECT, Settings

PYTHON = PROJECT / ".venv-airflow/bin/python"
START_SECONDS = 180  # three processes that each import Airflow, on a machine that may be busy
GRACE_SECONDS = 8
HOST = "host"  # the component that is not Airflow's
_PORT = 8080
_TAIL = 25


class ServiceError(Exception):
    """Airflow could not be started or stopped; the message says why and what to do."""


class AlreadyRunning(ServiceError):
    """Somebody else is starting, stopping or running the same service."""


class AirflowService:
    """Airflow on this machine, for one installation.

    Args:
      settings: The installation.
      say: Takes a line for whoever watches.
      dags: Folder of DAG files.

    Attributes:
      settings: The installation.
      home: Where Airflow keeps everything.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None] = print, dags: pathlib.Path = DAGS):
        self.settings = settings
        self._say = say
        self._dags = dags
        self.home = settings.home / "airflow"
        self._file = self.home / "service.json"

    def start(self) -> Record:
        """Starts Airflow and waits until it is healthy.

        Raises:
          AlreadyRunning: if it runs already, or another process is starting it.
          ServiceError: if it does not become healthy; nothing of it runs then.
        """
        if not PYTHON.is_file():
            raise ServiceError("Airflow is not installed; `make up` installs and starts it")
        with self._alone():
            before = self.record()
            dead = before.dead() if before else []
            if before and before.processes and dead == [HOST]:
                return self._revive_host(before)
            if before and before.processes and not dead:
                raise AlreadyRunning(f"Airflow runs already, at {before.address}; `make down` ends it")
            self._end(before)
            record = Record(secrets.token_hex(16), _free_port(before.port if before else _PORT))
            record.write(self._file)  # before the first process, so that none is ever without a record
            environment = airflow_environment(self.settings, self.home, record.port, record.mark, os.environ, self._dags)
            try:
                host = self._spawn_host(record.mark)  # first, because it takes longest
                self._migrate(environment)
                kept = [str(PYTHON), "-m", "waybill.cli.keeper", str(PYTHON), "-m", "airflow"]
                components = {name: [*kept, *words] for name, words in _components(record.port).items()}
                processes = {HOST: host, **{name: self._spawn(name, words, environment) for name, words in components.items()}}
                record = dataclasses.replace(record, processes=processes)
                record.write(self._file)
                self._wait(record)
            except BaseException:
                self._end(record)
                raise
            return record

    def stop(self) -> bool:
        """Ends every process of the service, and only those; tells whether there were any.

        Raises:
          AlreadyRunning: if another process is starting or stopping it.
        """
        if not self.home.is_dir():
            return False
        with self._alone():
            return self._end(self.record())

    def running(self) -> bool:
        """Whether all components run."""
        record = self.record()
        return bool(record and record.processes and not record.dead())

    def record(self) -> Record | None:
        """What is recorded of the service that was started last and not ended."""
        return Record.read(self._file)

    def login(self, user: str = USER) -> tuple[str, str]:
        """User name and password of the UI."""
        return user, password(self.home, user)

    def client(self, user: str = USER) -> AirflowClient:
        """A client of the running service.

        Raises:
          ServiceError: if it does not run.
        """
        record = self.record()
        if record is None:
            raise ServiceError("Airflow does not run; start it with `make up`")
        return AirflowClient(record.address, *self.login(user))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.home / "service.lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning("Airflow is being started or stopped by another process; wait for it to finish") from None
            yield

    def _end(self, record: Record | None) -> bool:
        ended = marked.end(MARK, record.mark, GRACE_SECONDS) if record else []
        self._file.unlink(missing_ok=True)
        return bool(ended)

    def _revive_host(self, record: Record) -> Record:
        """Starts the host of a service that is otherwise well; until then its nodes run cold."""
        self._say("the warm host had ended; starting it again ...")
        record = dataclasses.replace(record, processes={**record.processes, HOST: self._spawn_host(record.mark)})
        record.write(self._file)
        deadline = time.monotonic() + START_SECONDS
        while not self._host_answers():
            if HOST in record.dead() or time.monotonic() > deadline:
                raise ServiceError(f"the warm host did not start:\n{self._tail(HOST)}")
            time.sleep(0.3)
        return record

    def _spawn_host(self, mark: str) -> tuple[int, str]:
        environment = host_environment(self.settings, mark, os.environ)
        return self._spawn(HOST, [str(self.settings.tfx_python), "-m", "waybill.cli.main", "host"], environment)

    def _host_answers(self) -> bool:
        try:
            return bool(host_status.ask(self.settings))
        except host_status.HostSilent:
            return False

    def _migrate(self, environment: Mapping[str, str]) -> None:
        """Brings the database to the installed version of Airflow; the two seconds of Airflow's own check are spared when it is there."""
        version = ",".join(sorted(path.name for path in PYTHON.parents[1].glob("lib/python*/site-packages/apache_airflow_core-*")))
        done = self.home / "database_version"
        if (self.home / "airflow.db").exists() and done.exists() and done.read_text() == version:
            return
        self._say("making Airflow's database ...")
        _, status = os.waitpid(self._spawn("migrate", [str(PYTHON), "-m", "airflow", "db", "migrate"], environment)[0], 0)
        if status:
            raise ServiceError(f"Airflow could not make its database:\n{self._tail('migrate')}")
        done.write_text(version)

    def _spawn(self, name: str, words: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Starts a component in a session of its own; its output goes to a log file."""
        logs = self.home / "logs" / "components"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                words,
                env=dict(environment), cwd=self.home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        process.returncode = 0  # it is meant to outlive this process; Popen would warn of that
        return process.pid, marked.started(process.pid)

    def _wait(self, record: Record) -> None:
        self._say("starting Airflow ...")
        began, client = time.time(), AirflowClient(record.address, *self.login())
        deadline = time.monotonic() + START_SECONDS
        while waiting := client.not_healthy_since(began) or ("" if self._host_answers() else HOST):
            if dead := record.dead():
                raise ServiceError(f"Airflow's {dead[0]} ended while starting:\n{self._tail(dead[0])}")
            if time.monotonic() > deadline:
                raise ServiceError(f"Airflow's {waiting} is not healthy after {START_SECONDS} s:\n{self._tail(waiting)}")
            time.sleep(0.3)

    def _tail(self, name: str) -> str:
        file = self.home / "logs" / "components" / f"{name}.log"
        lines = file.read_text(errors="replace").splitlines() if file.exists() else []
        return "\n".join([*(f"  {line}" for line in lines[-_TAIL:]), f"The whole log: {file}"])


def _components(port: int) -> dict[str, list[str]]:
    return {
        "api-server": ["api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        "scheduler": ["scheduler", "--skip-serve-logs"],  # the API server reads the log files; serving them would listen on all interfaces
        "dag-processor": ["dag-processor"],
    }


def _free_port(wanted: int) -> int:
    """`wanted` when nobody listens there, so that a bookmark stays good; else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ServiceError("no free port on the loopback interface")
