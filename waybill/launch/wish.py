"""What somebody wants a gate to let pass -> whether there is such a thing, and the policy allows to ask for it."""

from __future__ import annotations

import dataclasses
import datetime as dt

from waybill.launch.gates import latest_verdict
from waybill.records.errors import RecordError, WaiverRefused
from waybill.records.graph import Graph
from waybill.records.interval import Interval
from waybill.records.person import MAX_TEXT, one_line, shown
from waybill.records.verdict import Rule, RuleOutcome, Verdict
from waybill.records.waivable import check_rule
from waybill.store.connection import Store


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
      interval: The one interval.
      gate: Node id of the gate.
      rule: Exact name of the rule.
      subject: Exact subject; empty for the only one that the rule blocks on, or with `every_subject`.
      every_subject: Whether all that the rule blocks on is meant.
      why: Why.
      until: The first instant at which it shall hold no more.
      asked_in: The orchestrator's run that asks, which asks once however often its task runs; empty on the command line.
    """

    interval: Interval
    gate: str
    rule: str
    subject: str
    every_subject: bool
    why: str
    until: dt.datetime
    asked_in: str = ""


def check_wish(graph: Graph, wish: Wish, now: dt.datetime) -> None:
    """Raises RecordError or WaiverRefused unless such a waiver may be asked for, whatever the gate has found."""
    gates = [n.id for n in graph.nodes if n.gate]
    if wish.gate not in gates:
        raise RecordError(f"no gate {shown(wish.gate)} in pipeline {graph.settings.name}; it has {', '.join(gates)}")
    check_rule(wish.rule)
    check_words(graph, wish, now)


def check_words(graph: Graph, wish: Wish, now: dt.datetime) -> None:
    """Raises RecordError or WaiverRefused unless the reason, the subject and the end may stand in a record."""
    one_line("--why", wish.why)
    if wish.subject:
        one_line("--subject", wish.subject)
    if wish.subject and wish.every_subject:
        raise RecordError("got --subject and --every-subject; expected one of them")
    days = graph.settings.waivers.max_days
    if not now < wish.until <= now + dt.timedelta(days=days):
        raise WaiverRefused(
            f"--until is {wish.until.isoformat()}; expected a moment after {now.isoformat(timespec='seconds')} and at most {days} days "
            f"from it, as the policy of {graph.settings.name} says. A date means its beginning, in UTC"
        )


def blocked(store: Store, graph: Graph, wish: Wish) -> tuple[Verdict, int]:
    """The newest verdict of the gate for the interval, and its artifact."""
    found = latest_verdict(store, graph, wish.interval, wish.gate)
    if found is None:
        raise WaiverRefused(
            f"{wish.gate} has no verdict for {graph.settings.name} {wish.interval.label}; a waiver answers a verdict that says BLOCKED"
        )
    return found


def rule_of(verdict: Verdict, wish: Wish, at_once: int) -> Rule:
    """A rule of the verdict that the wish is about."""
    blocking = [r for r in verdict.rules if r.blocks or r.outcome is RuleOutcome.WAIVED]  # what is let pass can be asked for again
    named = [r for r in blocking if r.name == wish.rule]
    if not named:
        names = ", ".join(sorted({r.name for r in blocking})) or "none"
        raise WaiverRefused(f"{wish.rule} does not block in the newest verdict of {wish.gate} for {wish.interval.label}; blocking: {names}")
    subjects = list(dict.fromkeys(r.subject for r in named))
    told = "; ".join(visible(s) for s in subjects[:10]) + (f"; and {len(subjects) - 10} more" if len(subjects) > 10 else "")
    if wish.every_subject and len(named) > at_once:
        raise WaiverRefused(f"{wish.rule} blocks on {len(named)} subjects, and the policy allows {at_once} at once; name each: {told}")
    if wish.subject and wish.subject not in subjects:
        raise WaiverRefused(f"{wish.rule} does not block on {shown(wish.subject)}; expected one of: {told}")
    if not wish.subject and not wish.every_subject and len(subjects) > 1:
        raise WaiverRefused(f"{wish.rule} blocks on {len(subjects)} subjects; name one with --subject, or say --every-subject: {told}")
    return next(r for r in named if not wish.subject or r.subject == wish.subject)


def visible(text: str) -> str:
    """What a gate found, short and without what cannot be seen; it may quote the data."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_TEXT])
