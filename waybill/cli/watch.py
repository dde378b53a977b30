"""Runs in a real Airflow -> lines in the terminal, as their tasks end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeAlias

from waybill.cli.airflow_client import AirflowClient, AirflowUnreachable

_POLL_SECONDS = 1.0
Done: TypeAlias = Callable[[list[dict[str, Any]]], bool]
_ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "removed"})


class Watcher:
    """Shows what the runs of a DAG do.

    Args:
      client: A client of the running Airflow.
      dag_id: The DAG.
      began: `time.monotonic()` at the start of what is shown.
    """

    def __init__(self, client: AirflowClient, dag_id: str, began: float):
        self._client = client
        self._dag_id = dag_id
        self._began = began
        self._shown: set[tuple[str, str, int, int, str]] = set()

    def look(self, done: Done) -> bool:
        """Shows what has ended since the last look; whether `done` says so of the DAG's runs."""
        try:
            runs = self._client.runs(self._dag_id)
            for run in runs:
                self._show(run)
            self._status(runs)
            return done(runs)
        except AirflowUnreachable:
            return False  # the API server is busy; the next look tells more

    def skip(self, runs: Collection[dict[str, Any]]) -> None:
        """Takes everything these runs have done so far as shown."""
        for run in runs:
            for task in self._client.tasks(self._dag_id, run["dag_run_id"]):
                self._shown.add(_key(run, task))

    def _show(self, run: dict[str, Any]) -> None:
        for task in self._client.tasks(self._dag_id, run["dag_run_id"]):
            key = _key(run, task)
            if task["state"] in _ENDED and key not in self._shown:
                self._shown.add(key)
                span = f" {task['rendered_map_index']}" if task.get("rendered_map_index") else ""
                took = f"{task['duration']:6.1f} s" if task.get("duration") else " " * 8
                self._line(f"{self._dag_id:<8} {label(run)}  {task['task_id'] + span:<30} {took}  {task['state']}")

    def _status(self, runs: list[dict[str, Any]]) -> None:
        """One passing line on a terminal: what is under way."""
        if not sys.stdout.isatty():
            return
        active = [label(run) for run in runs if run["state"] in ("running", "queued")]
        print(
            f"\r\033[K{time.monotonic() - self._began:7.0f} s  under way: {self._dag_id} {', '.join(active) or 'nothing'}",
            end="",
            flush=True,
        )

    def _line(self, text: str) -> None:
        clear = "\r\033[K" if sys.stdout.isatty() else ""
        print(f"{clear}{time.monotonic() - self._began:7.0f} s  {text}", flush=True)


def until(awaited: Sequence[tuple[Watcher, Done]], seconds: float) -> bool:
    """Shows what several DAGs do until each is done; False when that takes longer than `seconds`."""
    left, deadline = list(awaited), time.monotonic() + seconds
    while left and time.monotonic() < deadline:
        left = [(watcher, done) for watcher, done in left if not watcher.look(done)]
        time.sleep(_POLL_SECONDS if left else 0)
    return not left


def label(run: dict[str, Any]) -> str:
    """What a run is called in a line: the first day of its interval."""
    return str(run["data_interval_start"] or run["run_after"])[:10]


def _key(run: dict[str, Any], task: dict[str, Any]) -> tuple[str, str, int, int, str]:
    return (run["dag_run_id"], task["task_id"], task["map_index"], task["try_number"], str(task["start_date"]))
