"""`waybill waive`: a person's wish that a gate let a rule pass, once -> the journal of waivers, and what it says."""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable

from waybill.cli import load
from waybill.cli.person import on_behalf
from waybill.launch import waivers as lane
from waybill.launch.waivers import Answer
from waybill.launch.window import interval_from
from waybill.launch.wish import Wish
from waybill.records import settings as places
from waybill.records.graph import Graph
from waybill.records.interval import parse_moment
from waybill.records.person import shown
from waybill.records.waiver import Waiver
from waybill.store import waivers
from waybill.store.connection import Store

_COLUMNS = ("number", "interval", "gate", "rule", "asked by", "approved by", "until", "state")


def waive(args: argparse.Namespace) -> int:
    """Runs one of the verbs under `waive`; 0 when what was asked for is so now."""
    verbs: dict[str, Callable[[argparse.Namespace, Graph, Store], int]] = {
        "request": _request,
        "rebaseline": _rebaseline,
        "approve": _approve,
        "withdraw": _withdraw,
        "list": _list,
    }
    return verbs[args.waive_verb](args, load.graph_of(args.pipeline), Store(places.load().store_url))


def _request(args: argparse.Namespace, graph: Graph, store: Store) -> int:
    interval = interval_from(graph.settings, parse_moment(args.interval))
    wish = Wish(interval, args.gate, args.rule, args.subject, args.every_subject, args.why, parse_moment(args.until))
    answer = lane.request(store, graph, wish, on_behalf(args.on_behalf, places.load()), _now())
    return _asked(args, graph, answer)


def _rebaseline(args: argparse.Namespace, graph: Graph, store: Store) -> int:
    interval = interval_from(graph.settings, parse_moment(args.interval))
    wish = Wish(interval, "", "", "", False, args.why, parse_moment(args.until))
    return _asked(args, graph, lane.rebaseline(store, graph, wish, on_behalf(args.on_behalf, places.load()), _now()))


def _asked(args: argparse.Namespace, graph: Graph, answer: Answer) -> int:
    waiver = answer.waiver
    if not answer.fresh:
        print(f"waiver {waiver.number} is for the same already, {waiver.state(_now(), graph.settings.waivers)}: {_told(waiver)}")
        print(f"To ask with another reason or end: waybill waive withdraw {args.pipeline} {waiver.number} --why ...")
        return 0
    print(f"waiver {waiver.number} is asked for: {_told(waiver)}")
    if waiver.found:
        print(f"Found: {waiver.found}")
    print(f"Another person approves it with: waybill waive approve {args.pipeline} {waiver.number}")
    return 0


def _approve(args: argparse.Namespace, graph: Graph, store: Store) -> int:
    answer = lane.approve(store, graph, args.number, args.why, on_behalf(args.on_behalf, places.load()), _now())
    waiver = answer.waiver
    print(f"waiver {waiver.number} {'is approved' if answer.fresh else 'was approved before'}: {_told(waiver)}")
    print(f"Clear {waiver.gate} with everything downstream in Airflow, or run the interval again here:")
    print(f"  waybill run {args.pipeline} --interval {_label(waiver)}")
    return 0


def _withdraw(args: argparse.Namespace, graph: Graph, store: Store) -> int:
    answer = lane.withdraw(store, graph, args.number, args.why, on_behalf(args.on_behalf, places.load()))
    print(f"waiver {answer.waiver.number} {_taken_back(answer)}: {answer.waiver.withdrawn_why}")
    return 0


def _taken_back(answer: Answer) -> str:
    return f"{'is' if answer.fresh else 'was'} withdrawn by {answer.waiver.withdrawn_by}" + ("" if answer.fresh else " before")


def _list(args: argparse.Namespace, graph: Graph, store: Store) -> int:
    now, found = _now(), waivers.read(store, args.pipeline).waivers
    if not found:
        print(f"{args.pipeline} has no waivers")
        return 0
    rows = [_COLUMNS, *(_row(waiver, waiver.state(now, graph.settings.waivers)) for waiver in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
    for waiver, row in zip((None, *found), rows, strict=True):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if waiver is not None:
            finding = f" (found: {_safe(waiver.found)})" if waiver.found else ""
            print(f"{'':{widths[0]}}  {_safe(waiver.subject) or 'every subject'}{finding}: {_safe(waiver.why)}")
    return 0


def _row(waiver: Waiver, state: str) -> tuple[str, ...]:
    cells = (str(waiver.number), _label(waiver), waiver.gate, waiver.rule, waiver.requested_by, waiver.approved_by or "-", waiver.expires)
    return tuple(_safe(cell) for cell in (*cells, state))


def _told(waiver: Waiver) -> str:
    """What a waiver is for and who is behind it, in a line."""
    approved = f", approved by {waiver.approved_by}" if waiver.approved_by else ""
    return (
        f"{_safe(waiver.words)}, at {waiver.gate}, interval {_label(waiver)}, until {waiver.expires}; asked for by {waiver.requested_by}"
        f"{approved}: {_safe(waiver.why)}"
    )


def _label(waiver: Waiver) -> str:
    """The interval's start, without the time where it is midnight in UTC."""
    return waiver.interval_start.removesuffix("T00:00:00+00:00").removesuffix("+00:00")


def _safe(text: str) -> str:
    """A text from the journal, which may have been written by other means, for a terminal."""
    return text if text.isprintable() else shown(text)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)
