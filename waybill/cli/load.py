"""A pipeline's name -> its settings, graph and `create_pipeline`. The only place that turns a name into a module."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from waybill.records import settings as places
from waybill.records.errors import RecordError
from waybill.records.graph import Graph, PipelineSettings


def names() -> list[str]:
    """The pipelines there are, sorted."""
    return sorted(path.parent.name for path in (places.PROJECT / "pipelines").glob("*/pipeline.py"))


def check_name(name: str) -> str:
    """Returns `name` when there is such a pipeline.

    Raises:
      RecordError: naming those there are.
    """
    if name not in names():
        raise RecordError(f"no pipeline {name!r}; there is {', '.join(names())}")
    return name


def settings_of(name: str) -> PipelineSettings:
    """A pipeline's settings."""
    found: PipelineSettings = importlib.import_module(f"pipelines.{check_name(name)}.settings").SETTINGS
    return found


def graph_of(name: str) -> Graph:
    """A pipeline's compiled graph, from its `graph.json`."""
    return Graph.load(places.graph_path(check_name(name)))


def create_pipeline_of(name: str) -> Callable[..., Any]:
    """A pipeline's `create_pipeline`; imports TFX."""
    create: Callable[..., Any] = importlib.import_module(f"pipelines.{check_name(name)}.pipeline").create_pipeline
    return create


def lander_of(name: str) -> Callable[..., Any]:
    """A pipeline's `land`, which delivers its practice data into the landing area.

    Raises:
      RecordError: if it has none.
    """
    if not (places.PROJECT / f"pipelines/{check_name(name)}/land.py").is_file():
        raise RecordError(f"pipeline {name} brings no data of its own; say where its partitions are: waybill land {name} --from FOLDER")
    land: Callable[..., Any] = importlib.import_module(f"pipelines.{check_name(name)}.land").land
    return land
