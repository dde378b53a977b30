"""What the process that runs a node promises: live lines, an honest result, and nothing left behind."""

from __future__ import annotations

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import threading
import time

import pytest
from airflow_side import FakeLauncher, environment_with, gone

from waybill.orchestration.process import MAX_LOG_LINE, ColdCommand, NodeProcess, child_environment, pasteable
from waybill.records.node import NodeResult, Outcome

DONE = NodeResult("trainer", Outcome.COMPLETE, "trained", run="tiny.1.g1", execution=7, seconds=1.5)


@pytest.fixture
def launcher(tmp_path: pathlib.Path) -> FakeLauncher:
    return FakeLauncher(tmp_path / "launcher").install()


def process(launcher: FakeLauncher, lines: list[str]) -> NodeProcess:
    arguments = [str(launcher.python), "-m", "waybill.cli.main", "--node=trainer"]
    return NodeProcess("trainer", lambda: ColdCommand(arguments, child_environment(os.environ)), lines.append)


def test_the_result_is_the_last_line_and_every_other_line_is_told(launcher: FakeLauncher) -> None:
    lines: list[str] = []
    launcher.answers("trainer", DONE, prints=["step 1", "", "0 %\r50 %\r100 %", "{"])
    result = process(launcher, lines).run()
    assert result == DONE
    assert lines == ["step 1", "100 %", "{"]


def test_lines_are_told_while_the_command_runs(launcher: FakeLauncher) -> None:
    times: list[float] = []
    launcher.answers("trainer", DONE, prints=["first"], takes=1.0)
    arguments = [str(launcher.python), "-m", "x", "--node=trainer"]
    running = NodeProcess(
        "trainer", lambda: ColdCommand(arguments, child_environment(os.environ)), lambda line: times.append(time.monotonic())
    )
    running.run()
    assert time.monotonic() - times[0] > 0.8


def test_an_endless_line_is_cut_and_says_so(launcher: FakeLauncher) -> None:
    lines: list[str] = []
    launcher.answers("trainer", DONE, prints=["x" * 50000])
    process(launcher, lines).run()
    assert lines == ["x" * MAX_LOG_LINE + " ... and 48000 characters more"]


def test_a_long_result_is_read_whole(launcher: FakeLauncher) -> None:
    long = NodeResult("trainer", Outcome.COMPLETE, "m" * 300000)
    launcher.answers("trainer", long)
    assert process(launcher, []).run() == long


@pytest.mark.parametrize(
    "how, said",
    [
        ({"signal": int(signal.SIGKILL)}, "trainer was killed by SIGKILL (out of memory"),
        ({"signal": int(signal.SIGSEGV)}, "trainer was killed by SIGSEGV before"),
        ({"result": "", "status": 3}, "trainer ended with status 3 and no result"),
        ({"result": "", "status": 0}, "trainer ended with status 0 and no result"),
        ({"result": '{"waybill_node_result": {"node": "trainer"}}', "status": 1}, "last line is damaged"),
    ],
)  # fmt: skip
def test_a_command_without_a_result_counts_as_killed_and_says_how_it_ended(launcher: FakeLauncher, how: dict, said: str) -> None:
    launcher.answers("trainer", DONE, **how)
    result = process(launcher, []).run()
    assert result.outcome is Outcome.KILLED
    assert said in result.message


@pytest.mark.parametrize("how", [{"status": 1}, {"status": 137}, {"signal": int(signal.SIGKILL), "prints": [DONE.to_line()]}])
def test_a_good_result_is_not_believed_when_the_exit_status_denies_it(launcher: FakeLauncher, how: dict) -> None:
    launcher.answers("trainer", DONE, **how)
    assert process(launcher, []).run().outcome is Outcome.KILLED


def test_a_result_of_another_node_is_not_believed(launcher: FakeLauncher) -> None:
    launcher.answers("trainer", NodeResult("evaluator", Outcome.COMPLETE, "evaluated"))
    assert process(launcher, []).run().outcome is Outcome.KILLED


def test_what_a_command_leaves_running_is_killed_and_holds_nothing_up(launcher: FakeLauncher) -> None:
    launcher.answers("trainer", DONE, leaves=True)
    started = time.monotonic()
    assert process(launcher, []).run() == DONE
    assert time.monotonic() - started < 30
    assert gone(launcher.pids())


def test_killing_leaves_no_process_of_the_group(launcher: FakeLauncher) -> None:
    launcher.answers("trainer", DONE, hangs=True)
    running = process(launcher, [])
    results: list[NodeResult] = []
    thread = threading.Thread(target=lambda: results.append(running.run()))
    thread.start()
    pids = launcher.pids()
    started = time.monotonic()
    running.kill()
    assert time.monotonic() - started < 0.5
    thread.join(10)
    assert gone(pids)
    assert results[0].outcome is Outcome.KILLED


def test_a_kill_before_the_start_is_not_lost(launcher: FakeLauncher) -> None:
    launcher.answers("trainer", DONE, hangs=True)
    running = process(launcher, [])
    running.kill()
    assert running.run().outcome is Outcome.KILLED


def test_when_the_task_process_is_killed_nothing_of_its_command_survives(launcher: FakeLauncher) -> None:
    launcher.answers("trainer", DONE, hangs=True)
    task = (
        "import os; from waybill.orchestration.process import ColdCommand, NodeProcess; "
        f"command = [{str(launcher.python)!r}, '-m', 'x', '--node=trainer']\n"
        "NodeProcess('trainer', lambda: ColdCommand(command, os.environ), print).run()"
    )
    parent = subprocess.Popen([sys.executable, "-c", task], env=environment_with(launcher))
    pids = launcher.pids()
    parent.kill()
    parent.wait()
    assert gone(pids)


def test_the_command_inherits_settings_but_nothing_of_airflow_or_this_python() -> None:
    environ = {
        "HOME": "/h",
        "WAYBILL_HOME": "/w",
        "AIRFLOW__API_AUTH__JWT_SECRET": "s",
        "AIRFLOW_HOME": "/a",
        "PYTHONPATH": "/p",
        "VIRTUAL_ENV": "/v",
    }
    assert child_environment(environ) == {"HOME": "/h", "WAYBILL_HOME": "/w", "PYTHONUNBUFFERED": "1"}


def test_the_printed_command_can_be_pasted(launcher: FakeLauncher, tmp_path: pathlib.Path) -> None:
    launcher.answers("trainer", DONE)
    line = pasteable(
        [str(launcher.python), "-m", "waybill.cli.main", "--node=trainer", "--reason=it's new"], {"WAYBILL_HOME": str(tmp_path / "a b")}
    )
    assert subprocess.run(["/bin/sh", "-c", line], check=False, capture_output=True).returncode == 0
    (call,) = launcher.calls()
    assert "--reason=it's new" in call["words"]
    assert call["environment"]["WAYBILL_HOME"] == str(tmp_path / "a b")
    assert "--lifeline" not in shlex.split(line)


@pytest.mark.parametrize("url", ["postgresql://ada:s3cret@db/mlmd", "postgresql://db/mlmd?user=ada&password=s3cret"])
def test_the_printed_command_shows_no_password(url: str) -> None:
    line = pasteable(["python", "-m", "waybill.cli.main"], {"WAYBILL_STORE_URL": url, "WAYBILL_HOME": "/home"})
    assert "s3cret" not in line
    assert "WAYBILL_HOME=/home" in line
    assert "postgresql://db/mlmd" in pasteable(["python"], {"WAYBILL_STORE_URL": "postgresql://db/mlmd"})
