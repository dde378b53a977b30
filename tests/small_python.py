"""Stands for TFX's Python in an installation whose one pipeline is that of `released_pipeline`: a journey of trivial executors.

    exec /path/to/.venv/bin/python tests/small_python.py /path/to/this/wrapper -m waybill.cli.main node run ...

A script with that line is what WAYBILL_TFX_PYTHON names. `set-up` in the place of `-m` makes the store, the graph and landed partitions.
"""

from __future__ import annotations

import dataclasses
import pathlib
import runpy
import sys
import types

from waybill.cli import load
from waybill.records import settings as places
from waybill.records.graph import Graph

NAME = "small"
QUARTERS = ("2013-01-01", "2013-04-01", "2013-07-01", "2013-10-01")


def graph_path(_: str) -> pathlib.Path:
    return places.load().home / NAME / "graph.json"


def settle() -> None:
    """Puts the pipeline where pipelines are looked for; what imports TFX is imported when it is asked for."""
    places.graph_path = graph_path
    load.names = lambda: [NAME]
    package, settings, pipeline = (types.ModuleType(f"pipelines.{NAME}{rest}") for rest in ("", ".settings", ".pipeline"))
    package.__path__ = []
    settings.__getattr__ = lambda _: Graph.load(graph_path(NAME)).settings
    pipeline.__getattr__ = lambda name: getattr(__import__("released_pipeline"), name)
    sys.modules.update({module.__name__: module for module in (package, settings, pipeline)})


def set_up(approval: str) -> None:
    """Makes what `waybill init`, `make graph` and an upstream job make."""
    import logging

    import released_pipeline

    from waybill.cli import setup
    from waybill.launch.graph import build_graph
    from waybill.launch.landing import deliver
    from waybill.launch.process import prepare
    from waybill.launch.window import interval_from
    from waybill.records.interval import parse_moment
    from waybill.store.connection import Store
    from waybill.store.initialise import initialise

    prepare(logging.ERROR)
    pipeline = dataclasses.replace(released_pipeline.SETTINGS, approval=approval)
    sys.modules[f"pipelines.{NAME}.settings"].SETTINGS = pipeline
    where, ir = places.load(), setup.compiled(NAME)
    graph_path(NAME).parent.mkdir(parents=True)
    graph_path(NAME).write_text(build_graph(pipeline, ir).to_text())
    initialise(Store(where.store_url), setup.types_of([ir]))
    for start in QUARTERS:
        data = f"name\none row of {start}\n".encode()
        deliver(where.landing, NAME, interval_from(pipeline, parse_moment(start)), {"data.csv": data}, 1)


if __name__ == "__main__":
    wrapper, how, what, *words = sys.argv[1:]
    sys.executable = wrapper  # what this process starts is to know the pipeline too
    settle()
    if how == "set-up":
        set_up(what)
    else:
        sys.argv = [what, *words]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
