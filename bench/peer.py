"""`make bench-peer`: one quarter by TFX's AirflowDagRunner on Airflow 2.11, and by ours, in turns -> bench/PEER.md and results.json.

Ends with status 1 when the figure is not what it must be.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

from bench import report, runs
from bench.quarter import START, check_released, land
from bench.runs import PEER, Run
from waybill.cli import marked
from waybill.cli.airflow_environment import MARK
from waybill.records.interval import parse_moment
from waybill.records.settings import PROJECT

_BIN = PROJECT / ".venv-peer" / "bin"
_DAG = "taxi"
_MINUTES = 30
_FOREIGN = ("AIRFLOW", "_AIRFLOW", "PYTHON", "VIRTUAL_ENV", "WAYBILL_")
_GRACE_SECONDS = 8


def main() -> int:
    """Measures, writes the results and judges them."""
    parser = argparse.ArgumentParser(prog="make bench-peer", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind (default %(default)s; a round takes some four minutes)")
    args = parser.parse_args()
    found = runs.measure_kinds({PEER: peer, runs.WARM: runs.warm}, args.rounds, say)
    figure = report.peer_figure(found[runs.WARM], found[PEER])
    report.write_peer(figure, found, version())
    say(figure.line)
    return int(figure.value > figure.must)


def peer(folder: pathlib.Path) -> Run:
    """TFX's, through Airflow 2.11, each task an interpreter of its own, as its runner has it."""
    land(folder / "landing", START)
    environ = environment(folder)
    airflow(environ, "db", "migrate")
    airflow(environ, "dags", "reserialize")
    airflow(environ, "dags", "unpause", _DAG)
    with scheduler(folder, environ):
        airflow(environ, "dags", "trigger", _DAG)
        return Run(wait(folder))


def environment(folder: pathlib.Path) -> dict[str, str]:
    """What Airflow 2.11 needs for one DAG on one machine: a database, a log folder and time to import TFX."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    home = folder / "airflow"
    return {
        **kept,
        MARK: secrets.token_hex(16),
        "SPT_NOENV": "1",  # setproctitle would write over the environment, and the mark with it
        "PATH": f"{_BIN}{os.pathsep}{kept.get('PATH', '')}",
        "PYTHONPATH": str(PROJECT),
        "TF_USE_LEGACY_KERAS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "WAYBILL_PEER_FOLDER": str(folder),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "bench" / "airflow2"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",  # the only one that SQLite may have there; the tasks are one chain
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",  # 30 s by default, less than the import of TFX takes while another one goes on
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "300",
        "AIRFLOW__CORE__DAG_FILE_PROCESSOR_TIMEOUT": "300",
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",  # as in our own settings
    }


def airflow(environ: Mapping[str, str], *words: str) -> None:
    """One command of Airflow 2.11.

    Raises:
      SystemExit: if it fails; with the end of what it said.
    """
    done = subprocess.run([_BIN / "python", "-m", "airflow", *words], env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"airflow {' '.join(words)} ended with status {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")


@contextlib.contextmanager
def scheduler(folder: pathlib.Path, environ: Mapping[str, str]) -> Iterator[None]:
    """A scheduler that runs during the block; everything that it started ends with it, its DAG processor in a session of its own too."""
    command = [_BIN / "python", "-m", "airflow", "scheduler", "--skip-serve-logs"]  # serving them would listen on all interfaces
    with (folder / "scheduler.log").open("wb") as log:
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        marked.end(MARK, environ[MARK], _GRACE_SECONDS)
        process.wait()


def wait(folder: pathlib.Path) -> float:
    """Seconds from the moment the run was queued to its end, as Airflow's database has them.

    Raises:
      SystemExit: if it fails or does not end.
    """
    deadline = time.monotonic() + _MINUTES * 60
    while time.monotonic() < deadline:
        with contextlib.closing(sqlite3.connect(f"file:{folder}/airflow/airflow.db?mode=ro", uri=True, timeout=30)) as database:
            [(state, queued, ended)] = database.execute("SELECT state, queued_at, end_date FROM dag_run")
            tasks = dict(database.execute("SELECT task_id, state FROM task_instance"))
        if state == "success":
            check_released(folder)
            return (parse_moment(ended) - parse_moment(queued)).total_seconds()
        if state == "failed":
            raise SystemExit(f"its run failed, tasks {tasks}; the end of its log:\n{tail(folder)}")
        time.sleep(0.5)
    raise SystemExit(f"its run had not ended after {_MINUTES} minutes, tasks {tasks}; the end of its log:\n{tail(folder)}")


def tail(folder: pathlib.Path) -> str:
    """The end of what the scheduler and the tasks said."""
    logs = sorted((folder / "airflow" / "logs").rglob("attempt=*.log"), key=lambda path: path.stat().st_mtime)
    return "\n".join(path.read_text(errors="replace")[-3000:] for path in [folder / "scheduler.log", *logs[-1:]])


def version() -> str:
    """The version of Airflow that TFX's runner was measured on."""
    said = subprocess.run([_BIN / "python", "-m", "airflow", "version"], capture_output=True, text=True, check=True).stdout
    return said.strip().splitlines()[-1]


def say(line: str) -> None:
    """A line for whoever watches."""
    print(f"bench-peer: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
