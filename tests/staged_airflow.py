"""Pipelines of a test's own -> a real Airflow that runs them, and what a person sees and does there: one object for each pipeline."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from test_airflow_end_to_end import numbers, wait

from waybill.cli import host_status, marked, services
from waybill.cli.airflow_client import AirflowClient, AirflowRefused
from waybill.cli.airflow_environment import MARK, USER, airflow_environment
from waybill.cli.services import AirflowService
from waybill.launch import specs
from waybill.launch.landing import deliver
from waybill.launch.window import interval_from
from waybill.records import settings as settings_lib
from waybill.records.graph import Graph
from waybill.records.interval import parse_moment
from waybill.records.run_spec import RunSpec
from waybill.records.settings import PROJECT, Settings
from waybill.serving import state
from waybill.store import generations, journal, reads
from waybill.store.connection import Store

HERE = pathlib.Path(__file__).parent
ALICE, BOB = "alice", "bob"
ENDED = ("success", "failed")


@dataclasses.dataclass
class Staged:
    """One pipeline in a running Airflow."""

    name: str
    service: AirflowService
    _clients: dict[tuple[str, str], AirflowClient] = dataclasses.field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.service.settings

    @property
    def store(self) -> Store:
        return Store(self.settings.store_url)

    @property
    def client(self) -> AirflowClient:
        """Airflow, as the administrator sees it."""
        return self.as_person(USER)

    def as_person(self, user: str) -> AirflowClient:
        """Airflow, as somebody sees it who is logged in."""
        address = self.service.record().address
        if (address, user) not in self._clients:
            passwords = json.loads((self.service.home / "passwords.json").read_text())
            self._clients[address, user] = AirflowClient(address, user, passwords[user])
        return self._clients[address, user]

    def waybill(self, *words: str) -> subprocess.Popen[str]:
        """Starts the `waybill` command, which need not end well."""
        return subprocess.Popen(
            [str(self.settings.tfx_python), "-m", "waybill.cli.main", *words],
            env=_environment(self.settings), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def says(self, *words: str) -> str:
        """What the `waybill` command prints when it ends well."""
        return finished(self.waybill(*words))

    def land(self, start: str, content: str) -> None:
        """Delivers a partition; a second delivery of an interval corrects the first."""
        settings = Graph.load(self.settings.home / "pipelines" / self.name / "graph.json").settings
        files = {"data.csv": f"name\n{content}\n".encode()}
        deliver(self.settings.landing, self.name, interval_from(settings, parse_moment(start)), files, 1, replace=True)

    @contextlib.contextmanager
    def fault(self, start: str, node: str, what: str) -> Iterator[None]:
        """While the block runs, a node of an interval waits, fails or makes a bad model (`wait`, `raise`, `bad`) when it is executed."""
        file = self.settings.home / "faults" / f"{self.name}.{start}.{node}.{what}"
        file.parent.mkdir(exist_ok=True)
        file.touch()
        try:
            yield
        finally:
            file.unlink()

    def run_of(self, start: str) -> str:
        """Id of the run that schedule or backfill made of an interval."""
        found = [run for run in self.client.runs(self.name) if run["run_type"] != "manual"]
        return next((str(run["dag_run_id"]) for run in found if str(run["data_interval_start"]).startswith(start)), "")

    def states(self) -> dict[str, str]:
        """State of every run by its id."""
        return {str(run["dag_run_id"]): str(run["state"]) for run in self.client.runs(self.name)}

    def task(self, start: str, node: str) -> dict[str, Any]:
        """A task of an interval's run; empty when there is no run yet."""
        run = self.run_of(start)
        return next((task for task in self.client.tasks(self.name, run) if task["task_id"] == node), {}) if run else {}

    def tries(self, run: str, node: str) -> list[str]:
        """How each try of a task ended, the earliest first; tries before a clear are among them."""
        place = f"/dags/{self.name}/dagRuns/{run.replace('+', '%2B')}/taskInstances/{node}/tries"
        return [str(one["state"]) for one in self.client.call("GET", place)["task_instances"]]

    def log(self, run: str, node: str, attempt: int) -> str:
        """What a task said in one of its tries, counted from 1."""
        index = next(task["map_index"] for task in self.client.tasks(self.name, run) if task["task_id"] == node)
        return self.client.log(self.name, run, node, attempt, index)

    @property
    def host(self) -> dict[str, Any]:
        """What the warm host says of itself."""
        return host_status.ask(self.settings)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        """Waits, and says how things stand when that takes too long."""
        wait(condition, what, self.tells)

    def tells(self) -> str:
        """How things stand: what has ended that should run, every run and task that has not ended, what the scheduler said last."""
        record = self.service.record()
        said = (self.service.home / "logs/components/scheduler.log").read_text(errors="replace").splitlines()
        open_runs = [run for run, state in self.states().items() if state not in ENDED]
        tasks = [
            f"  {run} {task['task_id']} {task['map_index']}: {task['state']}, try {task['try_number']}"
            for run in open_runs
            for task in self.client.tasks(self.name, run)
            if task["state"] not in ("success", None)
        ]
        lines = [f"not running: {record.dead() if record else 'no service'}", f"served: {self.served}", f"runs: {self.states()}", *tasks]
        return "\n".join([*lines, "the scheduler's last lines:", *(line[:300] for line in said[-30:])])

    def wait_for(self, runs: int) -> None:
        """Waits until there are so many runs and all have ended."""
        self.wait(lambda: len(found := self.states().values()) >= runs and set(found) <= set(ENDED), f"{runs} runs of {self.name} to end")

    def delete(self, run: str) -> None:
        """Deletes a run with all that Airflow knows of it."""
        self.client.call("DELETE", f"/dags/{self.name}/dagRuns/{run.replace('+', '%2B')}")

    def backfill(self, user: str, first: str, last: str, **how: Any) -> tuple[int, int]:
        """Backfills as soon as Airflow accepts it; returns its id, and how often it was refused because another one was active."""
        refused, accepted = [], []

        def asks() -> bool:
            try:
                accepted.append(self.as_person(user).backfill(self.name, first, last, **how)["id"])
            except AirflowRefused as error:
                if error.status != 409:
                    raise
                refused.append(error)
            return bool(accepted)

        self.wait(asks, "the backfill to be accepted")
        return accepted[0], len(refused)

    def generations(self, start: str) -> list[RunSpec]:
        """The specs of an interval's generations, from the first; fails when a number is missing or has no spec."""
        settings = Graph.load(self.settings.home / "pipelines" / self.name / "graph.json").settings
        found = generations.all_of(self.store, self.name, interval_from(settings, parse_moment(start)).span)
        assert [one.number for one in found] == list(range(1, len(found) + 1))
        return [specs.load(self.settings.specs, one.spec) for one in found]

    def state_of(self, run: str, node: str) -> list[str]:
        """States of a node's executions in a run of the store."""
        return [execution.state for execution in reads.executions(self.store, self.name, run, node)]

    def outputs(self, run: str, node: str) -> dict[str, list[reads.ArtifactRow]]:
        """What a node left in a run of the store."""
        done = reads.successful_execution(self.store, self.name, run, node)
        return reads.outputs(self.store, done.id) if done else {}

    def decided(self, run: str) -> tuple[str, str]:
        """What a run's promoter decided, and its reasons."""
        [promotion] = self.outputs(run, "promoter")["promotion"]
        return str(promotion.properties["outcome"]), str(promotion.properties["says"])

    def journal(self) -> list[tuple[int, str, Mapping[str, str | int]]]:
        """Number, kind and words of each decision on what is served."""
        return [(entry.number, entry.kind, entry.says) for entry in journal.entries(self.store, state.subject(self.name))]

    @property
    def served(self) -> list[str]:
        return numbers(self.settings.serving / self.name)

    @property
    def released(self) -> list[str]:
        return numbers(self.settings.releases / self.name)


def finished(command: subprocess.Popen[str]) -> str:
    """What a command prints, once it has ended well."""
    printed = command.communicate()[0]
    assert command.returncode == 0, printed
    return printed


@contextlib.contextmanager
def staged(home: pathlib.Path, ends: Mapping[str, str]) -> Iterator[dict[str, Staged]]:
    """A real Airflow with some pipelines, whose schedules begin when they are unpaused and make every interval.

    Args:
      home: Waybill's home.
      ends: Where each pipeline's schedule ends, by its name.
    """
    for name, end in ends.items():
        _write(home, name, end)
    python = home / "python"
    python.write_text(f'#!/bin/sh\nexec "{PROJECT}/.venv/bin/python" "{HERE}/staged_python.py" "$0" "$@"\n')
    python.chmod(0o755)
    environ = {"WAYBILL_HOME": str(home), "WAYBILL_TFX_PYTHON": str(python), "WAYBILL_CATCHUP": "1", "WAYBILL_RETRY_SECONDS": "1"}
    settings = settings_lib.load(environ)
    subprocess.run([str(python), "-m", "staged_setup"], env=_environment(settings), check=True)
    service = AirflowService(settings, dags=home / "dags")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "airflow_environment", _with_two_people)
        patch.setattr(services, "_PORT", 0)  # any: several that start at once would all find the usual one free
        _passwords(service.home)
        service.start()
        try:
            found = {name: Staged(name, service) for name in ends}
            for name in ends:
                service.client().wait_for_dag(name)
            yield found
        finally:
            record = service.record()
            service.stop()
            assert record is None or marked.marked(MARK, record.mark) == []


def _write(home: pathlib.Path, name: str, end: str) -> None:
    """A pipeline's folder and its DAG file."""
    folder, dag = home / "pipelines" / name, home / "dags" / f"{name}_dag.py"
    folder.mkdir(parents=True)
    dag.parent.mkdir(exist_ok=True)
    (folder / "__init__.py").touch()
    (folder / "settings.py").write_text(f"from staged_pipeline import settings_of\n\nSETTINGS = settings_of({name!r}, {end!r})\n")
    (folder / "pipeline.py").write_text("from staged_pipeline import create_pipeline\n")
    dag.write_text(
        f'"""The graph of {name} -> its Airflow DAG."""\n\nimport pathlib\n\nfrom waybill.orchestration.dag_factory import build_dag\n\n'
        f"dag = build_dag(pathlib.Path({str(folder / 'graph.json')!r}))\n"
    )


def _with_two_people(*arguments: Any) -> dict[str, str]:
    """Airflow's environment, in which two more people may log in."""
    users = ",".join(f"{user}:admin" for user in (USER, ALICE, BOB))
    return {**airflow_environment(*arguments), "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": users}


def _passwords(airflow_home: pathlib.Path) -> None:
    airflow_home.mkdir(parents=True, mode=0o700)
    (airflow_home / "passwords.json").write_text(json.dumps({user: secrets.token_urlsafe(12) for user in (USER, ALICE, BOB)}))


def _environment(settings: Settings) -> dict[str, str]:
    """The caller's, with the settings in it and nothing that belongs to Airflow's Python."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "WAYBILL"))}
    return {**kept, "WAYBILL_HOME": str(settings.home), "WAYBILL_TFX_PYTHON": str(settings.tfx_python)}
