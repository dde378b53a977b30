"""`waybill answer`: what a person answered in the orchestrator to a request for a release -> the journal, and a result for its task.

The orchestrator says who was logged in there; that they are not who asked, that the request is open, and that the evidence allows the
release are found out here.
"""

from __future__ import annotations

import argparse
from typing import Any

from waybill.cli import load
from waybill.cli.person import check_speaks_for_airflow
from waybill.launch import specs
from waybill.launch.account import me
from waybill.launch.backends import end_with_standard_input
from waybill.launch.errors import LaunchError
from waybill.records import settings as places
from waybill.records.errors import RecordError, Refusal
from waybill.records.graph import Graph
from waybill.records.node import NodeResult, Outcome
from waybill.records.person import Person, airflow_user
from waybill.records.settings import Settings
from waybill.serving import base_path, releases, request_page, requests, state
from waybill.serving.errors import DecisionRefused, OwnRequest, RequestVoid, ServingError
from waybill.serving.promotion import Decided, Desk
from waybill.serving.releases import Release
from waybill.serving.words import one_line
from waybill.store import journal
from waybill.store.connection import Store
from waybill.store.errors import Overtaken, StoreError

SAYS = ("approve", "decline")
_NO_REASON = "no reason given"


def answer(args: argparse.Namespace) -> int:
    """Takes the answer, or looks what became of the request where there is none; ends with a node's result."""
    if args.lifeline:
        end_with_standard_input()
    result = answered(args, load.graph_of(args.pipeline), places.load())
    print(f"\n{result.to_line()}", flush=True)
    return 0 if result.successful else 1


def answered(args: argparse.Namespace, graph: Graph, settings: Settings) -> NodeResult:
    """Takes the answer; whatever happens becomes a result."""
    store = Store(settings.store_url)
    try:
        if args.says:
            check_speaks_for_airflow("--who", settings)
        release = releases.find(store, graph.settings.name, args.version)
        _check_run(release, args.asked_by, settings)
        decided, refused = _decide(Desk(store, graph, settings), args)
        base_path.follow(store, settings, release.model)
        extra: dict[str, Any] = {"promotion": {"outcome": decided.outcome, "version": str(args.version), "says": decided.says}}
        if decided.outcome == "asked":
            extra["approval"] = {**_page(release, graph, settings, store), "refused": refused}
    except (Refusal, RecordError, LaunchError) as error:
        return NodeResult(args.node, Outcome.REFUSED, str(error))
    except (ServingError, StoreError, OSError) as error:
        return NodeResult(args.node, Outcome.FAILED, f"{type(error).__name__}: {error}")
    return NodeResult(args.node, Outcome.COMPLETE, decided.says, run=release.run, extra=extra)


def _check_run(release: Release, asked_by: str, settings: Settings) -> None:
    """Raises DecisionRefused unless the release was made by the run that passes the answer on."""
    made_by = specs.load(settings.specs, release.spec).trigger.run
    if made_by != asked_by:
        raise DecisionRefused(f"release {release.version} was made by {made_by!r}, and {asked_by!r} answers for it; nothing was decided")


def _decide(desk: Desk, args: argparse.Namespace) -> tuple[Decided, str]:
    """What was decided, and why an answer did not count if it did not."""
    while True:
        try:
            if not args.says:
                return desk.outcome(args.version), ""
            by, why = Person(airflow_user(args.who), me()), one_line(args.why) or _NO_REASON
            if args.says == "decline":
                return desk.decline(args.number, by, why), ""
            triggered_by = airflow_user(args.triggered_by) if args.triggered_by else ""
            desk.approve(args.number, by, why, triggered_by=triggered_by)
            return desk.outcome(args.version), ""
        except Overtaken:
            continue  # what was decided meanwhile may have ended the request
        except (OwnRequest, RequestVoid) as error:
            return desk.outcome(args.version), str(error)


def _page(release: Release, graph: Graph, settings: Settings, store: Store) -> dict[str, Any]:
    """What the orchestrator shows to whoever may agree."""
    entries = journal.entries(store, state.subject(release.model))
    request = requests.open_for(entries, release.version)
    if request is None:
        raise DecisionRefused(f"the request for release {release.version} ended while it was looked at; clear the task to look again")
    body = request_page.page(request, release, graph, settings, store)
    return {"number": request.number, "subject": request_page.subject(request, release), "page": body}
