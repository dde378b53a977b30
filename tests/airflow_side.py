"""A small graph, a launcher that answers as it is told, and task contexts: what the tests of Airflow's side share."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import pathlib
import sys
import time
import uuid
from typing import Any

from airflow.sdk.api.datamodels._generated import DagRun

from waybill.records.graph import Graph, Node, Param, PipelineSettings, Stage
from waybill.records.node import NodeResult, Outcome

SPEC = "sha256:" + "a" * 64
WINDOW = [{"index": 0, "label": "2013-01-01"}, {"index": 1, "label": "2013-04-01"}]
UTC = dt.timezone.utc

# Stands for TFX's Python with the launcher in it: it is called as that is, and ends by its lifeline as that does.
LAUNCHER = """\
#!{python}
import json, os, pathlib, subprocess, sys, time
from waybill.launch.backends import end_with_standard_input
words = sys.argv[3:]
if "--lifeline" in words:
    end_with_standard_input()
options = dict(word[2:].split("=", 1) for word in words if "=" in word)
here = pathlib.Path({here!r})
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps({{"words": words, "environment": dict(os.environ)}}) + "\\n")
name = "answer" if words[0] == "answer" else options.get("node", "run_spec")
answer = json.loads((here / (name + ".json")).read_text())
for line in answer["prints"]:
    print(line, flush=True)
if answer["hangs"]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (here / "pids.json.part").write_text(json.dumps([os.getpid(), child.pid]))
    (here / "pids.json.part").rename(here / "pids.json")
    time.sleep(600)
if answer["leaves"]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (here / "pids.json").write_text(json.dumps([child.pid]))
time.sleep(answer["takes"])
if answer["signal"]:
    os.kill(os.getpid(), answer["signal"])
if answer["result"]:
    print(answer["result"], flush=True)
sys.exit(answer["status"])
"""


@dataclasses.dataclass(frozen=True)
class FakeLauncher:
    """A folder with an executable that answers for each node as the test said."""

    here: pathlib.Path

    @property
    def python(self) -> pathlib.Path:
        """What WAYBILL_TFX_PYTHON names."""
        return self.here / "python"

    def install(self) -> FakeLauncher:
        """Writes the executable."""
        self.here.mkdir(parents=True, exist_ok=True)
        self.python.write_text(LAUNCHER.format(python=sys.executable, here=str(self.here)))
        self.python.chmod(0o755)
        return self

    def answers(self, node: str, ends: NodeResult, **how: Any) -> None:
        """Says how `node` ends: its result, and what else happens."""
        plain = {"prints": [], "hangs": False, "leaves": False, "takes": 0, "signal": 0}
        answer = {**plain, "result": ends.to_line(), "status": 0 if ends.successful else 1, **how}
        (self.here / f"{node}.json").write_text(json.dumps(answer))

    def calls(self) -> list[dict[str, Any]]:
        """Words and environment of every call so far."""
        file = self.here / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def pids(self, timeout: float = 20) -> list[int]:
        """Process ids that a hanging command reports, once it does."""
        deadline = time.monotonic() + timeout
        while not (self.here / "pids.json").exists():
            assert time.monotonic() < deadline, "the command never started"
            time.sleep(0.02)
        return json.loads((self.here / "pids.json").read_text())


def frozen(**how: Any) -> NodeResult:
    """A `run_spec` that went well."""
    extra = {"spec": SPEC, "run": "tiny.201304010000.g1", "window": WINDOW, "processes": 3, **how}
    return NodeResult("run_spec", Outcome.COMPLETE, "frozen", run="tiny.201304010000.g1", extra=extra)


def graph(**changes: Any) -> Graph:
    """Six nodes in three stages, one of them per span."""
    stages = (
        Stage("schema", "shared", ("schema_gen",), "Imports the schema"),
        Stage("spans", "span", ("example_gen", "statistics_gen", "example_validator"), "Reads each span"),
        Stage("model", "run", ("data_gate", "trainer"), "Checks the window and trains"),
    )
    params = (
        Param("window", 4, "Number of partitions", 1, 16),
        Param("train_steps", 100, "Training steps", 1, 100000),
        Param("learning_rate", 0.1, "Step size", 0.0, 1.0),
        Param("reason", "", "Why this run"),
    )
    settings = PipelineSettings(
        name="tiny", description="A small pipeline.", schedule="0 0 1 */3 *", timezone="UTC", start="2013-01-01T00:00:00+00:00",
        end="2017-01-01T00:00:00+00:00", schema="schemas/tiny.pbtxt", stages=stages, params=params, landing_patience_minutes=60,
        owner="data-team", tags=("tfx", "tiny"),
    )  # fmt: skip
    nodes = (
        Node("run_spec", "", "spec", (), gate=False, says="Freezes the run"),
        Node("schema_gen", "schema", "shared", ("run_spec",), gate=False, says="Imports the schema"),
        Node("example_gen", "spans", "span", ("schema_gen",), gate=False, says="Reads a span"),
        Node("statistics_gen", "spans", "span", ("example_gen",), gate=False, says="Counts a span"),
        Node("example_validator", "spans", "span", ("schema_gen", "statistics_gen"), gate=False, says="Compares a span with the schema"),
        Node("data_gate", "model", "run", ("example_validator", "schema_gen"), gate=True, says="Judges the window"),
        Node("trainer", "model", "run", ("data_gate", "example_gen"), gate=False, says="Trains"),
    )
    return Graph(dataclasses.replace(settings, **changes), nodes)


def edges(of: Graph) -> dict[str, list[str]]:
    """Upstream ids of every node: the graph's, and run_spec before the first nodes of a stage that is mapped over what it returns."""
    stages = {stage.name: stage for stage in of.settings.stages}

    def upstream(node: Node) -> list[str]:
        begins_mapped = node.scope == "span" and not set(node.upstream) & set(stages[node.stage].nodes)
        return sorted({*node.upstream, "run_spec"} if begins_mapped else node.upstream)

    return {node.id: upstream(node) for node in of.nodes}


def dag_run(run_type: str = "scheduled", **changes: Any) -> DagRun:
    """A DAG run as Airflow shows it to a task."""
    values: dict[str, Any] = {
        "dag_id": "tiny", "run_id": f"{run_type}__2013-07-01", "logical_date": dt.datetime(2013, 4, 1, tzinfo=UTC),
        "data_interval_start": dt.datetime(2013, 4, 1, tzinfo=UTC), "data_interval_end": dt.datetime(2013, 7, 1, tzinfo=UTC),
        "run_after": dt.datetime(2013, 7, 1, tzinfo=UTC), "start_date": dt.datetime(2020, 1, 1, 12, 0, 0, 250, tzinfo=UTC),
        "end_date": None, "run_type": run_type, "state": "running", "consumed_asset_events": [], "partition_key": None, **changes,
    }  # fmt: skip
    return DagRun(**values)


class TaskInstance:
    """The part of Airflow's task instance that the operators use, with XComs kept in a dict."""

    def __init__(self, map_index: int = -1, try_number: int = 1, xcoms: dict[str, Any] | None = None):
        self.id, self.map_index, self.try_number = uuid.uuid4(), map_index, try_number
        self.xcoms = {"spec": SPEC} if xcoms is None else xcoms

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return self.xcoms.get(key) if task_ids == "run_spec" else None


def context(run: DagRun | None = None, ti: TaskInstance | None = None, **params: Any) -> dict[str, Any]:
    """A task's context."""
    form = {"interval_start": None, "window": 4, "train_steps": 100, "learning_rate": 0.1, "reason": None, **params}
    return {"dag_run": run or dag_run(), "ti": ti or TaskInstance(), "params": form}


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not fetched yet does not."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pids: list[int], timeout: float = 10) -> bool:
    """Whether all these processes end within the time."""
    deadline = time.monotonic() + timeout
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def environment_with(launcher: FakeLauncher) -> dict[str, str]:
    """This process's environment, with the launcher in it."""
    return {**os.environ, "WAYBILL_TFX_PYTHON": str(launcher.python)}
