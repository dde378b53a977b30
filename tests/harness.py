"""Runs of a pipeline in a folder of their own, each node in a fork of the test process, as `waybill run` does it."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import pickle
import shutil
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tiny_pipeline

from waybill.cli import run as run_verb
from waybill.cli.host import runs_tensorflow
from waybill.cli.setup import types_of
from waybill.launch import freeze
from waybill.launch.backends import ForkBackend
from waybill.launch.compile import compile_pipeline
from waybill.launch.execute import execute
from waybill.launch.graph import build_graph
from waybill.launch.landing import deliver
from waybill.launch.node import run_node
from waybill.launch.standby import fork
from waybill.launch.window import interval_from
from waybill.records import settings as settings_lib
from waybill.records.graph import Graph, PipelineSettings
from waybill.records.interval import Interval, parse_moment
from waybill.records.node import NodeRequest, NodeResult
from waybill.records.places import Places
from waybill.records.run_spec import Code, Environment, Partition, RunSpec, Trigger
from waybill.store.connection import Store
from waybill.store.initialise import initialise

if TYPE_CHECKING:
    import pytest  # not while it runs: the commands that stand for TFX's Python import this module for each node

NOTHING = "sha256:" + "0" * 64
KEY = "k" * 64  # of no installation but those of tests


def apart(work: Callable[[], Any]) -> Any:
    """Runs `work` in a forked process and returns its result; the test process itself opens no store, so that it may fork."""
    assert not runs_tensorflow(), "this process has run a TensorFlow op, so that its children would hang; tests that fork come first"
    reader, writer = os.pipe()

    def answer_it() -> int:
        os.close(reader)
        os.write(writer, pickle.dumps(work()))
        return 0

    child = fork(answer_it)
    os.close(writer)
    with os.fdopen(reader, "rb") as handle:
        answer = handle.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the forked part of the test failed; its words are above"
    return pickle.loads(answer)


@dataclasses.dataclass
class Installation:
    """An installation in a folder, with one pipeline."""

    settings: settings_lib.Settings
    pipeline: PipelineSettings
    create: Callable[..., Any]
    graph: Graph
    params: dict[str, Any]

    @property
    def store(self) -> Store:
        return Store(self.settings.store_url)

    def answers_commands(self, patch: pytest.MonkeyPatch) -> Installation:
        """Makes it the installation that commands in this process find."""
        patch.setenv("WAYBILL_HOME", str(self.settings.home))
        patch.setattr("waybill.cli.load.graph_of", lambda _: self.graph)
        return self

    @property
    def faults(self) -> pathlib.Path:
        return pathlib.Path(self.params["faults"])

    def interval(self, start: str) -> Interval:
        return interval_from(self.pipeline, parse_moment(start))

    def land(self, start: str, content: bytes | str = "one row", *, name: str = "data.csv", rows: int | None = None) -> Interval:
        """Delivers a partition; a second delivery of an interval corrects the first. Rows are counted where it is CSV."""
        return self.deliver(start, content, name=name, rows=rows).interval

    def deliver(self, start: str, content: bytes | str, *, name: str = "data.csv", rows: int | None = None) -> Partition:
        """As `land`; returns what was delivered."""
        data = content if isinstance(content, bytes) else f"name\n{content} of {start}\n".encode()
        count = data.count(b"\n") - 1 if rows is None else rows
        return deliver(self.settings.landing, self.pipeline.name, self.interval(start), {name: data}, count, replace=True)

    def freeze(
        self, start: str, ticket: str = "ticket-1", *, kind: str = "manual", run: str = "", promote: bool = False, **params: Any
    ) -> RunSpec:
        reason = "Q2 was a strike" if promote else ""
        trigger = Trigger(kind, "ada", run or f"{self.pipeline.name}/{start}", ticket, reason, promote)
        request = freeze.FreezeRequest(self.interval(start), {**self.params, **params}, trigger)
        return apart(lambda: freeze.freeze(request, self.pipeline, self.settings, self.store, print))

    def node(self, spec: RunSpec, node: str, *, ticket: str = "", index: int | None = None, attempt: int = 1) -> NodeResult:
        request = NodeRequest(spec.digest, node, attempt, ticket or spec.trigger.ticket, index)
        backend = ForkBackend(lambda todo: execute(todo, self.create, self.graph, self.settings))
        return apart(lambda: run_node(request, lambda _: self.graph, self.settings, backend, print))

    def run(self, spec: RunSpec, *, ticket: str = "", upto: str = "") -> list[NodeResult]:
        """Runs all nodes in order, stopping after a bad end or after `upto`."""
        results: list[NodeResult] = []
        for step in run_verb.steps(self.graph, [p.interval.label for p in spec.window]):
            if upto and results and results[-1].node == upto != step.node:
                break
            results.append(self.node(spec, step.node, ticket=ticket, index=step.index))
            if not results[-1].successful:
                break
        return results

    def run_in_one(self, spec: RunSpec, *, ticket: str = "", over: tuple[str, ...] = ()) -> list[NodeResult]:
        """As `run`, but in one process for all nodes: for tests of what runs lead to, not of how nodes are run."""
        return apart(lambda: self._run_here(spec, ticket or spec.trigger.ticket, over))

    def _run_here(self, spec: RunSpec, ticket: str, over: tuple[str, ...]) -> list[NodeResult]:
        results: list[NodeResult] = []
        for step in run_verb.steps(self.graph, [p.interval.label for p in spec.window]):
            request = NodeRequest(spec.digest, step.node, 1, ticket, step.index, over)
            backend = lambda todo, _: execute(todo, self.create, self.graph, self.settings)  # noqa: E731
            results.append(run_node(request, lambda _: self.graph, self.settings, backend, print))
            if not results[-1].successful:
                break
        return results


def install(
    folder: pathlib.Path, pipeline: PipelineSettings, create: Callable[..., Any], params: dict[str, Any], store_url: str = ""
) -> Installation:
    """A fresh installation under `folder`, its store initialised; asked with its settings, it is asked as by Airflow's own processes."""
    home = {"WAYBILL_HOME": str(folder / "home"), "WAYBILL_STORE_URL": store_url}
    settings = settings_lib.load({**home, "WAYBILL_ORCHESTRATOR_KEY": KEY})
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.key_file.write_text(KEY)
    settings.key_file.chmod(0o600)
    graph, types = _compiled_once(pipeline, create)
    store = Store(settings.store_url)
    if store_url:
        apart(lambda: initialise(store, types))
    else:
        store.file.write_bytes(_initialised_once(pipeline, create))
    return Installation(settings, pipeline, create, graph, params)


def remove(folder: pathlib.Path) -> None:
    """Removes a folder with everything that is read-only in it."""
    for inner, _, _ in os.walk(folder):
        os.chmod(inner, 0o755)
    shutil.rmtree(folder)


class Template:
    """An installation as it is by now, put back at its place for each test: MLMD has the paths of what was made in it.

    Args:
      made: The installation; nothing but what this class makes may lie beside its home.
    """

    def __init__(self, made: Installation):
        self._made = made
        self._kept = made.settings.home.with_name("kept")
        shutil.copytree(made.settings.home, self._kept, symlinks=True)

    def again(self) -> Installation:
        """The installation, with nothing of what a test before has done."""
        home = self._made.settings.home
        remove(home)
        shutil.copytree(self._kept, home, symlinks=True)
        return self._made


def make_tiny(folder: pathlib.Path, store_url: str = "") -> Installation:
    """An installation with the tiny pipeline, whose executors fail on request."""
    (folder / "faults").mkdir()
    params = {"faults": str(folder / "faults"), "verdict": "PASS", "window": 2}
    return install(folder, tiny_pipeline.SETTINGS, tiny_pipeline.create_pipeline, params, store_url)


@functools.lru_cache
def _compiled_once(pipeline: PipelineSettings, create: Callable[..., Any]) -> tuple[Graph, Any]:
    """A pipeline's graph and its MLMD types, which no two tests of this process compile."""
    return apart(lambda: _compiled(pipeline, create))


@functools.lru_cache
def _initialised_once(pipeline: PipelineSettings, create: Callable[..., Any]) -> bytes:
    """A database that knows the types and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "mlmd.sqlite")
        apart(lambda: initialise(Store(f"sqlite:///{path}"), _compiled_once(pipeline, create)[1]))
        assert not list(path.parent.glob("mlmd.sqlite-*")), "all of it is in one file"
        return path.read_bytes()


def _compiled(settings: PipelineSettings, create: Callable[..., Any]) -> tuple[Graph, Any]:
    interval = interval_from(settings, parse_moment(settings.start))
    partition = Partition(interval, "/landing", NOTHING, 1)
    spec = RunSpec(
        pipeline=settings.name,
        interval=interval,
        generation=1,
        window=(partition,),
        absent=(),
        params=settings.resolve_params({}),
        schema=NOTHING,
        code=Code("", False, NOTHING),
        environment=Environment(NOTHING, {}),
        trigger=Trigger("manual", "", "", ""),
    )
    ir = compile_pipeline(create, spec, partition, Places("/a", "/s", "/t", "/m"), "compiled")
    return build_graph(settings, ir), types_of([ir])
