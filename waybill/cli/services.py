"""An installation -> Airflow, warm host and model server on this machine's loopback interface, and their end: `waybill up`, `down`.

Airflow keeps everything in `airflow/` in Waybill's home: its database, logs, secrets, and `service.json`, which says what runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping

from waybill.cli import host_status, marked, ports
from waybill.cli.airflow_client import AirflowClient, AirflowRefused
from waybill.cli.airflow_environment import DAGS, MARK, USER, airflow_environment, host_environment, password
from waybill.cli.components import Components, ServiceError
from waybill.cli.model_server import SERVER, ModelServer
from waybill.cli.serve_address import Address
from waybill.cli.service_record import Record
from waybill.records.settings import PROJECT, Settings

PYTHON = PROJECT / ".venv-airflow/bin/python"
START_SECONDS = 180  # three processes that each import Airflow, on a machine that may be busy
GRACE_SECONDS = 8
HOST = "host"  # with the model server, what is not Airflow's
_PORT = 8080
_MORE_PORTS = 2  # that are tried where somebody else was faster
_WRONG_PASSWORD = 401
_WORDS = {HOST: "warm host", SERVER: "model server"}


class AlreadyRunning(ServiceError):
    """Somebody else is starting, stopping or running the same service."""


class PortTaken(ServiceError):
    """What answers at the port is another Airflow, which knows no ports that are kept and took it in between."""


class AirflowService:
    """Airflow on this machine, for one installation.

    Args:
      settings: The installation.
      say: Takes a line for whoever watches.
      dags: Folder of DAG files.
      serve: Whether a model server runs beside Airflow.

    Attributes:
      settings: The installation.
      home: Where Airflow keeps everything.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None] = print, dags: pathlib.Path = DAGS, *, serve: bool = False):
        self.settings = settings
        self._say = say
        self._dags = dags
        self._beside = (HOST, SERVER) if serve else (HOST,)
        self.home = settings.home / "airflow"
        self._components = Components(self.home)
        self._file = self.home / "service.json"
        self._server = ModelServer(settings, self._components, self.home / "model-server.json")

    def start(self) -> Record:
        """Starts Airflow and waits until it is healthy; where it is, starts what had ended beside it.

        The model server is started last and not waited for: nothing of Airflow's needs it.

        Raises:
          AlreadyRunning: if it runs already, or another process is starting it.
          ServiceError: if it does not become healthy; nothing of it runs then.
        """
        if not PYTHON.is_file():
            raise ServiceError("Airflow is not installed; `make up` installs and starts it")
        with self._alone():
            before = self.record()
            if before and before.processes and not set(before.dead()) - {HOST, SERVER}:
                return self._revive(before)
            self._end(before)
            for wanted in (before.port if before else _PORT, *[0] * _MORE_PORTS):
                try:
                    with ports.kept(wanted) as port:
                        return self._start_on(port)
                except PortTaken as error:
                    self._say(f"{error}; starting anew on another port ...")
            raise ServiceError(f"Airflow found no port of its own, {_MORE_PORTS + 1} times; see what else starts on this machine")

    def _start_on(self, port: int) -> Record:
        record = Record(secrets.token_hex(16), port)
        record.write(self._file)  # before the first process, so that none is ever without a record
        environment = airflow_environment(self.settings, self.home, record.port, record.mark, os.environ, self._dags)
        try:
            host = self._spawn_host(record.mark)  # first, because it takes longest
            self._migrate(environment)
            kept = [str(PYTHON), "-m", "waybill.cli.keeper", str(PYTHON), "-m", "airflow"]
            components = {name: [*kept, *words] for name, words in _components(record.port).items()}
            spawned = {name: self._components.spawn(name, words, environment) for name, words in components.items()}
            record = self._recorded(record, {HOST: host, **spawned})
            self._wait(record)
            return self._recorded(record, {SERVER: self._server.spawn(record.mark)}) if SERVER in self._beside else record
        except BaseException:
            self._end(record)
            raise

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
        """Whether Airflow and the warm host run."""
        record = self.record()
        return bool(record and record.processes and not set(record.dead()) - {SERVER})

    def record(self) -> Record | None:
        """What is recorded of the service that was started last and not ended."""
        return Record.read(self._file)

    def server(self) -> Address | None:
        """Where the model server answers; None where there is none, or it does not listen yet."""
        return self._server.address(self.record())

    def await_server(self) -> Address:
        """Waits until the model server listens.

        Raises:
          ServiceError: if there is none, it has ended, or it does not listen in time.
        """
        return self._server.await_address(self.record)

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
        self._server.forget()
        return bool(ended)

    def _revive(self, record: Record) -> Record:
        """Starts what had ended beside an Airflow that is well; until the host is there nodes run cold."""
        running = set(record.processes) - set(record.dead())
        missing = [name for name in self._beside if name not in running]
        if not missing:
            raise AlreadyRunning(f"Airflow runs already, at {record.address}; `make down` ends it")
        self._say(f"the {' and the '.join(_WORDS[name] for name in missing)} did not run; starting it again ...")
        spawn = {HOST: self._spawn_host, SERVER: self._server.spawn}
        record = self._recorded(record, {name: spawn[name](record.mark) for name in missing})
        deadline = time.monotonic() + START_SECONDS
        while HOST in missing and not self._host_answers():
            if HOST in record.dead() or time.monotonic() > deadline:
                raise ServiceError(f"the warm host did not start:\n{self._components.tail(HOST)}")
            time.sleep(0.3)
        return record

    def _recorded(self, record: Record, processes: Mapping[str, tuple[int, str]]) -> Record:
        """The record with further processes, on disk."""
        record = dataclasses.replace(record, processes={**record.processes, **processes})
        record.write(self._file)
        return record

    def _spawn_host(self, mark: str) -> tuple[int, str]:
        environment = host_environment(self.settings, mark, os.environ)
        return self._components.spawn(HOST, [str(self.settings.tfx_python), "-m", "waybill.cli.main", "host"], environment)

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
        _, status = os.waitpid(self._components.spawn("migrate", [str(PYTHON), "-m", "airflow", "db", "migrate"], environment)[0], 0)
        if status:
            raise ServiceError(f"Airflow could not make its database:\n{self._components.tail('migrate')}")
        done.write_text(version)

    def _wait(self, record: Record) -> None:
        self._say("starting Airflow ...")
        began, client = time.time(), AirflowClient(record.address, *self.login())
        deadline = time.monotonic() + START_SECONDS
        while waiting := client.not_healthy_since(began) or ("" if self._host_answers() else HOST):
            if dead := record.dead():
                raise ServiceError(f"Airflow's {dead[0]} ended while starting:\n{self._components.tail(dead[0])}")
            if time.monotonic() > deadline:
                raise ServiceError(f"Airflow's {waiting} is not healthy after {START_SECONDS} s:\n{self._components.tail(waiting)}")
            time.sleep(0.3)
        try:
            client.call("GET", "/version")
        except AirflowRefused as error:
            if error.status != _WRONG_PASSWORD:
                raise
            raise PortTaken(f"another Airflow was faster to listen on {record.address}") from error


def _components(port: int) -> dict[str, list[str]]:
    return {
        "api-server": ["api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
        "scheduler": ["scheduler", "--skip-serve-logs"],  # the API server reads the log files; serving them would listen on all interfaces
        "dag-processor": ["dag-processor"],
    }
