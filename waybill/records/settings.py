"""Environment variables -> where things are. The only module that reads the environment."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping

from waybill.records.errors import RecordError

PROJECT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where an installation keeps its things.

    Attributes:
      home: Everything Waybill writes, unless told otherwise (`WAYBILL_HOME`, default `var/` in the project).
      landing: Folder of landed partitions, one folder per pipeline (`WAYBILL_LANDING`, default `landing/` in home).
      serving: TensorFlow Serving base paths, one folder per model (`WAYBILL_SERVING`, default `serving/` in home).
      store_url: SQLAlchemy URL of the MLMD database (`WAYBILL_STORE_URL`, default SQLite in home).
      tfx_python: The interpreter that runs nodes (`WAYBILL_TFX_PYTHON`, default `.venv/bin/python` in the project).
      catchup: Whether the schedule makes runs for the intervals of the past (`WAYBILL_CATCHUP`, 1 or 0, default 0).
      schedule_end: The schedule makes no run for an interval that begins at or after this date (`WAYBILL_SCHEDULE_END`, ISO 8601, default
        the pipeline's own end).
      node_memory: Bytes of memory that a node may hold before it is killed (`WAYBILL_NODE_MEMORY`, such as 6G or 800M, default 0: as much
        as the machine has).
      node_threads: Threads that a node's libraries may compute with (`WAYBILL_NODE_THREADS`, default 0: as many as there are cores).
      retry_seconds: How long Airflow waits before it tries a failed node again; thrice as long before the next time
        (`WAYBILL_RETRY_SECONDS`, default 20).
    """

    home: pathlib.Path
    landing: pathlib.Path
    serving: pathlib.Path
    store_url: str
    tfx_python: pathlib.Path
    catchup: bool
    schedule_end: str
    node_memory: int
    node_threads: int
    retry_seconds: int

    @property
    def artifacts(self) -> pathlib.Path:
        """Root of all artifacts that nodes write."""
        return self.home / "artifacts"

    @property
    def specs(self) -> pathlib.Path:
        """Frozen run specs, one file per digest."""
        return self.home / "specs"

    @property
    def leases(self) -> pathlib.Path:
        """Lock files, one per (run, node)."""
        return self.home / "leases"

    @property
    def host_socket(self) -> pathlib.Path:
        """Where the warm host of this machine listens."""
        return self.home / "host" / "socket"

    @property
    def quarantine(self) -> pathlib.Path:
        """Half-written output of dead attempts."""
        return self.home / "quarantine"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment; nothing is created.

    Raises:
      RecordError: if a variable holds what it cannot.
    """
    env = os.environ if environ is None else environ
    home = pathlib.Path(env.get("WAYBILL_HOME") or PROJECT / "var").absolute()
    return Settings(
        home=home,
        landing=pathlib.Path(env.get("WAYBILL_LANDING") or home / "landing").absolute(),
        serving=pathlib.Path(env.get("WAYBILL_SERVING") or home / "serving").absolute(),
        store_url=env.get("WAYBILL_STORE_URL") or f"sqlite:///{home}/mlmd.sqlite",
        tfx_python=pathlib.Path(env.get("WAYBILL_TFX_PYTHON") or PROJECT / ".venv/bin/python").absolute(),
        catchup=_flag("WAYBILL_CATCHUP", env.get("WAYBILL_CATCHUP") or "0"),
        schedule_end=env.get("WAYBILL_SCHEDULE_END") or "",
        node_memory=_size("WAYBILL_NODE_MEMORY", env.get("WAYBILL_NODE_MEMORY") or "0"),
        node_threads=_number("WAYBILL_NODE_THREADS", env.get("WAYBILL_NODE_THREADS") or "0"),
        retry_seconds=_number("WAYBILL_RETRY_SECONDS", env.get("WAYBILL_RETRY_SECONDS") or "20"),
    )


def _flag(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise RecordError(f"{name} is {text!r}; expected 1 or 0")
    return text == "1"


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise RecordError(f"{name} is {text!r}; expected a whole number, 0 or more")
    return int(text)


def _size(name: str, text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", text)
    if not found:
        raise RecordError(f"{name} is {text!r}; expected bytes as a whole number, with K, M, G or T behind it if you like, such as 6G")
    return int(found[1]) << 10 * " KMGT".index(found[2] or " ")


def graph_path(pipeline: str) -> pathlib.Path:
    """Where a pipeline's compiled graph is."""
    return PROJECT / "pipelines" / pipeline / "graph.json"
