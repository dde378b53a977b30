"""Airflow's REST API -> plain values. Standard library only; speaks without any proxy."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from waybill.records.interval import parse_moment

_SECONDS = 30
_PAGE = 100  # Airflow's own upper limit


class AirflowUnreachable(Exception):
    """Nobody answered, or not in time."""


class AirflowRefused(Exception):
    """Airflow answered with an error.

    Attributes:
      status: HTTP status.
    """

    def __init__(self, method: str, path: str, status: int, detail: str):
        super().__init__(f"Airflow answered {method} {path} with {status}: {detail}")
        self.status = status


class AirflowClient:
    """A logged-in person's view of Airflow.

    Args:
      address: Such as `http://127.0.0.1:8080`.
      user: Name to log in with; done at the first call that needs it.
      password: Their password.
      token: A token of Airflow's API, instead of both.
    """

    def __init__(self, address: str, user: str, password: str, *, token: str = ""):
        self.address = address
        self._login = {"username": user, "password": password}
        self._token = token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def health(self) -> dict[str, Any]:
        """Status and last heartbeat of each component."""
        return self._send("GET", "/api/v2/monitor/health", None, {})

    def not_healthy_since(self, began: float) -> str:
        """Name of a component that has not reported itself healthy since a moment (in seconds since 1970); empty when all have.

        The API server is asked at both doors: it builds the one for tasks when somebody first knocks, which takes seconds that the first
        task after a start would have to wait.
        """
        try:
            health = self.health()
            self._send("GET", "/execution/health", None, {})
        except (AirflowUnreachable, AirflowRefused):
            return "api-server"
        for name in ("scheduler", "dag_processor"):
            beat = health[name][f"latest_{name}_heartbeat"]
            if health[name]["status"] != "healthy" or not beat or parse_moment(beat).timestamp() < began:
                return name.replace("_", "-")
        return ""

    def wait_for_dag(self, dag_id: str, seconds: float = 60) -> dict[str, Any]:
        """The DAG, as soon as it has been parsed.

        Raises:
          AirflowUnreachable: if it does not appear; names the import errors there are.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.call("GET", f"/dags/{dag_id}")
            except AirflowRefused as error:
                if error.status != 404:
                    raise
            if time.monotonic() > deadline:
                errors = self.call("GET", "/importErrors")["import_errors"]
                told = "".join(f"\n{e['filename']}:\n{e['stack_trace']}" for e in errors) or " and no import errors"
                raise AirflowUnreachable(f"DAG {dag_id} did not appear within {seconds:.0f} s;{told}")
            time.sleep(0.5)

    def pause(self, dag_id: str, paused: bool) -> None:
        """Pauses or unpauses a DAG."""
        self.call("PATCH", f"/dags/{dag_id}", {"is_paused": paused})

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG, oldest interval first."""
        found = self._all(f"/dags/{dag_id}/dagRuns", "dag_runs")
        return sorted(found, key=lambda run: (run["data_interval_start"] or run["run_after"], run["queued_at"] or ""))

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run, mapped ones one by one."""
        return self._all(f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances", "task_instances")

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> dict[str, Any]:
        """Starts a manual run with values for the form's fields."""
        return self.call("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": dict(conf)})

    def backfill(
        self,
        dag_id: str,
        first: str,
        last: str,
        *,
        reprocess: str = "none",
        conf: Mapping[str, Any] | None = None,
        at_once: int = 4,
        reverse: bool = False,
    ) -> dict[str, Any]:
        """Starts a backfill.

        Args:
          dag_id: The DAG.
          first: Start of the first interval, ISO 8601.
          last: Start of the last interval, ISO 8601.
          reprocess: Which intervals that have runs are run again: `none`, `failed` or `completed`.
          conf: Values for the form's fields.
          at_once: How many of its runs may be active at once.
          reverse: Whether the newest interval goes first.
        """
        body = {
            "dag_id": dag_id, "from_date": first, "to_date": last, "reprocess_behavior": reprocess, "dag_run_conf": dict(conf or {}),
            "max_active_runs": at_once, "run_backwards": reverse, "run_on_latest_version": True,
        }  # fmt: skip
        return self.call("POST", "/backfills", body)

    def backfill_ended(self, backfill_id: int) -> bool:
        """Whether a backfill is over. Airflow looks now and then, some time after the last run's end; until then it starts no other."""
        return self.call("GET", f"/backfills/{backfill_id}")["completed_at"] is not None

    def clear(self, dag_id: str, run_id: str, tasks: Sequence[str | tuple[str, int]], *, downstream: bool = True) -> list[dict[str, Any]]:
        """Clears tasks of a run, so that they run again; a pair names one copy of a mapped task."""
        named = [list(task) if isinstance(task, tuple) else task for task in tasks]
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": named,
            "include_downstream": downstream,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        return list(self.call("POST", f"/dags/{dag_id}/clearTaskInstances", body)["task_instances"])

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> None:
        """Marks a task, as a person does in the UI."""
        place = "" if map_index < 0 else f"/{map_index}"
        self.call("PATCH", f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}{place}", {"new_state": state})

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Marks a run, as a person does in the UI."""
        self.call("PATCH", f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}", {"state": state})

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1, map_index: int = -1) -> str:
        """The text of a task's log."""
        place = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/logs/{attempt}?map_index={map_index}&full_content=true"
        content = self.call("GET", place)["content"]
        return "\n".join(str(entry["event"]) if isinstance(entry, dict) else str(entry) for entry in content)

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """What a task left for others."""
        place = f"/dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/xcomEntries/{key}?map_index={map_index}&deserialize=true"
        return self.call("GET", place)["value"]

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One call of the public API, logging in first when that is needed.

        Raises:
          AirflowRefused: if Airflow answers with an error.
          AirflowUnreachable: if it does not answer.
        """
        if not self._token:
            self._token = str(self._send("POST", "/auth/token", self._login, {})["access_token"])
        try:
            return self._send(method, f"/api/v2{path}", body, {"Authorization": f"Bearer {self._token}"})
        except AirflowRefused as error:
            if error.status == 401 and self._login["username"]:  # the token ended; the next call logs in again
                self._token = ""
            raise

    def _all(self, path: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", f"{path}?limit={_PAGE}&offset={len(found)}")
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        all_headers = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.address + path, data, all_headers, method=method)
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                text = answer.read()
                return dict(json.loads(text)) if text else {}
        except urllib.error.HTTPError as error:
            detail = error.read().decode(errors="replace")[:2000]
            raise AirflowRefused(method, path, error.code, detail) from None
        except OSError as error:
            raise AirflowUnreachable(f"{self.address} does not answer ({error}); `make up` starts Airflow") from None


def _quoted(run_id: str) -> str:
    return urllib.parse.quote(run_id, safe="")
