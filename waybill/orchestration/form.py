"""A pipeline's parameters -> the trigger form."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param as Field

from waybill.orchestration.asking import INTERVAL_START, PROMOTE
from waybill.records.graph import Graph, Param, PipelineSettings

_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def form(graph: Graph) -> dict[str, Field]:
    """The fields of the trigger form. Each has a default, since the schedule fills in nothing."""
    settings = graph.settings
    wish = {PROMOTE: _promote(settings)} if graph.promoter else {}
    return {INTERVAL_START: _interval_start(settings), **{param.name: _field(param) for param in settings.params}, **wish}


def _promote(settings: PipelineSettings) -> Field:
    agrees = {
        "never": "Nobody else has to agree.",
        "older": "If its interval is older than the one that is served, another user has to agree.",
        "always": "Another user has to agree.",
    }
    return Field(
        False,
        title="Promote",
        type="boolean",
        description=f"Ask that what this run releases be served; else it is held. {agrees[settings.approval]} Needs a reason.",
    )


def _interval_start(settings: PipelineSettings) -> Field:
    minute, hour, *_ = settings.schedule.split()
    whole_days = (minute, hour) == ("0", "0")
    span = f"from {settings.start[:10]}" + (f", before {settings.end[:10]}" if settings.end else "")
    return Field(
        None,
        title="Interval start",
        type=["null", "string"],
        format="date" if whole_days else "date-time",
        description=f"Start of the data interval, as the schedule ({settings.schedule}, {settings.timezone}) has it, {span}. "
        "A manual run must name it; the logical date plays no part.",
    )


def _field(param: Param) -> Field:
    kind = _TYPES[type(param.default)]
    bounds: dict[str, Any] = {}
    if param.minimum is not None:
        bounds["minimum"] = param.minimum
    if param.maximum is not None:
        bounds["maximum"] = param.maximum
    if param.choices:
        bounds["enum"] = list(param.choices)
    if param.default == "":
        # The form sends null for an empty text, and would call an empty field that may not be null an error.
        return Field(None, type=["null", kind], title=_title(param.name), description=param.description)
    return Field(param.default, type=kind, title=_title(param.name), description=param.description, **bounds)


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()
