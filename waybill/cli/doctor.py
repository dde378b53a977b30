"""`waybill doctor`: MLMD, Airflow, the release store, the base path and the leases -> every disagreement, its cause, what would mend it."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator, Sequence

from waybill.cli import load
from waybill.cli.airflow_client import AirflowClient, AirflowRefused, AirflowUnreachable
from waybill.cli.airflow_place import airflow_of
from waybill.launch import left_open, specs, unclaimed
from waybill.launch.backends import end_with_standard_input
from waybill.launch.errors import LaunchError
from waybill.launch.lease import is_held
from waybill.launch.older import RUN, is_over
from waybill.records import settings as places
from waybill.records.errors import RecordError
from waybill.records.finding import Finding
from waybill.records.graph import Graph
from waybill.records.run_spec import RunSpec
from waybill.records.settings import Settings
from waybill.serving import disagreements, state
from waybill.serving.errors import ServingError
from waybill.store import generations
from waybill.store.connection import Store
from waybill.store.errors import StoreError


def doctor(args: argparse.Namespace) -> int:
    """Looks at everything, mends what is safe if asked to; 0 only when nothing disagrees any more."""
    if args.lifeline:
        end_with_standard_input()
    settings = places.load()
    store = Store(settings.store_url)
    names = [args.pipeline] if args.pipeline else load.names()
    graphs = [load.graph_of(name) for name in names]
    airflow, asked = airflow_of(settings)
    found = _everything(store, settings, graphs, airflow)
    if args.repair:
        _repair(found)
        found = _everything(store, settings, graphs, airflow)
    if args.json:
        print(json.dumps({"findings": [finding.to_json() for finding in found], "airflow": asked}, indent=1))
    else:
        print(asked)
        _tell(found, looked_at=", ".join(names), repaired=args.repair)
    return 1 if found else 0


def _everything(store: Store, settings: Settings, graphs: Sequence[Graph], airflow: AirflowClient | None) -> list[Finding]:
    """What disagrees about each pipeline, and what lies about that belongs to none."""
    models = {*load.names(), *(graph.settings.name for graph in graphs), *state.models(store)}
    return [
        *(finding for graph in graphs for finding in _look(store, settings, graph, airflow)),
        *unclaimed.artifact_folders(store, settings),
        *unclaimed.spec_files(store, settings),
        *unclaimed.scratch_folders(store, settings),
        *unclaimed.base_paths(settings, models),
    ]


def _look(store: Store, settings: Settings, graph: Graph, airflow: AirflowClient | None) -> list[Finding]:
    name = graph.settings.name
    return [
        *left_open.dead_executions(store, settings, name),
        *left_open.lost_specs(store, settings, name),
        *disagreements.releases_kept(store, settings, name),
        *disagreements.base_path_shows(store, settings, name),
        *disagreements.unfinished_decisions(store, name, graph.nodes[-1].id),
        *_by_hand(store, settings, graph),
        *(_airflow(airflow, store, settings, graph) if airflow else ()),
    ]


def _repair(found: Sequence[Finding]) -> None:
    """Mends what is safe; what could not be mended is said and found again by the next look."""
    for finding in found:
        if finding.repair is None:
            continue
        try:
            finding.repair()
            print(f"mended: {finding.where}: {finding.what}")
        except (ServingError, StoreError, LaunchError, RecordError, OSError) as error:
            print(f"could not be mended: {finding.where}: {error}")


def _tell(found: Sequence[Finding], looked_at: str, repaired: bool) -> None:
    for finding in found:
        print(f"{finding.where}\n  found:  {finding.what}\n  cause:  {finding.cause}\n  mend:   {finding.mend}")
        if finding.repair is not None and not repaired:
            print("          `waybill doctor --repair` does it")
    print(f"{len(found) or 'no'} disagreement{'' if len(found) == 1 else 's'} ({looked_at})")


def _airflow(airflow: AirflowClient, store: Store, settings: Settings, graph: Graph) -> Iterator[Finding]:
    """Where Airflow and the store say different things of a run."""
    name = graph.settings.name
    try:
        states = {f"{name}/{run['dag_run_id']}": run["state"] for run in airflow.runs(name)}
    except (AirflowRefused, AirflowUnreachable) as error:
        cause = "it is starting, overloaded or down, or does not know the login or the pipeline"
        mend = "ask again; else see to it, or to WAYBILL_AIRFLOW"
        yield Finding("Airflow", f"it cannot be asked at {airflow.address}: {error}", cause, mend)
        return
    newest = {spec.trigger.run: spec for spec in _specs(store, settings, name) if spec.trigger.kind != "command_line"}
    for asked_by, spec in newest.items():
        state = states.get(asked_by)
        if state not in ("success", "failed") or is_over(spec, graph, store):
            continue
        what = f"Airflow has {asked_by} as {state}; the store shows neither its end nor a gate that stopped it"
        if state == "success":
            yield Finding(spec.run, what, "tasks were marked as success by hand", "clear the tasks that were marked")
        else:
            yield Finding(spec.run, what, "a task failed and nobody has tried again", "read the failed task's log, mend it, clear it")


def _by_hand(store: Store, settings: Settings, graph: Graph) -> Iterator[Finding]:
    """Runs of the command line that have not ended and that no process works on."""
    for spec in _specs(store, settings, graph.settings.name):
        if spec.trigger.kind == "command_line" and not is_over(spec, graph, store) and not is_held(settings.leases, spec.run, RUN):
            again = f"waybill run {spec.pipeline} --interval {spec.interval.label} --ticket {spec.trigger.ticket}"
            yield Finding(
                spec.run, "it has begun and not ended, and no process works on it", "it failed or was killed", f"go on with: {again}"
            )


def _specs(store: Store, settings: Settings, name: str) -> Iterator[RunSpec]:
    """Every frozen spec that can be read, oldest interval first; `lost_specs` tells of the others."""
    for digest in generations.all_frozen(store, name):
        with contextlib.suppress(LaunchError):
            yield specs.load(settings.specs, digest)
