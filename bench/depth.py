"""A lineage store with so many earlier runs -> how long it takes to launch a node, beside its executor's own work, and to release.

The history is that of a real run, row for row, again and again with names, intervals and versions of its own: contexts, executions,
artifacts, events and all their properties. Its intervals lie before the real one, so that each of its releases might be the baseline. Each
of its releases was promoted in its turn, and some decisions were taken back: the journal is as long as the history.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence

from bench.quarter import START
from bench.runs import prepare
from waybill.cli import host, load, nodes
from waybill.launch import specs
from waybill.launch.account import me
from waybill.launch.backends import ForkBackend
from waybill.launch.node import run_node
from waybill.records import settings as settings_lib
from waybill.records.node import EXECUTOR_SECONDS, NodeRequest, NodeResult
from waybill.records.settings import PROJECT, Settings
from waybill.serving import state
from waybill.store import journal

DEPTHS = (10, 1_000, 10_000)
NODES = ("data_gate", "baseline")  # one with an executor and three inputs, and the one that looks into the past
RELEASING = ("pusher", "promoter")  # what they read of the past they read in their executors, so that those count
_LAUNCHES = 7
_ID = 1_000  # rows of the n-th earlier run have the ids of the real one and n of these; a run has some dozens
_BATCH = 50


@dataclasses.dataclass(frozen=True)
class Seconds:
    """Medians at one depth.

    Attributes:
      launch: Of launching data_gate and baseline, without their executors' work.
      release: Of pusher and promoter as a whole.
    """

    launch: float
    release: float


def measure(folder: pathlib.Path, say: Callable[[str], None]) -> dict[int, Seconds]:
    """What is measured at each depth.

    The caller must have TFX imported and run no op: nodes are forks of it.
    """
    settings = settings_lib.load({"WAYBILL_HOME": str(folder / "real")})
    prepare(settings)
    spec, everything = _freeze(settings), load.graph_of("taxi").nodes
    _run(settings, spec, [node.id for node in everything if node.id != "run_spec"])
    found = {}
    for depth in DEPTHS:
        deep = settings_lib.load({"WAYBILL_HOME": str(folder / str(depth))})
        shutil.copytree(settings.home, deep.home)
        _move(deep, settings)
        add_history(deep.home / "mlmd.sqlite", depth)
        os.sync()  # else the disk is still writing the history while nodes wait for what they write
        launches = [_launch(deep) for _ in range(_LAUNCHES)]
        _release(deep, spec)  # the first one copies what is served into the base path
        released = [_release(deep, spec) for _ in range(_LAUNCHES)]
        found[depth] = Seconds(statistics.median(launches), statistics.median(released))
        for what, seconds in (("node launch", launches), ("pusher and promoter", released)):
            low, high = min(seconds), max(seconds)
            say(f"{what} after {depth:>6,} runs: {statistics.median(seconds):.3f} s (of {_LAUNCHES}: {low:.3f} to {high:.3f})")
        shutil.rmtree(deep.home)
    return found


def measure_apart(say: Callable[[str], None]) -> dict[int, Seconds]:
    """As `measure`, in a process of its own, so that this one does not hold TFX while other things are measured."""
    done = subprocess.run([sys.executable, "-m", "bench.depth"], cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
    *lines, result = done.stdout.splitlines()
    for line in lines:
        if line.startswith(("node launch", "pusher and promoter")):
            say(line)
    return {int(depth): Seconds(**seconds) for depth, seconds in json.loads(result).items()}


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
        _add_decisions(connection, runs)


def _add_decisions(connection: sqlite3.Connection, runs: int) -> None:
    """Writes the journal of that history: each release promoted in its turn, some kept for audit, some rolled back."""
    (type_id,) = connection.execute("SELECT id FROM Type WHERE name = ?", (journal.DECISION_TYPE,)).fetchone()
    (first,) = connection.execute("SELECT max(id) + 1 FROM Execution").fetchone()
    subject, says = state.subject("taxi"), _decisions(runs)
    entries = [(first + n, type_id, 3, f"{subject}#{n}", n, n) for n in range(1, len(says) + 1)]
    connection.executemany(
        "INSERT INTO Execution (id, type_id, last_known_state, name, create_time_since_epoch, last_update_time_since_epoch) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        entries,
    )
    properties = (
        (first + n, name, value if isinstance(value, int) else None, value if isinstance(value, str) else None)
        for n, entry in enumerate(says, start=1)
        for name, value in {**entry, "subject": subject, "number": n}.items()
    )
    connection.executemany(
        "INSERT INTO ExecutionProperty (execution_id, name, is_custom_property, int_value, string_value) VALUES (?, ?, 1, ?, ?)", properties
    )


def _decisions(runs: int) -> list[dict[str, int | str]]:
    """What each entry of the journal says."""
    found: list[dict[str, int | str]] = []
    for n in range(1, runs + 1):
        by = {"who": "schedule", "why": f"scheduled run taxi/scheduled__{n}", "digest": "sha256:" + "0" * 64, "run": f"taxi.{n}.g1"}
        found.append({"kind": state.PROMOTE, "version": _FIRST + n, "stable": _FIRST + n - 1, **by})
        person = {"who": "os:ada", "account": "os:ada", "why": "the quarter's report names it"}
        if n % 100 == 0:
            found.append({"kind": state.KEEP, "version": _FIRST + n, **person})
        if n % 1_000 == 0:
            found.append({"kind": state.ROLLBACK, "version": _FIRST + n - 1, "stable": _FIRST + n, **person})
            found.append({"kind": state.UNPIN, **person})
    return found


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


_FIRST = 10_000_000_000_000  # versions of the eleventh century: older than the real one
_EARLIER = {"interval_start": "1000-01-01T00:00:00+00:00", "interval_end": "1000-04-01T00:00:00+00:00"}
_KEYS = ("id", "context_id", "artifact_id", "execution_id", "event_id")


def _again(
    table: str, columns: list[str], rows: list[tuple[object, ...]], shared: set[object], number: int
) -> Iterator[tuple[object, ...]]:
    """The rows of one more run, with ids, names and versions of their own."""
    version = str(_FIRST + number)
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
        folders = (str(real.home), str(to.home))
        connection.execute("UPDATE Artifact SET uri = replace(uri, ?, ?)", folders)
        connection.execute("UPDATE ArtifactProperty SET string_value = replace(string_value, ?, ?) WHERE name LIKE 'pushed%'", folders)


def _launch(settings: Settings) -> float:
    """Seconds of launching the two nodes in one more generation, without their executors' work."""
    results = _run(settings, _freeze(settings), NODES)
    return sum(result.seconds - float(result.extra.get(EXECUTOR_SECONDS, 0)) for result in results)


def _release(settings: Settings, spec: str) -> float:
    """Seconds of releasing once more what the real run has made, as when pusher is cleared after it had succeeded."""
    return sum(result.seconds for result in _run(settings, spec, RELEASING, uuid.uuid4().hex))


def _freeze(settings: Settings) -> str:
    """Digest of the spec of one more generation of the quarter."""
    asked = argparse.Namespace(
        pipeline="taxi",
        start=START,
        end="",
        kind="command_line",
        who=me(),
        run="bench",
        ticket=uuid.uuid4().hex,
        reason="",
        asked_at="",
        params="{}",
        promote=False,
    )
    frozen = nodes.frozen(asked, settings, lambda line: None)
    if not frozen.successful:
        raise SystemExit(f"run_spec ended as {frozen.outcome.value}: {frozen.message}")
    return str(frozen.extra["spec"])


def _run(settings: Settings, spec: str, wanted: Sequence[str], ticket: str = "") -> list[NodeResult]:
    """Runs nodes of a spec; with a ticket of their own, as nodes that were cleared together."""
    graph, results = load.graph_of("taxi"), []
    ticket = ticket or specs.load(settings.specs, spec).trigger.ticket
    for node in (graph.node(name) for name in wanted):
        request = NodeRequest(spec, node.id, 1, ticket, 0 if node.scope == "span" else None)
        backend = ForkBackend(lambda todo: _execute(todo, settings))
        results.append(run_node(request, lambda _: graph, settings, backend, lambda line: None))
        if not results[-1].successful:
            raise SystemExit(f"{node.id} ended as {results[-1].outcome.value}: {results[-1].message}")
    return results


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
    print(json.dumps({depth: dataclasses.asdict(seconds) for depth, seconds in found.items()}))


if __name__ == "__main__":
    main()
