"""The released pipeline as one of this project's own, so that a real Airflow can run it: an installation, a DAG, and an interpreter.

The interpreter stands where TFX's Python does. It is that, and finds the pipeline `small` where it would look for `pipelines.small`.

    python tests/small_here.py <folder>     makes home/, graph.json, dags/ and python in the folder
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import runpy
import sys
import types
from typing import Any

HERE = pathlib.Path(__file__).parent
PYTHON = """\
#!{python}
import sys
sys.path.insert(0, {here!r})
import small_here
small_here.run({folder!r}, __file__, sys.argv[1:])
"""
DAG = """\
# Airflow reads a file only when these two words are in it: airflow, dag.
import pathlib

from waybill.orchestration.dag_factory import build_dag

dag = build_dag(pathlib.Path({graph!r}))
"""


def run(folder: str, python: str, words: list[str]) -> None:
    """Runs `-m <module> <words>` with the pipeline in its place."""
    from waybill.cli import load
    from waybill.records.graph import Graph

    graph = Graph.load(pathlib.Path(folder, "graph.json"))
    load.names = lambda: ["small"]
    load.settings_of = lambda _: graph.settings
    load.graph_of = lambda _: graph
    load.create_pipeline_of = _create
    sys.modules["pipelines.small"] = package = types.ModuleType("pipelines.small")
    package.__path__ = []
    sys.executable = python  # nodes are started with it
    sys.argv = words[1:]
    runpy.run_module(words[1], run_name="__main__", alter_sys=True)


def _create(_: str) -> Any:
    import released_pipeline

    return released_pipeline.create_pipeline


def make(folder: pathlib.Path, served: tuple[str, ...], start: str, end: str) -> None:
    """Makes the installation.

    Args:
      folder: Where.
      served: Starts of quarters that are released and served before Airflow comes.
      start: Start of the first quarter that Airflow's schedule runs.
      end: End of the last.
    """
    import released_pipeline
    from harness import install

    made = install(folder, released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
    for quarter in (*served, start):
        made.land(quarter)
    for quarter in served:
        assert made.run_in_one(made.freeze(quarter, quarter, kind="scheduled"))[-1].successful
    scheduled = dataclasses.replace(made.graph.settings, start=start, end=end)
    (folder / "graph.json").write_text(dataclasses.replace(made.graph, settings=scheduled).to_text())
    (folder / "dags").mkdir()
    (folder / "dags" / "small_dag.py").write_text(DAG.format(graph=str(folder / "graph.json")))
    (folder / "python").write_text(PYTHON.format(python=sys.executable, here=str(HERE), folder=str(folder)))
    (folder / "python").chmod(0o755)


if __name__ == "__main__":
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    make(pathlib.Path(sys.argv[1]), tuple(sys.argv[4:]), sys.argv[2], sys.argv[3])
