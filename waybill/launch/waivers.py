"""Two people, a blocked verdict and a journal -> a waiver that the gate reads when it runs again.

What is refused is not recorded. What was done before is not done again, and said.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from waybill.launch.wish import Wish, blocked, check_wish, check_words, rule_of, visible
from waybill.records.errors import WaiverRefused
from waybill.records.graph import Graph
from waybill.records.person import Person, one_line
from waybill.records.waiver import BASELINE, COMPARISON, Waiver
from waybill.store import waivers
from waybill.store.connection import Store


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
    book = waivers.read(store, graph.settings.name)
    if before := _asked_before(book, wish, by):
        return Answer(before, fresh=False)
    check_wish(graph, wish, now)
    verdict, artifact = blocked(store, graph, wish)
    rule = rule_of(verdict, wish, graph.settings.waivers.max_subjects)
    wanted = _wanted(wish, by, subject="" if wish.every_subject else rule.subject, found=visible(rule.found))
    return _once(store, graph, book, wanted, by, now, [artifact])


def rebaseline(store: Store, graph: Graph, wish: Wish, by: Person, now: dt.datetime) -> Answer:
    """Asks that an interval's model be compared with no older release, because the label or the signature is another one.

    Raises:
      RecordError: if a word of the wish is none that a record can hold, or the pipeline compares with nothing anyway.
      WaiverRefused: if policy does not allow it.
      Overtaken: if somebody else recorded something meanwhile.
    """
    graph.node(BASELINE)
    wish = dataclasses.replace(wish, gate=BASELINE, rule=COMPARISON)
    book = waivers.read(store, graph.settings.name)
    if before := _asked_before(book, wish, by):
        return Answer(before, fresh=False)
    check_words(graph, wish, now)
    wanted = _wanted(wish, by, subject="releases of older intervals", found="")
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
        asked_in=wish.asked_in,
    )


def _asked_before(book: waivers.Book, wish: Wish, by: Person) -> Waiver | None:
    """What the same run has asked for, whatever became of it: a task that runs again repeats no wish that was declined or taken back."""
    same = (wish.asked_in, by.who, wish.interval.start.isoformat(), wish.gate, wish.rule, wish.every_subject, wish.why)
    for known in book.waivers if wish.asked_in else ():
        said = (known.asked_in, known.requested_by, known.interval_start, known.gate, known.rule, known.every_subject, known.why)
        if said == same and wish.subject in ("", known.subject):
            return known
    return None


def _once(store: Store, graph: Graph, book: waivers.Book, wanted: Waiver, by: Person, now: dt.datetime, about: list[int]) -> Answer:
    """Records a request, unless one for the same is open or approved."""
    for known in book.waivers:
        if known.key == wanted.key and known.state(now, graph.settings.waivers) in ("asked", "approved"):
            return Answer(known, fresh=False)
    return Answer(waivers.write_request(store, book, wanted, by.says(wanted.why), about), fresh=True)


def _find(book: waivers.Book, number: int) -> Waiver:
    waiver = book.find(number)
    if waiver is None:
        known = ", ".join(str(w.number) for w in book.waivers) or "none"
        raise WaiverRefused(f"{book.pipeline} has no waiver {number}; there is {known}")
    return waiver
