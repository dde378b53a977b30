"""The task of a training on Kubernetes: what its pods write is in its log, and it ends as the node did. The cluster is a stand-in."""

from __future__ import annotations

import json
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from airflow.sdk import RetryAction
from airflow_side import SPEC, FakeLauncher, TaskInstance, context, gone
from kubernetes_stand_in import Cluster, serving

from waybill.orchestration import asking, training_job, training_operator, training_pods
from waybill.orchestration.outcome import NodeFailed, NodeStopped
from waybill.orchestration.training_operator import TrainingJobOperator
from waybill.records import settings as settings_lib
from waybill.records.node import NodeResult, Outcome

RUN = "tiny.201304010000.g1"
DONE = NodeResult("trainer", Outcome.COMPLETE, "trained 300 steps", RUN, 7)


@pytest.fixture
def launcher(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> FakeLauncher:
    fake = FakeLauncher(tmp_path / "launcher").install()
    for name, value in {
        "TFX_PYTHON": str(fake.python), "HOME": str(tmp_path / "home"), "KUBERNETES_CLAIM": "waybill-home",
        "KUBERNETES_NAMESPACE": "training", "KUBERNETES_IMAGE": "registry.example.org/waybill@sha256:" + "0" * 64,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"WAYBILL_{name}", value)
    monkeypatch.setattr(training_pods, "_LOOK_EVERY", 0.1)
    return fake


@pytest.fixture
def cluster(tmp_path: pathlib.Path, launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    with serving(found) as kubeconfig:
        connection = {"conn_type": "kubernetes", "extra": {"kube_config": kubeconfig}}
        monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
        yield found


@pytest.fixture
def trainer() -> TrainingJobOperator:
    return TrainingJobOperator(task_id="trainer")


def asked(processes: int = 3) -> dict:
    return context(ti=TaskInstance(xcoms={"spec": SPEC, "run": RUN, "processes": processes}))


class Executed(threading.Thread):
    """A task that runs while the test does something about it."""

    def __init__(self, task: TrainingJobOperator, processes: int):
        super().__init__()
        self._task, self._processes = task, processes
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._task.execute(asked(self._processes))
        except BaseException as error:
            self._error = error

    def error(self) -> BaseException | None:
        self.join(30)
        assert not self.is_alive()
        return self._error


def test_the_job_arrives_as_it_was_rendered_and_its_pods_know_each_other_by_their_names(
    cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator
) -> None:
    launcher.answers("trainer", DONE)
    around = asked()
    trainer.execute(around)
    [(name, job)] = cluster.jobs.items()
    assert name == training_job.job_name(RUN, "trainer", asking.ticket(around["dag_run"]), 1)
    words = [word for word in launcher.calls()[0]["words"] if word != "--lifeline"]
    assert job == training_job.manifest(name, words, 3, settings_lib.load())
    subdomain = job["spec"]["template"]["spec"]["subdomain"]
    for call in launcher.calls():  # a pod's host name is its Job's name and its number
        assert call["environment"]["WAYBILL_TRAINING_PEERS"].split(",") == [f"{name}-{index}.{subdomain}:2222" for index in range(3)]
    assert sorted(call["environment"]["JOB_COMPLETION_INDEX"] for call in launcher.calls()) == ["0", "1", "2"]


def test_a_training_that_is_done_is_a_success_whose_log_has_every_pods_lines_under_its_number(
    cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher.answers("trainer", DONE, prints=["step 1", "{not a result"])
    around = asked()
    said = {"outcome": "complete", "message": "trained 300 steps", "run": RUN, "execution": 7}
    assert trainer.execute(around) == said == around["ti"].xcoms["return_value"]
    told = capsys.readouterr().out
    for index in range(3):
        assert told.count(f"[{index}] step 1") == told.count(f"[{index}] {{not a result") == 1
    assert "trainer: complete" in told and "waybill_node_result" not in told


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited 30 s for {what}"
        time.sleep(0.02)


def test_lines_are_told_while_the_pods_run(
    cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []  # what pytest captures may not be read while another thread writes it
    watch = training_operator.PodWatch
    monkeypatch.setattr(training_operator, "PodWatch", lambda hook, job, node, _: watch(hook, job, node, told.append))
    launcher.answers("trainer", DONE, prints=["step 1"], hangs=True)
    ended = Executed(trainer, 1)
    pids = launcher.pids()
    until(lambda: "step 1" in told, "the line")
    assert ended.is_alive() and not gone(pids, 0)
    trainer.on_kill()
    assert gone(cluster.processes, 20)
    assert isinstance(ended.error(), NodeFailed)


def test_a_connection_that_is_dropped_loses_no_line_and_doubles_none(
    cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher.answers("trainer", DONE, prints=[f"step {number:03}" for number in range(200)], takes=1)
    cluster.drops, cluster.busy = [0, 70, 130], 3
    trainer.execute(asked(1))
    told = [line.split("step ")[1][:3] for line in capsys.readouterr().out.splitlines() if "step " in line and "steps" not in line]
    assert told == [f"{number:03}" for number in range(200)]


def test_a_cluster_whose_api_is_away_for_a_while_is_waited_for(
    cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator
) -> None:
    launcher.answers("trainer", DONE)
    cluster.away = 8
    assert trainer.execute(asked(1))["outcome"] == "complete"


def test_what_the_task_cannot_watch_any_more_is_deleted(
    cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher.answers("trainer", DONE, hangs=True)
    running = Executed(trainer, 1)
    launcher.pids()
    monkeypatch.setattr(training_pods, "_status", lambda *_: json.loads("?"))
    assert isinstance(running.error(), json.JSONDecodeError)
    assert gone(cluster.processes, 20)


def test_why_a_pod_does_not_start_is_told_once(
    cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher.answers("trainer", DONE)
    cluster.room = False
    threading.Timer(1, setattr, (cluster, "room", True)).start()
    trainer.execute(asked(1))
    told = capsys.readouterr().out
    assert told.count("[0] waits for a machine: 0/3 nodes have 8Gi") == told.count("[0] is on its machine") == 1


@pytest.mark.parametrize(
    ("outcome", "ends", "again"),
    [(Outcome.REFUSED, NodeStopped, RetryAction.FAIL), (Outcome.UNRESOLVED, NodeStopped, RetryAction.FAIL),
     (Outcome.FAILED, NodeFailed, RetryAction.DEFAULT)],
)  # fmt: skip
def test_what_another_attempt_would_not_change_is_not_retried_there_either(
    cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator, outcome: Outcome, ends: type, again: RetryAction
) -> None:
    launcher.answers("trainer", NodeResult("trainer", outcome, "the code has changed since the run was frozen"))
    with pytest.raises(ends, match=f"trainer: {outcome.value}: the code has changed") as caught:
        trainer.execute(asked(1))
    assert trainer.retry_policy.evaluate(caught.value, 1, 2).action is again


def test_a_pod_that_is_killed_is_said_to_be_and_retried(cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator) -> None:
    launcher.answers("trainer", DONE, signal=signal.SIGKILL)
    with pytest.raises(NodeFailed, match="killed by SIGKILL"):
        trainer.execute(asked(1))


def test_when_another_pod_fails_the_first_is_ended_and_the_jobs_reason_is_told(
    cluster: Cluster, launcher: FakeLauncher, trainer: TrainingJobOperator
) -> None:
    launcher.answers("trainer", DONE, hangs=True)
    ended = Executed(trainer, 2)
    launcher.pids()
    until(lambda: len(cluster.processes) == 2, "both pods to run")
    second = next(pod for pod in cluster.pods.values() if pod.index == 1)
    assert second.process is not None
    second.process.kill()
    assert "BackoffLimitExceeded" in str(ended.error()) and gone(cluster.processes, 20)
