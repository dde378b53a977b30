"""Two people, a blocked verdict and a journal -> a waiver that the gate reads when it runs again.

What is refused is not recorded. What was done before is not done again, and said.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from waybill.launch.gates import latest_verdict
from waybill.records.errors import RecordError, WaiverRefused
from waybill.records.graph import Graph
from waybill.records.interval import Interval
from waybill.records.person import MAX_TEXT, Person, one_line, shown
from waybill.records.verdict import Rule, RuleOutcome, Verdict
from waybill.records.waivable import check_rule
from waybill.records.waiver import BASELINE, COMPARISON, Waiver
from waybill.store import waivers
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
    """

    interval: Interval
    gate: str
    rule: str
    subject: str
    every_subject: bool
    why: str
    until: dt.datetime


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of it: the waiver as it is on record, and whether this very call wrote it."""

    waiver: Waiver
    fresh: bool


def request(store: Store, graph: Graph, wish: Wish, by: Person, now: dt.datetime) -> Answer:
    """Asks for a waiver of a rule that the newest verdict of a gate blocks on.

    Raises:
      RecordError: if a word of the wish is none that a record can hold.
      WaiverRefused: if there is nothing to waive, or policy does not allow it.
      Overtaken: if somebody else recorded something meanwhile.
    """
    _check_wish(graph, wish, now)
    book = waivers.read(store, graph.settings.name)
    verdict, artifact = _blocked(store, graph, wish)
    rule = _rule(verdict, wish, graph.settings.waivers.max_subjects)
    wanted = _wanted(wish, by, subject="" if wish.every_subject else rule.subject, found=_visible(rule.found))
    return _once(store, graph, book, wanted, by, now, [artifact])


def rebaseline(store: Store, graph: Graph, wish: Wish, by: Person, now: dt.datetime) -> Answer:
    """Asks that an interval's model be compared with no older release, because the label or the signature is another one.

    Raises:
      RecordError: if a word of the wish is none that a record can hold, or the pipeline compares with nothing anyway.
      WaiverRefused: if policy does not allow it.
      Overtaken: if somebody else recorded something meanwhile.
    """
    graph.node(BASELINE)
    _check_words(graph, wish, now)
    book = waivers.read(store, graph.settings.name)
    wanted = _wanted(dataclasses.replace(wish, gate=BASELINE, rule=COMPARISON), by, subject="releases of older intervals", found="")
    return _once(store, graph, book, wanted, by, now, [])


def approve(store: Store, graph: Graph, number: int, why: str, by: Person, now: dt.datetime) -> Answer:
    """Approves a waiver that somebody else asked for.

    Raises:
      WaiverRefused: if there is none of that number, who approves is who asked, or it would do nothing.
      Overtaken: if somebody else recorded something meanwhile.
    """
    says = by.says(one_line("--why", why) if why else "")
    book = waivers.read(store, graph.settings.name)
    waiver = _find(book, number)
    approved = dataclasses.replace(waiver, approved_by=by.who, approved_why=why, approved_account=by.account)
    if waiver.fault(now, graph.settings.waivers) is None:
        return Answer(waiver, fresh=False)
    if fault := approved.fault(now, graph.settings.waivers):
        raise WaiverRefused(f"waiver {number} cannot be approved: {fault}")
    waivers.write(store, book, waivers.APPROVAL, number, says)
    return Answer(approved, fresh=True)


def withdraw(store: Store, graph: Graph, number: int, why: str, by: Person) -> Answer:
    """Takes a waiver back, whoever asked for it; nodes that rely on it and have not run are refused from then on.

    Raises:
      WaiverRefused: if there is none of that number.
      Overtaken: if somebody else recorded something meanwhile.
    """
    says = by.says(one_line("--why", why))
    book = waivers.read(store, graph.settings.name)
    waiver = _find(book, number)
    if waiver.withdrawn_by:
        return Answer(waiver, fresh=False)
    waivers.write(store, book, waivers.WITHDRAWAL, number, says)
    return Answer(dataclasses.replace(waiver, withdrawn_by=by.who, withdrawn_why=why), fresh=True)


def _wanted(wish: Wish, by: Person, subject: str, found: str) -> Waiver:
    return Waiver(
        number=0,
        interval_start=wish.interval.start.isoformat(),
        gate=wish.gate,
        rule=wish.rule,
        subject=subject,
        every_subject=wish.every_subject,
        found=found,
        why=wish.why,
        expires=wish.until.isoformat(timespec="seconds"),
        requested_by=by.who,
        requested_at=0,
    )


def _once(store: Store, graph: Graph, book: waivers.Book, wanted: Waiver, by: Person, now: dt.datetime, about: list[int]) -> Answer:
    """Records a request, unless one for the same is open or approved."""
    for known in book.waivers:
        if known.key == wanted.key and known.state(now, graph.settings.waivers) in ("asked", "approved"):
            return Answer(known, fresh=False)
    return Answer(waivers.write_request(store, book, wanted, by.says(wanted.why), about), fresh=True)


def _check_wish(graph: Graph, wish: Wish, now: dt.datetime) -> None:
    gates = [n.id for n in graph.nodes if n.gate]
    if wish.gate not in gates:
        raise RecordError(f"no gate {shown(wish.gate)} in pipeline {graph.settings.name}; it has {', '.join(gates)}")
    check_rule(wish.rule)
    _check_words(graph, wish, now)


def _check_words(graph: Graph, wish: Wish, now: dt.datetime) -> None:
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


def _blocked(store: Store, graph: Graph, wish: Wish) -> tuple[Verdict, int]:
    """The newest verdict of the gate for the interval, and its artifact."""
    found = latest_verdict(store, graph, wish.interval, wish.gate)
    if found is None:
        raise WaiverRefused(
            f"{wish.gate} has no verdict for {graph.settings.name} {wish.interval.label}; a waiver answers a verdict that says BLOCKED"
        )
    return found


def _rule(verdict: Verdict, wish: Wish, at_once: int) -> Rule:
    """A rule of the verdict that the wish is about."""
    blocking = [r for r in verdict.rules if r.blocks or r.outcome is RuleOutcome.WAIVED]  # what is let pass can be asked for again
    named = [r for r in blocking if r.name == wish.rule]
    if not named:
        names = ", ".join(sorted({r.name for r in blocking})) or "none"
        raise WaiverRefused(f"{wish.rule} does not block in the newest verdict of {wish.gate} for {wish.interval.label}; blocking: {names}")
    subjects = list(dict.fromkeys(r.subject for r in named))
    told = "; ".join(_visible(s) for s in subjects[:10]) + (f"; and {len(subjects) - 10} more" if len(subjects) > 10 else "")
    if wish.every_subject and len(named) > at_once:
        raise WaiverRefused(f"{wish.rule} blocks on {len(named)} subjects, and the policy allows {at_once} at once; name each: {told}")
    if wish.subject and wish.subject not in subjects:
        raise WaiverRefused(f"{wish.rule} does not block on {shown(wish.subject)}; expected one of: {told}")
    if not wish.subject and not wish.every_subject and len(subjects) > 1:
        raise WaiverRefused(f"{wish.rule} blocks on {len(subjects)} subjects; name one with --subject, or say --every-subject: {told}")
    return next(r for r in named if not wish.subject or r.subject == wish.subject)


def _find(book: waivers.Book, number: int) -> Waiver:
    waiver = book.find(number)
    if waiver is None:
        known = ", ".join(str(w.number) for w in book.waivers) or "none"
        raise WaiverRefused(f"{book.pipeline} has no waiver {number}; there is {known}")
    return waiver


def _visible(text: str) -> str:
    """What a gate found, short and without what cannot be seen; it may quote the data."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_TEXT])
