"""Through the front door: one quarter, trained in every way there is by what is filled into the form, and once with everything killed."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from test_airflow_end_to_end import GOOD, HERE, LAND, in_tfx, wait

from waybill.cli import marked
from waybill.cli.airflow_client import AirflowClient
from waybill.cli.airflow_environment import MARK
from waybill.cli.services import AirflowService
from waybill.records import settings as settings_lib

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.skipif(not (settings_lib.PROJECT / ".venv/bin/python").is_file(), reason="TFX's Python is not installed; `make test` does"),
]

SERVED = {"strategy": "parameter_server", "workers": 2, "servers": 1, "batch_size": 64, "train_steps": 600}
CURVE = 0.002  # of the loss at each look; docs/training.md says why
WAYS = {
    "none": {"train_steps": 600},
    "mirrored": {"strategy": "mirrored", "devices": 2, "batch_size": 32, "train_steps": 600},
    "multi_worker": {"strategy": "multi_worker", "workers": 2, "batch_size": 32, "train_steps": 600},
    "parameter_server": SERVED,
    "killed": {**SERVED, "reason": "its chief is killed at the start, and its node while it exports"},
}


@dataclasses.dataclass
class Trained:
    """The finished runs."""

    client: AirflowClient
    runs: dict[str, str]

    def tasks(self, way: str) -> dict[str, dict[str, Any]]:
        return {task["task_id"]: task for task in self.client.tasks("taxi", self.runs[way])}

    def log(self, way: str, attempt: int | None = None) -> str:
        return self.client.log("taxi", self.runs[way], "trainer", attempt or self.tasks(way)["trainer"]["try_number"])

    def curve(self, way: str) -> list[float]:
        """The loss at each look at the eval split, as Keras's lines in the trainer's log say it."""
        return [float(said) for said in re.findall(r"val_loss: ([0-9.e+-]+)", self.log(way))]

    def best_loss(self, way: str) -> float:
        found = re.search(r"the best loss, ([0-9.]+), was", self.log(way))
        assert found, self.log(way)
        return float(found[1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    home = tmp_path_factory.mktemp("trainings")
    environ = {"WAYBILL_HOME": str(home), "WAYBILL_RETRY_SECONDS": "1", "WAYBILL_SCHEDULE_END": "2013-04-01"}
    in_tfx(environ, "-m", "waybill.cli.main", "init")
    in_tfx({**environ, "PYTHONPATH": HERE}, "-c", LAND.format(good=GOOD, spoilt="2013-04-01"))
    service = AirflowService(settings_lib.load(environ))
    service.start()
    try:
        client = service.client()
        client.wait_for_dag("taxi")
        client.pause("taxi", paused=False)
        runs = {}
        for way, params in WAYS.items():
            with Killer(service.settings, way == "killed"):
                runs[way] = client.trigger("taxi", {"interval_start": GOOD, **params})["dag_run_id"]
                wait(lambda: state(client, runs[way]) in ("success", "failed"), f"the run with {way} to end")  # noqa: B023
        yield Trained(client, runs)
    finally:
        record = service.record()
        service.stop()
        assert record is None or marked.marked(MARK, record.mark) == []


def state(client: AirflowClient, run_id: str) -> str:
    return str(next(run["state"] for run in client.runs("taxi") if run["dag_run_id"] == run_id))


class Killer:
    """Kills the chief of a training as soon as all its processes are there, and the node's process when its training is finished."""

    def __init__(self, settings: settings_lib.Settings, wanted: bool):
        self._settings = settings
        self._wanted = wanted
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        chief_is_dead = not self._wanted
        while not self._over.wait(0.005) and self._wanted:
            try:
                if not chief_is_dead and len(crew := self._trainer().children()) == 4:
                    min(crew, key=lambda process: process.pid).kill()
                    chief_is_dead = True
                    time.sleep(1)
                elif chief_is_dead and list(self._settings.scratch.rglob("trainer/finished.json")):
                    self._trainer().kill()
                    return
            except (FileNotFoundError, psutil.NoSuchProcess, StopIteration, ValueError):
                pass  # it has not begun, or has ended

    def _trainer(self) -> psutil.Process:
        """The process that executes the trainer: the child of who holds its lease."""
        held = (lock.read_text().split() for lock in self._settings.leases.glob("*.lock"))
        holders = [int(words[0]) for words in held if len(words) == 3 and words[2] == "trainer"]
        alive = [psutil.Process(holder) for holder in holders if psutil.pid_exists(holder)]
        return next(child for holder in alive for child in holder.children())


@pytest.mark.parametrize("way", WAYS)
def test_however_it_is_trained_the_model_passes_the_same_gates(trained: Trained, way: str) -> None:
    tasks = trained.tasks(way)
    assert {name: task["state"] for name, task in tasks.items() if task["state"] != "success"} == {}
    assert "PASS" in str(trained.client.xcom("taxi", trained.runs[way], "model_gate"))


@pytest.mark.parametrize("way", ["mirrored", "multi_worker"])
def test_in_step_each_look_finds_the_loss_of_one_process(trained: Trained, way: str) -> None:
    alone, spread = trained.curve("none"), trained.curve(way)
    assert len(alone) > 2 and len(spread) == len(alone)
    assert spread == pytest.approx(alone, rel=CURVE)


def test_a_training_with_everything_killed_ends_with_as_good_a_model_and_is_not_trained_twice(trained: Trained) -> None:
    first, second, third = (trained.log("killed", attempt) for attempt in (1, 2, 3))
    assert "chief of 4 processes was killed by SIGKILL before the first step" in first
    assert "the node's process was killed by SIGKILL" in second
    assert re.search(r"an earlier attempt had finished training after step [1-9][0-9]* and was cut off later", third)
    assert "processes train together" not in third
    assert trained.best_loss("killed") == pytest.approx(trained.best_loss("parameter_server"), rel=0.15)


def test_each_line_of_a_worker_has_its_name(trained: Trained) -> None:
    told = trained.log("multi_worker")
    assert "2 processes train together on this machine: worker 0 " in told
    assert re.search(r"\[worker 0\] .*val_loss", told)


def test_tensorboard_finds_the_logs_of_a_run(trained: Trained, tmp_path: pathlib.Path) -> None:
    run = str(trained.client.xcom("taxi", trained.runs["multi_worker"], "run_spec", "run"))
    code = f"from waybill.cli.tensorboard import logs_of; from waybill.records import settings; print(logs_of({run!r}, settings.load()))"
    home = next(iter(re.findall(r"WAYBILL_HOME=(\S+)", trained.log("multi_worker"))))
    folder = pathlib.Path(in_tfx({"WAYBILL_HOME": home}, "-c", code).strip().splitlines()[-1])
    assert list(folder.rglob("events.out.tfevents.*"))
