"""Several devices and several workers learn what one process learns; when one of them goes, all go, and the next attempt goes on."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
import pytest
import test_training as t
from harness import apart

from waybill.cli.host import runs_tensorflow
from waybill.launch import memory
from waybill.launch.backends import ForkBackend, die_with_parent
from waybill.launch.process import prepare
from waybill.launch.standby import fork
from waybill.launch.units import Unit
from waybill.launch.work import Work
from waybill.records import settings as settings_lib
from waybill.records.distribution import Distribution, Place
from waybill.records.interval import Interval, parse_moment
from waybill.records.node import NodeResult, Outcome
from waybill.records.run_spec import Partition
from waybill.training import cluster, network, pods

ALONE: dict[str, Any] = {"batch_size": 12}
DEVICES = {"strategy": "mirrored", "devices": 2, "batch_size": 6}
WORKERS = {"strategy": "multi_worker", "workers": 2, "batch_size": 6}
SERVED = {"strategy": "parameter_server", "workers": 2, "servers": 1, "batch_size": 12}
THREE = {"strategy": "multi_worker", "workers": 3, "batch_size": 4}
PLAN = {"steps": 240, "look_every": 40, "patience": 100}
CUT = {"steps": 400, "look_every": 40, "patience": 100, "save_seconds": 0.5}
LONG = {"steps": 20_000, "look_every": 40, "patience": 100_000, "save_seconds": 0.2}


class Forked:
    """A fork of this process, and what it says. Like a node it has everything imported, and has run no TensorFlow op."""

    def __init__(self, work: Callable[[], None], **environ: str):
        assert not runs_tensorflow(), "this process has run a TensorFlow op, so that its children would hang; tests that fork come first"
        reader, writer = os.pipe()
        self.pid = fork(lambda: _in_child(work, writer, environ))
        os.close(writer)
        self.returncode: int | None = None
        self._lines: list[str] = []
        self._output = os.fdopen(reader, errors="replace")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self._lines.extend(iter(self._output.readline, ""))

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def ended(self, seconds: float = 120) -> int:
        deadline = time.monotonic() + seconds
        while (status := self.poll()) is None:
            assert time.monotonic() < deadline, f"it runs after {seconds} s: {self.said[-3000:]}"
            time.sleep(0.01)
        self._reader.join()
        self._output.close()
        return status

    @property
    def said(self) -> str:
        return "".join(self._lines)

    def until(self, pattern: str, seconds: float = 120) -> re.Match[str]:
        """Waits until it has said something."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said)):
            assert self.poll() is None, self.said
            assert time.monotonic() < deadline, f"it did not say {pattern}: {self.said[-3000:]}"
            time.sleep(0.01)
        return found

    def crew(self) -> dict[str, psutil.Process]:
        """Its processes by name."""
        found = self.until(r"processes train together on this machine: (.*)\n")
        named = [each.rsplit(" ", 1) for each in found[1].split(", ")]
        return {name: psutil.Process(int(pid)) for name, pid in named}

    def moves(self) -> None:
        """Waits until it has said how far it has come."""
        self.until(r"step [1-9][0-9]*, loss [-0-9.]+, rows per second by worker: ")


def _in_child(work: Callable[[], None], writer: int, environ: dict[str, str]) -> int:
    die_with_parent()
    for stream in (1, 2):
        os.dup2(writer, stream)
    sys.stdout, sys.stderr = os.fdopen(1, "w", 1), os.fdopen(2, "w", 1)
    os.environ.update(environ)
    prepare()
    work()
    return 0


@contextlib.contextmanager
def training(folder: pathlib.Path, spread: dict[str, Any], plan: dict[str, Any], *, count: int = 0) -> Iterator[Forked]:
    """A training of the small model of test_training.py, or of the one that counts."""
    folder.mkdir(exist_ok=True)
    if not count:
        rows(folder)
    made = Forked(lambda: train(folder, spread, plan, count))
    try:
        yield made
    finally:
        made.send(signal.SIGKILL)
        made.ended()


def train(folder: pathlib.Path, spread: dict[str, Any], plan: dict[str, Any], count: int = 0) -> None:
    made, asked = t.Plan(seed=3, **plan), Distribution(**spread)
    if count:
        (folder / "counts.json").write_text(json.dumps([round(float(number), 3) for number in t.counted(folder, made, asked, count)]))
    else:
        np.savez(folder / "weights.npz", *t.train(folder, made, asked).get_weights())


def weights_in(folder: pathlib.Path) -> list[np.ndarray]:
    with np.load(folder / "weights.npz") as found:
        return [found[name] for name in found.files]


@functools.lru_cache(maxsize=1)
def written() -> tuple[bytes, bytes]:
    """The files of both splits, written by a process that may run TensorFlow; this one may have to fork."""
    with tempfile.TemporaryDirectory() as name:
        apart(lambda: t.write(pathlib.Path(name)))
        return (pathlib.Path(name) / "train").read_bytes(), (pathlib.Path(name) / "eval").read_bytes()


def rows(folder: pathlib.Path) -> None:
    for split, content in zip(("train", "eval"), written(), strict=True):
        if not (folder / split).exists():
            (folder / split).write_bytes(content)


def as_pods(folder: pathlib.Path, spread: dict[str, Any], plan: dict[str, Any], where: network.Local) -> list[Forked]:
    """A training whose processes start by themselves, as the pods of a Kubernetes Job do; the first is the one that runs the node."""
    rows(folder)
    count = len(Distribution(**spread).places)
    environ = {"WAYBILL_HOME": str(folder / "home"), "WAYBILL_TRAINING_JOB": "trainer-1"}
    environ |= {"WAYBILL_TRAINING_PEERS": ",".join(where.addresses(count))}

    def live(index: int) -> None:
        where.enter()
        if index:
            pods.join(settings_lib.load(), print)
        else:
            train(folder, spread, plan)

    return [Forked(functools.partial(live, index), **environ, JOB_COMPLETION_INDEX=str(index)) for index in range(count)]


def trained(folder: pathlib.Path, spread: dict[str, Any], plan: dict[str, Any]) -> list[np.ndarray]:
    with training(folder, spread, plan) as made:
        assert made.ended() == 0, made.said
    return weights_in(folder)


@functools.lru_cache(maxsize=1)
def alone(folder: pathlib.Path) -> list[np.ndarray]:
    return trained(folder / "alone", ALONE, PLAN)


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Gradients of shares are summed in another order than those of the whole; over hundreds of steps that shows in the fourth digit."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("spread", [DEVICES, WORKERS, THREE], ids=["two devices", "two workers", "three workers"])
def test_what_is_learned_does_not_depend_on_how_it_is_spread(
    spread: dict[str, Any], tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    same(trained(tmp_path, spread, PLAN), alone(tmp_path_factory.getbasetemp()))


@pytest.mark.parametrize(
    "spread", [{"batch_size": 12}, DEVICES, THREE, {**SERVED, "workers": 3}], ids=["alone", "two devices", "three workers", "three served"]
)
def test_each_row_is_learned_from_once_in_each_pass_though_there_is_one_file_and_no_batch_comes_out_even(
    spread: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    with training(tmp_path, spread, {"steps": 203, "look_every": 29, "patience": 100}, count=1) as made:
        assert made.ended() == 0, made.said
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts == pytest.approx([12.0] * 203, abs=0.01), "203 steps of 12 rows are twelve passes over 203 rows"


def test_a_table_that_is_cut_into_parts_for_two_servers_is_learned_by_every_part_and_is_whole_again(tmp_path: pathlib.Path) -> None:
    far_apart = 700  # 142,100 numbers are more than half a megabyte
    with training(tmp_path, {**SERVED, "servers": 2}, {**CUT, "steps": 203, "look_every": 29}, count=far_apart) as cut:
        saved(tmp_path)
        cut.send(signal.SIGKILL)
    with training(tmp_path, {**SERVED, "servers": 2}, {**CUT, "steps": 203, "look_every": 29}, count=far_apart) as made:
        assert made.ended() == 0, made.said
        assert "training goes on after step" in made.said
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts == pytest.approx([12.0] * 203, abs=0.01)


def test_on_servers_as_good_a_model_is_learned(tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    alone(tmp_path_factory.getbasetemp())
    trained(tmp_path, SERVED, PLAN)
    plain, served = (finished(folder)["best_loss"] for folder in (tmp_path_factory.getbasetemp() / "alone", tmp_path))
    assert served == pytest.approx(plain, rel=0.1), "steps are made with weights that are a few steps old"


@pytest.mark.parametrize("spread", [THREE, SERVED], ids=["in step", "served"])
def test_processes_that_start_by_themselves_on_other_machines_train_together(
    spread: dict[str, Any], tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = alone(tmp_path_factory.getbasetemp())
    with network.private() as where:
        started = as_pods(tmp_path, spread, PLAN, where)
        ends = [pod.ended() for pod in started]
    assert ends == [0] * len(started), "\n".join(pod.said for pod in started)
    if spread is THREE:
        same(weights_in(tmp_path), expected)
    assert finished(tmp_path)["step"] == PLAN["steps"]


def test_a_process_that_waits_for_a_training_that_is_not_needed_ends_well(tmp_path: pathlib.Path) -> None:
    settings = settings_lib.load({"WAYBILL_HOME": str(tmp_path), "WAYBILL_TRAINING_JOB": "trainer-1", "JOB_COMPLETION_INDEX": "1"})
    with pytest.raises(pods.NoOrder, match="within 0 s; the log of its first process says why"):
        pods.join(settings, print, patience=0)
    pods.over(settings)
    said: list[str] = []
    pods.join(settings, said.append)
    assert said == ["the node is done, and there was nothing to train"]


def finished(folder: pathlib.Path) -> dict[str, float]:
    """What a training came to."""
    found: dict[str, float] = json.loads((folder / "checkpoints" / "finished.json").read_text())
    return found


@pytest.mark.parametrize(
    ("spread", "victim"),
    [(WORKERS, "worker 0"), (WORKERS, "worker 1"), (SERVED, "chief"), (SERVED, "worker 1"), (SERVED, "server 0")],
    ids=lambda value: value if isinstance(value, str) else value["strategy"],
)
@pytest.mark.parametrize("when", ["at its start", "on its way"])
def test_when_a_process_is_killed_all_end_with_that_cause_and_the_next_attempt_ends_as_an_undisturbed_one(
    tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory, spread: dict[str, Any], victim: str, when: str
) -> None:
    with training(tmp_path, spread, CUT) as cut:
        crew = cut.crew()
        if when == "on its way":
            saved(tmp_path)
        crew[victim].kill()
        assert cut.ended(30) != 0
        assert f"{victim} of {len(crew)} processes was killed by SIGKILL" in cut.said
        assert not any(process.is_running() for process in crew.values())
    with training(tmp_path, spread, CUT) as again:
        assert again.ended() == 0
        goes_on = re.search(r"\] .*training goes on after step ([0-9]+) of 400", again.said)
        assert bool(goes_on) == (when == "on its way")
        assert goes_on is None or 0 < int(goes_on[1]) < 400
    undisturbed = undisturbed_loss(tmp_path_factory.getbasetemp())
    assert finished(tmp_path)["step"] == 400
    if spread is SERVED:
        assert finished(tmp_path)["best_loss"] == pytest.approx(undisturbed, rel=0.15)
    else:
        assert finished(tmp_path)["best_loss"] == pytest.approx(undisturbed, rel=1e-4)
        same(weights_in(tmp_path), weights_in(tmp_path_factory.getbasetemp() / "undisturbed"))


@functools.lru_cache(maxsize=1)
def undisturbed_loss(folder: pathlib.Path) -> float:
    """The loss that one process ends with when nobody disturbs it."""
    trained(folder / "undisturbed", ALONE, CUT)
    return finished(folder / "undisturbed")["best_loss"]


@pytest.mark.parametrize("spread", [WORKERS, SERVED], ids=["in step", "served"])
def test_when_a_process_fails_its_own_words_are_in_the_log_and_nothing_survives(tmp_path: pathlib.Path, spread: dict[str, Any]) -> None:
    rows(tmp_path)
    (tmp_path / "eval").write_bytes(b"no file of rows")
    with training(tmp_path, spread, CUT) as failed:
        crew = failed.crew()
        assert failed.ended(60) != 0
    assert re.search(
        rf"(chief|worker [01]) of {len(crew)} processes ended with status 1 after step [0-9]+; its lines above say why", failed.said
    )
    assert re.search(r"\[(chief|worker [01])\] .*DataLossError", failed.said)
    assert not any(process.is_running() for process in crew.values())


def test_a_worker_that_eats_the_memory_of_its_node_is_named_with_what_it_held() -> None:
    places = Distribution(**WORKERS).places
    lands = Interval(parse_moment("2013-01-01"), parse_moment("2013-04-01"))
    todo = Work((), "trainer", 1, Unit("taxi.1.g1", Partition(lands, "/", "sha256:" + "0" * 64, 1), lands, shared=False))

    def live(place: Place, report: cluster.Report) -> None:
        held = bytearray(b"x") * ((400 if place.index else 20) << 20)
        time.sleep(60 if held else 0)

    def node(_: Work) -> NodeResult:
        cluster.run(places, live, 60, network.Given(["127.0.0.1:1", "127.0.0.1:2"]), print)
        raise AssertionError("the workers have no end of their own")

    def supervised() -> NodeResult:
        with open(os.devnull) as lease:
            return ForkBackend(node, memory=300 << 20)(todo, lease.fileno())

    result = apart(supervised)
    assert result.outcome is Outcome.KILLED
    found = re.search(
        r"it held 0\.[34] GiB of memory, 0\.[34] GiB of it worker 1 \(process ([0-9]+)\); WAYBILL_NODE_MEMORY", result.message
    )
    assert found, result.message
    with contextlib.suppress(psutil.NoSuchProcess):
        eater = psutil.Process(int(found[1]))
        assert eater.status() == psutil.STATUS_ZOMBIE or eater.wait(10) is None, "it was killed with the node"


def test_of_several_that_ended_the_one_that_was_killed_is_blamed_and_memory_is_no_cause_of_another_end(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom 3\noom_kill 3\n")
    monkeypatch.setattr(memory, "_counters", lambda: iter([tmp_path / "none", counter]))

    def failure(end: int, killed: int) -> str:
        """How a worker's end is told while the kernel has ended so many processes for their memory, it or others."""

        def live(place: Place, report: cluster.Report) -> None:
            if place.index == 2:
                counter.write_text(f"low 0\noom 3\noom_kill {killed}\n")
                os.kill(os.getpid(), end)
            time.sleep(60)

        with pytest.raises(cluster.WorkerFailed, match=rf"worker 2 of 3 processes was killed by {signal.Signals(end).name}") as told:
            cluster.run(Distribution(**THREE).places, live, 60, network.Given(["127.0.0.1:1"] * 3), print)
        return str(told.value)

    def at(place: int, status: int) -> cluster._Member:
        return cluster._Member(Place("worker", place), 1, 0, 0, 0.0, status=status)

    assert "for want of memory" in failure(signal.SIGKILL, killed=4)
    assert "for want of memory" not in failure(signal.SIGTERM, killed=5), "another process of this machine was killed meanwhile"
    assert "for want of memory" not in failure(signal.SIGKILL, killed=5), "nobody was, so that a person did it"
    crew = [at(0, -signal.SIGSEGV), at(1, -signal.SIGKILL), at(2, 1)]
    assert cluster._first_to_fail(crew, crew) is crew[1]


def saved(folder: pathlib.Path) -> None:
    """Waits until a training has saved its state."""
    deadline = time.monotonic() + 30
    while not (folder / "checkpoints" / "state" / "checkpoint").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("spread", "victim"), [(WORKERS, "worker 1"), (SERVED, "worker 1")], ids=["in step", "served"])
def test_a_process_that_stops_moving_ends_the_training_with_its_name(tmp_path: pathlib.Path, spread: dict[str, Any], victim: str) -> None:
    with training(tmp_path, spread, {**LONG, "stall_seconds": 6}) as stuck:
        crew = stuck.crew()
        stuck.moves()
        crew[victim].suspend()
        assert stuck.ended() != 0
        assert re.search(rf"no step for 6 s: .*{victim}.*; all {len(crew)} were ended", stuck.said)
        assert not any(process.is_running() for process in crew.values())


@pytest.mark.parametrize(("spread", "chief"), [(WORKERS, "worker 0"), (SERVED, "chief")], ids=["in step", "served"])
def test_on_sigterm_the_chief_saves_and_everyone_ends(tmp_path: pathlib.Path, spread: dict[str, Any], chief: str) -> None:
    with training(tmp_path, spread, LONG) as asked:
        crew = asked.crew()
        asked.moves()
        asked.send(signal.SIGTERM)
        assert asked.ended() == -signal.SIGTERM
        assert re.search(rf"\[{chief}\] .*the state after step [0-9]+ is saved", asked.said)
        _, alive = psutil.wait_procs(list(crew.values()), timeout=10)
        assert not alive


def test_when_the_training_itself_is_killed_no_process_survives(tmp_path: pathlib.Path) -> None:
    with training(tmp_path, SERVED, LONG) as cut:
        crew = cut.crew()
        cut.moves()
        cut.send(signal.SIGKILL)
        _, alive = psutil.wait_procs(list(crew.values()), timeout=10)
        assert not alive


def test_a_training_that_is_cut_off_after_its_last_step_is_not_trained_again(tmp_path: pathlib.Path) -> None:
    first = trained(tmp_path, WORKERS, {"steps": 40})
    with training(tmp_path, WORKERS, {"steps": 40}) as again:
        assert again.ended() == 0
        assert "had finished training after step 40" in again.said
        assert "train together" not in again.said
        same(weights_in(tmp_path), first)


@pytest.mark.parametrize("spread", [WORKERS, SERVED], ids=["in step", "served"])
def test_nobody_outside_reaches_the_processes_of_a_training(tmp_path: pathlib.Path, spread: dict[str, Any]) -> None:
    with training(tmp_path, spread, LONG) as made:
        crew = made.crew()
        made.moves()
        networks = {os.readlink(f"/proc/{process.pid}/ns/net") for process in crew.values()}
        assert len(networks) == 1
        assert os.readlink("/proc/self/ns/net") not in networks
        interfaces = pathlib.Path(f"/proc/{made.crew().popitem()[1].pid}/net/dev").read_text().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in interfaces] == ["lo"]
        assert not psutil.Process(made.pid).net_connections("inet")


@pytest.mark.parametrize(
    ("spread", "extra"),
    [
        (ALONE, {"mixed_precision": True, "profile_steps": 5}),
        (DEVICES, {"mixed_precision": True}),
        (WORKERS, {"mixed_precision": True, "profile_steps": 5}),
        (SERVED, {"mixed_precision": True, "profile_steps": 5}),
        (ALONE, {"xla": True}),
    ],
    ids=lambda value: value.get("strategy") or "-".join(value),
)
def test_how_it_is_computed_does_not_change_what_is_learned_by_much(
    tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory, spread: dict[str, Any], extra: dict[str, Any]
) -> None:
    alone(tmp_path_factory.getbasetemp())
    weights = trained(tmp_path, {**spread, **extra}, PLAN)
    assert {weight.dtype for weight in weights} == {np.dtype("float32")}
    plain = finished(tmp_path_factory.getbasetemp() / "alone")["best_loss"]
    assert finished(tmp_path)["best_loss"] == pytest.approx(plain, rel=0.1)
    profiles = list((tmp_path / "run").rglob("*.xplane.pb"))
    assert bool(profiles) == ("profile_steps" in extra)
