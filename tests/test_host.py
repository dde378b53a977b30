"""The real warm host: what it must not have before it forks, and that it never runs code other than what is on disk."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from waybill.cli import host, host_status, main
from waybill.launch.backends import ColdBackend
from waybill.launch.memory import descendants
from waybill.launch.units import Unit
from waybill.launch.work import Work
from waybill.records import settings as settings_lib
from waybill.records.errors import RecordError
from waybill.records.interval import Interval, parse_moment
from waybill.records.node import NodeResult, Outcome
from waybill.records.run_spec import Partition
from waybill.records.settings import PROJECT, Settings

START = 120  # seconds that importing TFX may take on a busy machine


def wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START
    while not condition():
        assert time.monotonic() < deadline, f"waited {START} s for {what}"
        time.sleep(0.05)


def status(settings: Settings) -> dict:
    with contextlib.suppress(host_status.HostSilent):
        return host_status.ask(settings)
    return {}


@contextlib.contextmanager
def serving(project: pathlib.Path, home: pathlib.Path) -> Iterator[tuple[subprocess.Popen, Settings]]:
    """A `waybill host` of a project folder."""
    settings = settings_lib.load({"WAYBILL_HOME": str(home)})
    process = subprocess.Popen(
        [sys.executable, "-m", "waybill.cli.main", "host"], cwd=project, env={**os.environ, "WAYBILL_HOME": str(home)}
    )
    try:
        wait(lambda: bool(status(settings)) or process.poll() is not None, "the host to answer")
        yield process, settings
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[pathlib.Path, subprocess.Popen, Settings]]:
    """A host of a copy of the project, so that its code can be changed."""
    project = tmp_path_factory.mktemp("project")
    for folder in ("waybill", "components", "pipelines", "schemas"):
        shutil.copytree(PROJECT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "requirements.txt", project)
    with serving(project, tmp_path_factory.mktemp("home")) as (process, settings):
        yield project, process, settings


def test_before_it_forks_the_host_has_few_threads_and_no_store_channel_or_file_of_a_run(
    copied: tuple[pathlib.Path, subprocess.Popen, Settings],
) -> None:
    _, process, settings = copied
    proc = pathlib.Path(f"/proc/{process.pid}")
    threads = [(task / "comm").read_text().strip() for task in (proc / "task").iterdir()]
    assert len(threads) <= 2, f"one, and one of TensorFlow's that sleeps: {threads}"
    own = sorted(["anon_inode", "pipe", "pipe", "socket", "socket", str(settings.host_socket.with_name("host.lock"))])
    # Now and then it reads its code, or answers this test.
    wait(lambda: sorted(open_files(proc)) == own, f"the host to have open only {own}; it has {open_files(proc)}")
    wait(lambda: len(descendants(process.pid)) == 2, "the two that wait for the next command: who decides, and who executes")
    ahead = [pathlib.Path(f"/proc/{pid}") for pid in descendants(process.pid)]
    practised = settings.host_socket.parent
    wait(
        lambda: all(set(open_files(each)) == {"socket"} for each in ahead) and not list(practised.glob("practice-*")),
        "what they practised to be put away",
    )


def open_files(proc: pathlib.Path) -> list[str]:
    """What a process has open beside its standard streams: paths, and kinds of everything else."""
    names = []
    for entry in (proc / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            name = os.readlink(entry)
            if int(entry.name) > 2:
                names.append(name if name.startswith("/") else name.split(":")[0])
    return names


def test_a_second_host_of_the_same_home_is_refused_and_the_first_serves_on(copied: tuple[pathlib.Path, subprocess.Popen, Settings]) -> None:
    project, process, settings = copied
    second = subprocess.run(
        [sys.executable, "-m", "waybill.cli.main", "host"], cwd=project, capture_output=True, text=True, check=False, timeout=START,
        env={**os.environ, "WAYBILL_HOME": str(settings.home)},
    )  # fmt: skip
    assert second.returncode == 2
    assert "serves" in second.stderr
    assert status(settings)["pid"] == process.pid


def test_a_host_whose_code_changes_starts_anew_as_the_same_process(copied: tuple[pathlib.Path, subprocess.Popen, Settings]) -> None:
    project, process, settings = copied
    wait(lambda: status(settings).get("age", 0) > 5, "the host to be older than a new one")
    with (project / "pipelines/taxi/features.py").open("a") as code:
        code.write("\n# changed\n")
    wait(lambda: status(settings).get("age", 99) < 5, "a new host")
    assert status(settings)["pid"] == process.pid
    assert process.poll() is None


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("requirements.txt", "tfx==1.22.0\n", "the lock has changed since the host imported it"),
        ("pipelines/taxi/features.py", "CODE = 2\n", "the code has changed since the host imported it"),
        ("components/new.py", "CODE = 1\n", "the code has changed since the host imported it"),
        ("requirements.txt", "tfx==1.21.0\n", ""),
        ("README.md", "# Waybill\n", ""),
    ],
    ids=["another lock", "other code", "more code", "a lock written again", "a document"],
)
def test_a_host_notices_what_it_has_imported_and_nothing_else(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, says: str
) -> None:
    for name, content in {"requirements.txt": "tfx==1.21.0\n", "pipelines/taxi/features.py": "CODE = 1\n", "components/old.py": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(host, "PROJECT", tmp_path)
    stale = host.staleness()
    assert stale() == ""
    (tmp_path / file).write_text(text)
    assert stale() == says


def test_the_unit_of_systemd_starts_what_there_is_with_settings_that_there_are() -> None:
    unit = (PROJECT / "deploy/systemd/waybill-host.service").read_text()
    [command] = re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)
    python, flag, module, *words = command.split()
    [folder] = re.findall(r"^WorkingDirectory=(.+)$", unit, re.MULTILINE)
    assert (python, flag) == (f"{folder}/{settings_lib.load({}).tfx_python.relative_to(PROJECT)}", "-m")
    assert importlib.util.find_spec(module) is not None
    assert main.parser().parse_args(words).verb == "host"
    named = re.findall(r"^#?.*\bEnvironment=\"?([A-Za-z_]+)=", unit, re.MULTILINE)
    known = set(re.findall(r"\bWAYBILL_[A-Z_]+\b", (PROJECT / "waybill/records/settings.py").read_text()))
    assert named and set(named) <= known


def test_a_pipeline_that_runs_tensorflow_when_it_is_imported_keeps_the_host_from_starting_and_is_named_as_the_reason(
    copied: tuple[pathlib.Path, subprocess.Popen, Settings], tmp_path: pathlib.Path
) -> None:
    project, _, _ = copied
    bad = tmp_path / "project"
    shutil.copytree(project, bad, ignore=shutil.ignore_patterns("__pycache__"))
    with (bad / "pipelines/taxi/features.py").open("a") as code:
        code.write("\nONE = tf.constant(1) + 1\n")
    ended = subprocess.run(
        [sys.executable, "-m", "waybill.cli.main", "host"], cwd=bad, capture_output=True, text=True, check=False, timeout=START,
        env={**os.environ, "WAYBILL_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert ended.returncode == 2
    assert "runs a TensorFlow op when it is imported" in ended.stderr


GREEDY = "held = bytearray(b'x') * (400 << 20); time.sleep(600)"
MODEST = "time.sleep(1.5)"
COLD = "import sys, time; sys.stdin.read(); {work}; open(int(sys.argv[-1]), 'w').write({done!r})"
FORKED = """
import os, sys, time
from waybill.launch.backends import ForkBackend
from waybill.launch.work import Work
from waybill.records.node import NodeResult
def run(todo):
    {work}
    return NodeResult.from_line({done!r})
print(ForkBackend(run, memory=300 << 20)(Work.from_text(sys.argv[1]), os.open(os.devnull, os.O_RDONLY)).to_line())
"""
BYSTANDER = "import sys; held = bytearray(b'x') * (400 << 20); print(flush=True); sys.stdin.read()"
DONE = NodeResult("trainer", Outcome.COMPLETE, "done")


def cold(work: str, todo: Work) -> NodeResult:
    """Does the work in an interpreter of its own."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        code = COLD.format(work=work, done=DONE.to_line())
        return ColdBackend([sys.executable, "-c", code], memory=300 << 20)(todo, descriptor)
    finally:
        os.close(descriptor)


def forked(work: str, todo: Work) -> NodeResult:
    """Does the work in a fork, as every warm node and `waybill run` do; of a process that has run no TensorFlow op."""
    command = [sys.executable, "-c", FORKED.format(work=work, done=DONE.to_line()), todo.to_text()]
    done = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True, timeout=START)
    result = NodeResult.from_line(done.stdout)
    assert result is not None, done.stdout
    return result


@pytest.mark.parametrize("node", [cold, forked])
@pytest.mark.parametrize(("work", "outcome"), [(GREEDY, Outcome.KILLED), (MODEST, Outcome.COMPLETE)])
def test_a_node_that_holds_more_memory_than_it_may_is_killed_and_told_so(
    node: Callable[[str, Work], NodeResult], work: str, outcome: Outcome
) -> None:
    interval = Interval(parse_moment("2013-01-01"), parse_moment("2013-04-01"))
    todo = Work((), "trainer", 1, Unit("taxi.1.g1", Partition(interval, "/", "sha256:" + "0" * 64, 1), interval, shared=False))
    with subprocess.Popen([sys.executable, "-c", BYSTANDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bystander:
        bystander.stdout.readline()
        result = node(work, todo)
        assert bystander.poll() is None, "it is another node's, or nobody's"
    assert result.outcome is outcome
    assert ("WAYBILL_NODE_MEMORY allows 0.3 GiB" in result.message) == (outcome is Outcome.KILLED)


def test_a_forked_node_computes_with_as_many_threads_as_it_is_told_though_its_parent_had_one() -> None:
    code = (
        "import numpy, threadpoolctl, tensorflow as tf\n"
        "from waybill.launch.process import compute_with\n"
        "blas = lambda: {p['num_threads'] for p in threadpoolctl.threadpool_info() if p['user_api'] == 'blas'}\n"
        "before = blas()\n"
        "compute_with(3)\n"
        "print(before, blas(), tf.config.threading.get_intra_op_parallelism_threads())"
    )
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, check=True, capture_output=True, text=True, timeout=START)
    assert done.stdout.split("\n")[0] == "{1} {3} 3"


def test_what_a_node_prints_is_in_its_log_while_it_works() -> None:
    code = (
        "import os, sys, time\n"
        "from waybill.launch import backends\n"
        "from waybill.records.node import NodeResult, Outcome\n"
        "def work(todo):\n"
        "    print('at work')\n"
        "    time.sleep(600)\n"
        "class Todo:\n"
        "    to_text = lambda self: '{}'\n"
        "backends.Work = type('Work', (), {'from_text': staticmethod(lambda text: text)})\n"
        "backends.ForkBackend(work)(Todo(), os.open(os.devnull, os.O_RDONLY))\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen([sys.executable, "-c", code], env=environ, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as node:
        impatient = threading.Timer(60, node.kill)
        impatient.start()
        assert node.stdout.readline() == "at work\n"
        impatient.cancel()
        node.kill()


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("800M", 800 << 20), ("6G", 6 << 30), ("1024", 1024)])
def test_a_memory_limit_is_read_as_people_write_it(text: str, size: int) -> None:
    assert settings_lib.load({"WAYBILL_NODE_MEMORY": text}).node_memory == size


@pytest.mark.parametrize(
    ("name", "text"), [("NODE_MEMORY", "6 GB"), ("NODE_MEMORY", "-1"), ("NODE_THREADS", "two"), ("RETRY_SECONDS", "1.5")]
)
def test_a_setting_that_cannot_be_read_is_named_with_what_was_expected(name: str, text: str) -> None:
    with pytest.raises(RecordError, match=f"WAYBILL_{name} is '{text}'; expected"):
        settings_lib.load({f"WAYBILL_{name}": text})
