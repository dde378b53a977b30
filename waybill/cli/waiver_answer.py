"""`waybill ask-waiver`, `waybill answer-waiver`: what Airflow's users ask for and answer in its UI -> the journal, and a task's result.

Airflow says who was logged in; that they are two, and that the waiver may be, is found out here, as for `waybill waive`.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable
from typing import Any

from waybill.cli import load
from waybill.cli.person import check_speaks_for_airflow, me
from waybill.launch import waivers as lane
from waybill.launch.backends import end_with_standard_input
from waybill.launch.errors import LaunchError
from waybill.launch.window import interval_from
from waybill.launch.wish import Wish
from waybill.records import settings as places
from waybill.records.errors import RecordError, Refusal, WaiverRefused
from waybill.records.graph import Graph
from waybill.records.interval import parse_moment
from waybill.records.node import NodeResult, Outcome
from waybill.records.person import Person, airflow_user
from waybill.records.waiver import Waiver
from waybill.serving.request_page import row
from waybill.serving.words import one_line
from waybill.store import waivers
from waybill.store.connection import Store
from waybill.store.errors import Overtaken, StoreError

_NO_REASON = "no reason given"
_FOOT = "Whoever asked cannot approve. The gate's whole report is in its task's tab *Report*; it judges again when it is cleared."


def ask(args: argparse.Namespace) -> int:
    """Asks for the waiver, unless the same run did so before; ends with a node's result."""
    return _end(args, asked)


def answer(args: argparse.Namespace) -> int:
    """Takes the answer; ends with a node's result."""
    return _end(args, answered)


def asked(args: argparse.Namespace, graph: Graph, store: Store) -> NodeResult:
    """Asks for the waiver."""
    by, now = Person(airflow_user(args.who), me()), _now()
    interval = interval_from(graph.settings, parse_moment(args.interval))
    wish = Wish(interval, args.gate, args.rule, args.subject, args.every_subject, args.why, parse_moment(args.until), args.asked_in)
    if args.rebaseline and (args.gate or args.rule or args.subject or args.every_subject):
        raise RecordError("the baseline is to be set aside, and a gate, a rule or a subject is named; leave these empty, or ask for a rule")
    waiver = (lane.rebaseline if args.rebaseline else lane.request)(store, graph, wish, by, now).waiver
    return _result(args.node, graph, waiver, now)


def answered(args: argparse.Namespace, graph: Graph, store: Store) -> NodeResult:
    """Takes the answer; one that does not count is told, and what was asked stays open."""
    by, now, refused = Person(airflow_user(args.who), me()), _now(), ""
    try:
        if args.says == "approve":
            lane.approve(store, graph, args.number, one_line(args.why), by, now)
        elif _find(store, graph, args.number).state(now, graph.settings.waivers) == "asked":
            lane.withdraw(store, graph, args.number, one_line(args.why) or _NO_REASON, by)
    except WaiverRefused as error:
        refused = str(error)
    return _result(args.node, graph, _find(store, graph, args.number), now, refused)


def _end(args: argparse.Namespace, act: Callable[[argparse.Namespace, Graph, Store], NodeResult]) -> int:
    if args.lifeline:
        end_with_standard_input()
    result = _ended(args, act)
    print(f"\n{result.to_line()}", flush=True)
    return 0 if result.successful else 1


def _ended(args: argparse.Namespace, act: Callable[[argparse.Namespace, Graph, Store], NodeResult]) -> NodeResult:
    """Acts; whatever happens becomes a result."""
    try:
        settings, graph = places.load(), load.graph_of(args.pipeline)
        check_speaks_for_airflow("--who", settings)
        while True:
            try:
                return act(args, graph, Store(settings.store_url))
            except Overtaken:
                continue  # what was recorded meanwhile may have answered it
    except (Refusal, RecordError, LaunchError) as error:
        return NodeResult(args.node, Outcome.REFUSED, str(error))
    except (StoreError, OSError) as error:
        return NodeResult(args.node, Outcome.FAILED, f"{type(error).__name__}: {error}")


def _result(node: str, graph: Graph, waiver: Waiver, now: dt.datetime, refused: str = "") -> NodeResult:
    """How things stand with a waiver: a success where it holds or is waited for."""
    state = waiver.state(now, graph.settings.waivers)
    told = f"waiver {waiver.number} of {graph.settings.name}, {one_line(waiver.words)} at {waiver.gate}"
    if state == "asked":
        says, outcome = f"{told}, asked for by {waiver.requested_by}, needs another person", Outcome.COMPLETE
    elif state == "approved":
        does = f"clear {waiver.gate} of {waiver.interval_start[:16]} with everything downstream"
        says, outcome = f"{told}, asked for by {waiver.requested_by}, is approved by {waiver.approved_by}; {does}", Outcome.COMPLETE
    else:
        expired = f"expired: it held until {waiver.expires}" if state == "expired" else ""  # whether or not somebody had approved it
        ended = expired or waiver.fault(now, graph.settings.waivers) or state
        says, outcome = f"{told}, does nothing: {ended}. Fill in the form anew to ask again", Outcome.REFUSED
    extra: dict[str, Any] = {"waiver": {"number": waiver.number, "state": state, "says": says}}
    if state == "asked":
        subject = f"Waive {one_line(waiver.words)} at {waiver.gate} of {graph.settings.name}, interval {waiver.interval_start[:10]}?"
        extra["approval"] = {"subject": subject, "page": page(waiver), "refused": refused}
    return NodeResult(node, outcome, says, extra=extra)


def page(waiver: Waiver) -> str:
    """What a person reads before they approve, as Markdown."""
    rows = (
        ("waiver", str(waiver.number)),
        ("interval", waiver.interval_start),
        ("gate", waiver.gate),
        ("rule", waiver.words),
        ("found", waiver.found or "-"),
        ("asked for by", waiver.requested_by),
        ("why", waiver.why),
        ("until", waiver.expires),
    )
    return "\n".join([row("", ""), "|---|---|", *(row(*cells) for cells in rows), "", _FOOT])


def _find(store: Store, graph: Graph, number: int) -> Waiver:
    waiver = waivers.read(store, graph.settings.name).find(number)
    if waiver is None:
        raise WaiverRefused(f"{graph.settings.name} has no waiver {number}; nothing was recorded")
    return waiver


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)
