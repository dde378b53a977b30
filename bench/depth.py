"""A lineage store with so many earlier runs -> how long it takes to launch a node, beside its executor's own work.

The history is that of a real run, row for row, again and again with names, intervals and versions of its own: contexts, executions,
artifacts, events and all their properties. Its intervals lie before the real one, so that each of its releases might be the baseline.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator

from bench.quarter import START
from bench.runs import prepare
from waybill.cli import host, load, nodes
from waybill.launch.backends import ForkBackend
from waybill.launch.node import run_node
from waybill.records import settings as settings_lib
from waybill.records.node import EXECUTOR_SECONDS, NodeRequest
from waybill.records.settings import PROJECT, Settings

DEPTHS = (10, 1_000, 10_000)
NODES = ("data_gate", "baseline")  # one with an executor and three inputs, and the one that looks into the past
_LAUNCHES = 7
_ID = 1_000  # rows of the n-th earlier run have the ids of the real one and n of these; a run has some dozens
_BATCH = 50


def measure(folder: pathlib.Path, say: Callable[[str], None]) -> dict[int, float]:
    """Median seconds of a launch at each depth.

    The caller must have TFX imported and run no op: nodes are forks of it.
    """
    settings = settings_lib.load({"WAYBILL_HOME": str(folder / "real")})
    prepare(settings)
    _run(settings, upto="promoter")
    found = {}
    for depth in DEPTHS:
        deep = settings_lib.load({"WAYBILL_HOME": str(folder / str(depth))})
        shutil.copytree(settings.home, deep.home)
        _move(deep, settings)
        add_history(deep.home / "mlmd.sqlite", depth)
        seconds = [_launch(deep) for _ in range(_LAUNCHES)]
        found[depth] = statistics.median(seconds)
        say(f"node launch after {depth:>6,} runs: {found[depth]:.3f} s (of {_LAUNCHES}: {min(seconds):.3f} to {max(seconds):.3f})")
        shutil.rmtree(deep.home)
    return found


def measure_apart(say: Callable[[str], None]) -> dict[int, float]:
    """As `measure`, in a process of its own, so that this one does not hold TFX while other things are measured."""
    done = subprocess.run([sys.executable, "-m", "bench.depth"], cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
    *lines, result = done.stdout.splitlines()
    for line in lines:
        if line.startswith("node launch"):
            say(line)
    return {int(depth): float(seconds) for depth, seconds in json.loads(result).items()}


def add_history(store: pathlib.Path, runs: int) -> None:
    """Writes so many copies of the store's only run before it."""
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        tables, shared = _copied(connection)
        for first in range(0, runs, _BATCH):
            for table, columns, rows in tables:
                marks = ", ".join("?" * len(columns))
                again = (row for n in range(first + 1, min(first + _BATCH, runs) + 1) for row in _again(table, columns, rows, shared, n))
                connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", again)


def _copied(connection: sqlite3.Connection) -> tuple[list[tuple[str, list[str], list[tuple[object, ...]]]], set[object]]:
    """The rows of the real run, by table, and the ids of the pipeline's and nodes' contexts, which all runs are in."""
    of_run = "(SELECT c.id FROM Context c JOIN Type t ON t.id = c.type_id WHERE t.name = 'pipeline_run')"
    found = []
    for table, where in (
        ("Context", f"id IN {of_run}"),
        ("ContextProperty", f"context_id IN {of_run}"),
        ("Artifact", "1"),
        ("ArtifactProperty", "1"),
        ("Execution", "1"),
        ("ExecutionProperty", "1"),
        ("Event", "1"),
        ("EventPath", "1"),
        ("Association", "1"),
        ("Attribution", "1"),
    ):
        cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}")
        found.append((table, [column[0] for column in cursor.description], cursor.fetchall()))
    shared = {row[0] for row in connection.execute(f"SELECT id FROM Context WHERE id NOT IN {of_run}")}
    return found, shared


_EARLIER = {"interval_start": "1000-01-01T00:00:00+00:00", "interval_end": "1000-04-01T00:00:00+00:00"}
_KEYS = ("id", "context_id", "artifact_id", "execution_id", "event_id")


def _again(
    table: str, columns: list[str], rows: list[tuple[object, ...]], shared: set[object], number: int
) -> Iterator[tuple[object, ...]]:
    """The rows of one more run, with ids, names and versions of their own."""
    version = f"{10_000_000_000_000 + number:014d}"  # of the eleventh century: older than the real one
    for row in rows:
        values = dict(zip(columns, row, strict=True))
        for key in _KEYS:
            if isinstance(values.get(key), int) and not (key == "context_id" and values[key] in shared):
                values[key] = int(str(values[key])) + number * _ID
        if table == "Context":
            values["name"] = f"{values['name']}.earlier{number}"
        if table in ("Artifact", "Execution") and values.get("name"):
            values["name"] = f"{values['name']}.earlier{number}"
        if values.get("name") == "pushed_version":
            values["string_value"] = version
        if moment := _EARLIER.get(str(values.get("name"))):
            values["string_value"] = moment
        yield tuple(values[column] for column in columns)


def _move(to: Settings, real: Settings) -> None:
    """Makes a copied home its own: artifacts are found by the folder that MLMD has of them."""
    with sqlite3.connect(to.home / "mlmd.sqlite") as connection:
        connection.execute("UPDATE Artifact SET uri = replace(uri, ?, ?)", (str(real.home), str(to.home)))


def _launch(settings: Settings) -> float:
    """Seconds of launching the two nodes in one more generation, without their executors' work."""
    return sum(_run(settings, upto="baseline").values())


def _run(settings: Settings, upto: str) -> dict[str, float]:
    """Runs the quarter's nodes up to one and returns the launch seconds of those that are measured; others are only run the first time."""
    ticket = uuid.uuid4().hex
    asked = argparse.Namespace(
        pipeline="taxi",
        start=START,
        end="",
        kind="command_line",
        who="bench",
        run="bench",
        ticket=ticket,
        reason="",
        asked_at="",
        params="{}",
    )
    spec = nodes.frozen(asked, settings, lambda line: None)
    graph = load.graph_of("taxi")
    everything = [node for node in graph.nodes if node.id != "run_spec"]
    wanted = everything if upto == "promoter" else [node for node in everything if node.id in NODES]
    found = {}
    for node in wanted:
        request = NodeRequest(str(spec.extra["spec"]), node.id, 1, ticket, 0 if node.scope == "span" else None)
        backend = ForkBackend(lambda todo: _execute(todo, settings))
        result = run_node(request, lambda _: graph, settings, backend, lambda line: None)
        if not result.successful:
            raise SystemExit(f"{node.id} ended as {result.outcome.value}: {result.message}")
        if node.id in NODES:
            found[node.id] = result.seconds - float(result.extra.get(EXECUTOR_SECONDS, 0))
    return found


def _execute(todo: object, settings: Settings) -> object:
    from waybill.launch.execute import execute

    return execute(todo, load.create_pipeline_of("taxi"), load.graph_of("taxi"), settings)  # type: ignore[arg-type]


def main() -> None:
    """Measures alone; the last line is the result as JSON, for `measure_apart`."""
    import logging
    import tempfile

    host.import_everything()
    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as folder:
        found = measure(pathlib.Path(folder), lambda line: print(line, flush=True))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
