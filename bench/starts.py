"""What happens before any work is done: a DAG file is parsed, a node's process starts -> seconds of each."""

from __future__ import annotations

import os
import pathlib
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable

from bench.quarter import START
from bench.runs import prepare
from waybill.cli import host_status
from waybill.cli.services import PYTHON
from waybill.orchestration.process import NodeProcess, child_environment
from waybill.orchestration.warm import WarmCommand
from waybill.records import settings as settings_lib
from waybill.records.settings import PROJECT, Settings

_PARSES, _STARTS = 7, 30
_PARSE = """
import sys, time
import airflow.sdk
began = time.perf_counter()
sys.path.insert(0, "dags")
import taxi_dag
print(time.perf_counter() - began)
"""


def dag_parse(say: Callable[[str], None]) -> float:
    """Median seconds of importing the taxi DAG's file where `airflow.sdk` is imported already."""
    seconds = []
    for _ in range(_PARSES):
        done = subprocess.run([str(PYTHON), "-c", _PARSE], cwd=PROJECT, check=True, capture_output=True, text=True)
        seconds.append(float(done.stdout.splitlines()[-1]))
    say(f"DAG parse over bare `import airflow.sdk`: {statistics.median(seconds):.3f} s (of {_PARSES})")
    return statistics.median(seconds)


def node_start(folder: pathlib.Path, say: Callable[[str], None]) -> float:
    """Median seconds from asking a warm host for a node whose work is done until it says so: start, spec, store, lease and end."""
    settings = settings_lib.load({"WAYBILL_HOME": str(folder)})
    prepare(settings)
    environ = {**os.environ, "WAYBILL_HOME": str(folder)}
    with (folder / "host.log").open("wb") as log:
        host = subprocess.Popen([sys.executable, "-m", "waybill.cli.main", "host"], cwd=PROJECT, env=environ, stdout=log, stderr=log)
    try:
        _wait(settings)
        ticket = uuid.uuid4().hex
        spec = _command(settings, environ, ["run-spec", "taxi", f"--ticket={ticket}", f"--start={START}", "--kind=manual", "--run=bench"])
        words = ["node", "run", f"--spec={spec}", "--node=schema_gen", f"--ticket={ticket}"]
        _command(settings, environ, words)
        seconds = []
        for _ in range(_STARTS):
            began = time.perf_counter()
            _command(settings, environ, words)
            seconds.append(time.perf_counter() - began)
    finally:
        host.terminate()
        host.wait()
    say(f"node start, warm: {statistics.median(seconds):.3f} s (of {_STARTS}: {min(seconds):.3f} to {max(seconds):.3f})")
    return statistics.median(seconds)


def _command(settings: Settings, environ: dict[str, str], words: list[str]) -> str:
    """Runs a command in a fork of the host; returns the spec that it froze, if it did."""

    def start() -> WarmCommand:
        return WarmCommand(settings.host_socket, pathlib.Path(sys.executable), words, child_environment(environ))

    node = "run_spec" if words[0] == "run-spec" else "schema_gen"
    result = NodeProcess(node, start, lambda line: None).run()
    if not result.successful:
        raise SystemExit(f"{node} ended as {result.outcome.value}: {result.message}")
    return str(result.extra.get("spec", ""))


def _wait(settings: Settings) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            host_status.ask(settings)
            return
        except host_status.HostSilent:
            time.sleep(0.2)
    raise SystemExit("the host did not start within 3 minutes")
