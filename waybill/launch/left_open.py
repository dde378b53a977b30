"""The lineage store and the leases -> executions that say RUNNING although nobody works on them, half-written output, lost specs."""

from __future__ import annotations

import pathlib

from waybill.launch import repair, specs
from waybill.launch.errors import SpecMissing
from waybill.launch.lease import is_held, lease
from waybill.records import fault_points
from waybill.records.finding import Finding
from waybill.records.settings import Settings
from waybill.store import generations, reads
from waybill.store.connection import Store

_CAUSE = "the process that worked on it ended without a word (killed, out of memory or power lost), and nobody has tried again"


def dead_executions(store: Store, settings: Settings, pipeline: str) -> list[Finding]:
    """Executions that MLMD has as RUNNING while no living process has their lease."""
    found = []
    for execution, unit, node in reads.open_executions(store, pipeline):
        if is_held(settings.leases, unit, node):
            continue
        found.append(
            Finding(
                where=f"{node} of {unit}",
                what=f"MLMD has execution {execution.id} as {execution.state}, but no process works on it",
                cause=_CAUSE,
                mend="close it with its cause, and put its half-written output aside; Airflow's retry or a cleared task does it too",
                repair=lambda unit=unit, node=node: _close(store, settings, pipeline, unit, node),  # type: ignore[misc]
            )
        )
    return found


def lost_specs(store: Store, settings: Settings, pipeline: str) -> list[Finding]:
    """Specs that a generation was frozen with and that cannot be read any more."""
    found = []
    for digest in generations.all_frozen(store, pipeline):
        try:
            specs.load(settings.specs, digest)
        except SpecMissing as error:
            what = f"the store names run spec {digest}: {error}"
            found.append(Finding(f"run spec {digest[:19]}", what, "its file was removed or edited", "put the file back from a copy"))
    return found


def _close(store: Store, settings: Settings, pipeline: str, unit: str, node: str) -> None:
    """Closes a node's open executions and quarantines its folder, unless somebody has begun to work on it meanwhile."""
    if is_held(settings.leases, unit, node):
        return
    with lease(settings.leases, unit, node, print):
        executions = reads.executions(store, pipeline, unit, node)
        repair.close_dead(store, executions, _CAUSE)
        fault_points.reached("repair.dead_closed")
        if any(execution.successful for execution in executions):
            return  # what lies there is what it made
        repair.quarantine(pathlib.Path(settings.artifacts, pipeline, unit, node), settings.quarantine, unit)
