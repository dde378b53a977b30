"""The journal of a pipeline's waivers <-> waivers.

#1 waiver_request     who=os:ada  interval_start, gate, rule, rule_subject, found, why, expires
#2 waiver_approval    who=os:bob  waiver=1
#3 waiver_withdrawal  who=os:ada  waiver=1, why                    ->  [Waiver(number=1, ...)]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from waybill.records.waiver import Waiver
from waybill.store import journal
from waybill.store.connection import Store
from waybill.store.journal import Entry

REQUEST, APPROVAL, WITHDRAWAL = "waiver_request", "waiver_approval", "waiver_withdrawal"
_NUMBER = "waiver"  # in an approval and a withdrawal: which waiver it is about


@dataclasses.dataclass(frozen=True)
class Book:
    """All waivers of a pipeline as somebody has seen them.

    Attributes:
      pipeline: Whose.
      waivers: All of them, in the order of their numbers.
      last: Number of the last entry; what is written next follows it, or is overtaken.
    """

    pipeline: str
    waivers: tuple[Waiver, ...]
    last: int

    def find(self, number: int) -> Waiver | None:
        """The waiver of that number, or None."""
        return next((w for w in self.waivers if w.number == number), None)


def read(store: Store, pipeline: str) -> Book:
    """What is on record by now."""
    entries = journal.entries(store, _subject(pipeline))
    return Book(pipeline, tuple(_told(entries).values()), entries[-1].number if entries else 0)


def write_request(store: Store, book: Book, waiver: Waiver, says: Mapping[str, str | int], about: Sequence[int]) -> Waiver:
    """Records that somebody asks for a waiver; returns it with its number.

    Args:
      store: The MLMD database.
      book: What whoever asks has seen.
      waiver: What is asked for; its number is not looked at.
      says: Who asks, as `who`, and by which account.
      about: MLMD ids of the verdicts that it answers.

    Raises:
      Overtaken: if something was recorded meanwhile.
    """
    entry = journal.append(store, _subject(book.pipeline), book.last, REQUEST, {**waiver.to_properties(), **says}, about)
    return Waiver.from_properties(entry.number, entry.milliseconds, entry.says)


def write(store: Store, book: Book, kind: str, number: int, says: Mapping[str, str | int]) -> None:
    """Records an approval or a withdrawal of a waiver.

    Raises:
      Overtaken: if something was recorded meanwhile.
    """
    journal.append(store, _subject(book.pipeline), book.last, kind, {**says, _NUMBER: number})


def _subject(pipeline: str) -> str:
    return f"waivers/{pipeline}"


def _told(entries: Sequence[Entry]) -> dict[int, Waiver]:
    """The waivers that a journal tells of, by number."""
    found: dict[int, Waiver] = {}
    for entry in entries:
        who, why, number = str(entry.says.get("who", "")), str(entry.says.get("why", "")), int(entry.says.get(_NUMBER, 0))
        if entry.kind == REQUEST:
            found[entry.number] = Waiver.from_properties(entry.number, entry.milliseconds, entry.says)
        elif entry.kind == APPROVAL and number in found and _counts(found[number]):
            account = str(entry.says.get("account", ""))
            found[number] = dataclasses.replace(found[number], approved_by=who, approved_why=why, approved_account=account)
        elif entry.kind == WITHDRAWAL and number in found and not found[number].withdrawn_by:
            found[number] = dataclasses.replace(found[number], withdrawn_by=who or "somebody", withdrawn_why=why)
    return found


def _counts(waiver: Waiver) -> bool:
    """Whether another approval still means something: there is none yet, or only that of whoever asked."""
    return not waiver.approved_by or waiver.self_approved
