"""`waybill init`, `waybill graph`, `waybill land`: what is done once, or when a pipeline changes."""

from __future__ import annotations

import argparse
import hashlib
import logging
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

from waybill.cli import load
from waybill.launch.process import prepare
from waybill.launch.window import interval_from
from waybill.records import settings as places
from waybill.records.graph import PipelineSettings
from waybill.records.interval import Interval, parse_moment
from waybill.records.places import Places
from waybill.records.run_spec import Code, Environment, Partition, RunSpec, Trigger
from waybill.store.connection import Store
from waybill.store.initialise import Types, initialise
from waybill.store.journal import DECISION_TYPE


def init(args: argparse.Namespace) -> int:
    """Makes MLMD's tables and registers all types of all pipelines."""
    prepare(logging.ERROR)
    store = Store(places.load().store_url)
    initialise(store, types_of([compiled(name) for name in load.names()]))
    print(f"the store is ready: {store.url.render_as_string(hide_password=True)}")
    return 0


def land(args: argparse.Namespace) -> int:
    """Delivers a pipeline's data into the landing area, one partition per interval."""
    settings = places.load()
    landed = _from_folder(args, settings) if args.folder else load.lander_of(args.pipeline)(settings.landing)
    for interval, rows in landed:
        print(f"{args.pipeline} {interval.label}: {rows} rows")
    print(f"landed under {settings.landing / args.pipeline}")
    return 0


def _from_folder(args: argparse.Namespace, settings: places.Settings) -> Iterable[tuple[Interval, int]]:
    """Delivers the partitions of a folder."""
    from waybill.scaffold import cells, folder, landing, table

    pipeline = load.settings_of(args.pipeline)
    delivered = folder.partitions(pathlib.Path(args.folder).expanduser())
    table.check_starts(delivered, pipeline)
    return landing.land(cells.read(delivered, args.rename), pipeline, settings.landing, args.replace)


def graph(args: argparse.Namespace) -> int:
    """Compiles every pipeline's graph.json, or with --check says which are stale."""
    from waybill.launch.graph import build_graph

    prepare(logging.ERROR)
    stale = []
    for name in load.names():
        path = places.graph_path(name)
        text = build_graph(load.settings_of(name), compiled(name)).to_text()
        if path.is_file() and path.read_text() == text:
            continue
        stale.append(name)
        if not args.check:
            path.write_text(text)
            print(f"wrote pipelines/{name}/graph.json")
    if args.check and stale:
        print(f"graph.json of {', '.join(stale)} is not what pipeline.py and settings.py say; run `make graph` and commit it")
        return 1
    return 0


def compiled(name: str) -> Any:
    """A pipeline's IR for its first interval with nothing landed: what does not depend on a run. Imports TFX."""
    return compiled_of(load.settings_of(name), load.create_pipeline_of(name))


def compiled_of(settings: PipelineSettings, create: Callable[..., Any]) -> Any:
    """The same of a pipeline that is not in its place yet."""
    from waybill.launch.compile import compile_pipeline

    interval = interval_from(settings, parse_moment(settings.start))
    nothing = "sha256:" + hashlib.sha256(b"").hexdigest()
    partition = Partition(interval, path="/landing", digest=nothing, rows=1)
    spec = RunSpec(
        pipeline=settings.name,
        interval=interval,
        generation=1,
        window=(partition,),
        absent=(),
        params=settings.resolve_params({}),
        schema=nothing,
        code=Code("", dirty=False, digest=nothing),
        environment=Environment(nothing, {}),
        trigger=Trigger("command_line", "", "", ""),
    )
    where = Places(root="/artifacts", schema_file=str(places.PROJECT / settings.schema), scratch="/scratch", releases="/releases")
    return compile_pipeline(create, spec, partition, where, "compiled")


def types_of(irs: list[Any]) -> Types:
    """Every artifact, execution and context type that the pipelines' nodes use, each once, and that of decisions."""
    from ml_metadata.proto import metadata_store_pb2

    artifacts, executions, contexts = {}, {DECISION_TYPE: metadata_store_pb2.ExecutionType(name=DECISION_TYPE)}, {}
    for ir in irs:
        for node in (n.pipeline_node for n in ir.nodes):
            executions[node.node_info.type.name] = node.node_info.type
            for context in node.contexts.contexts:
                contexts[context.type.name] = context.type
            for output in node.outputs.outputs.values():
                artifacts[output.artifact_spec.type.name] = output.artifact_spec.type
    return Types(list(artifacts.values()), list(executions.values()), list(contexts.values()))
