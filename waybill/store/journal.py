"""Decisions about a subject -> numbered entries in MLMD, one after the other, never changed.

    journal.append(store, "serving/orders", after=6, kind="promote", says={"version": 20131001000001, "who": "schedule", ...})

An entry is an Execution of type `waybill.Decision` named `<subject>#<number>`, so that MLMD is the record of what was decided and an
auditor finds it beside the artifacts that it is about. MLMD lets a type have each name once: of two processes that decide after the same
entry one is written, the other told. Entries are ordered by number; the clock plays no part.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from waybill.records import fault_points
from waybill.store import tables as t
from waybill.store.connection import Store
from waybill.store.errors import NotInitialised, Overtaken, StoreError

DECISION_TYPE = "waybill.Decision"
_SUBJECT, _NUMBER, _KIND = "subject", "number", "kind"
_COMPLETE, _INPUT = 3, 3  # of MLMD's Execution.State and Event.Type
_ABOUT = "about"  # input key of the artifacts that an entry is about


@dataclasses.dataclass(frozen=True)
class Entry:
    """One decision on record.

    Attributes:
      subject: What it is about, such as `serving/orders`.
      number: Its place in the subject's journal, from 1.
      kind: What was decided, such as `promote`.
      says: Who, why, what; texts and whole numbers.
      milliseconds: When it was written, since the epoch, by the clock of the machine that wrote it.
      id: MLMD id of its execution.
    """

    subject: str
    number: int
    kind: str
    says: Mapping[str, str | int]
    milliseconds: int
    id: int


def entries(store: Store, subject: str, *, saying: tuple[str, int] | None = None) -> list[Entry]:
    """A subject's journal, oldest entry first.

    Args:
      store: The MLMD database.
      subject: What the decisions are about.
      saying: A word and a whole number, such as `("version", 20131001000001)` or `("number", 7)`: only the entries that say so.
    """
    with store.reading() as connection:
        return _entries(connection, subject, saying=saying)


def subjects(store: Store) -> list[str]:
    """What there are decisions about, each once; by the first entry that each has."""
    query = sa.select(t.execution.c.name).join(t.type_, t.type_.c.id == t.execution.c.type_id).where(t.type_.c.name == DECISION_TYPE)
    with store.reading() as connection:
        return sorted(name.removesuffix("#1") for name in connection.execute(query.where(t.execution.c.name.endswith("#1"))).scalars())


def outline(store: Store, subject: str, word: str, *, after: int = 0) -> list[tuple[int, str, int]]:
    """Number, kind and one whole number of each entry, oldest first: a tenth of what reading them in full takes.

    Args:
      store: The MLMD database.
      subject: What the decisions are about.
      word: Which whole number of those that an entry says; 0 where it does not say it.
      after: Only what follows the entry of that number; entries never change, so whoever knows the earlier ones needs no more.
    """
    mine = _of(subject)
    number, kind, said = (t.execution_property.alias() for _ in range(3))
    query = (
        sa.select(number.c.int_value, kind.c.string_value, said.c.int_value)
        .select_from(mine)
        .join(number, _named(number, mine, _NUMBER))
        .join(kind, _named(kind, mine, _KIND))
        .outerjoin(said, _named(said, mine, word))
        .where(number.c.int_value > after)
    )
    with store.reading() as connection:
        return sorted((place, name, whole or 0) for place, name, whole in connection.execute(query))


def append(store: Store, subject: str, after: int, kind: str, says: Mapping[str, str | int], artifacts: Sequence[int] = ()) -> Entry:
    """Writes the entry that follows number `after`.

    Args:
      store: The MLMD database.
      subject: What the decision is about.
      after: Number of the last entry that whoever decides has seen; 0 for none.
      kind: What was decided.
      says: Who, why, what.
      artifacts: MLMD ids of what it is about.

    Raises:
      StoreError: if `says` uses a word that the journal needs itself.
      Overtaken: if there is a later entry by now; nothing is written then.
      NotInitialised: if the store does not know decisions yet.
    """
    if taken := sorted({_SUBJECT, _NUMBER, _KIND} & set(says)):
        raise StoreError(f"an entry of {subject} says {', '.join(taken)}, which the journal says itself; name it otherwise")
    try:
        with store.writing() as connection:
            if not _is_last(connection, subject, after):
                raise _overtaken(subject, _entries(connection, subject, after=after))
            entry = _insert(connection, subject, after + 1, kind, says, artifacts)
            fault_points.reached("journal.written")
    except sa.exc.IntegrityError:
        with store.reading() as connection:
            raise _overtaken(subject, _entries(connection, subject, after=after)) from None
    fault_points.reached("journal.committed")
    return entry


def _insert(
    connection: sa.Connection, subject: str, number: int, kind: str, says: Mapping[str, str | int], artifacts: Sequence[int]
) -> Entry:
    type_id = connection.execute(sa.select(t.type_.c.id).where(t.type_.c.name == DECISION_TYPE)).scalar()
    if type_id is None:
        raise NotInitialised("the store knows no decisions yet; complete it once with: waybill init")
    now = time.time_ns() // 1_000_000
    row = sa.insert(t.execution).values(
        type_id=type_id,
        last_known_state=_COMPLETE,
        name=f"{subject}#{number}",
        create_time_since_epoch=now,
        last_update_time_since_epoch=now,
    )
    execution_id = int(connection.execute(row).inserted_primary_key[0])
    properties: dict[str, Any] = {**says, _SUBJECT: subject, _NUMBER: number, _KIND: kind}
    for name, value in properties.items():
        column = "int_value" if isinstance(value, int) else "string_value"
        values = {"execution_id": execution_id, "name": name, "is_custom_property": True, column: value}
        connection.execute(sa.insert(t.execution_property).values(**values))
    for index, artifact_id in enumerate(artifacts):
        event = sa.insert(t.event).values(artifact_id=artifact_id, execution_id=execution_id, type=_INPUT, milliseconds_since_epoch=now)
        event_id = int(connection.execute(event).inserted_primary_key[0])
        for step in ({"is_index_step": False, "step_key": _ABOUT}, {"is_index_step": True, "step_index": index}):
            connection.execute(sa.insert(t.event_path).values(event_id=event_id, **step))
    return Entry(subject, number, kind, dict(says), now, execution_id)


def _is_last(connection: sa.Connection, subject: str, number: int) -> bool:
    """Whether a subject's journal ends with that number, 0 for an empty one, by the names of two entries alone."""
    names = [f"{subject}#{n}" for n in (number, number + 1)]
    query = sa.select(t.execution.c.name).join(t.type_, t.type_.c.id == t.execution.c.type_id).where(t.type_.c.name == DECISION_TYPE)
    there = set(connection.execute(query.where(t.execution.c.name.in_(names))).scalars())
    return names[1] not in there and (number == 0 or names[0] in there)


def _of(subject: str) -> sa.Subquery:
    """A subject's entries: their executions and when they were written.

    Joined with, never listed by id: SQLite allows 32,766 variables in a statement and PostgreSQL 65,535, fewer than some years of hours.
    """
    own = t.execution_property
    return (
        sa.select(own.c.execution_id, t.execution.c.create_time_since_epoch.label("moment"))
        .join(t.execution, t.execution.c.id == own.c.execution_id)
        .join(t.type_, t.type_.c.id == t.execution.c.type_id)
        .where(t.type_.c.name == DECISION_TYPE)
        .where(own.c.name == _SUBJECT, own.c.is_custom_property.is_(True), own.c.string_value == subject)
        .subquery()
    )


def _named(said: sa.Alias, mine: sa.Subquery, name: str) -> sa.ColumnElement[bool]:
    """What an entry says under a name."""
    return sa.and_(said.c.execution_id == mine.c.execution_id, said.c.name == name, said.c.is_custom_property.is_(True))


def _entries(connection: sa.Connection, subject: str, *, after: int = 0, saying: tuple[str, int] | None = None) -> list[Entry]:
    mine = _of(subject)
    number, said, also = (t.execution_property.alias() for _ in range(3))
    query = (
        sa.select(mine, number.c.int_value.label("number"), said.c.name, said.c.string_value, said.c.int_value)
        .join(number, _named(number, mine, _NUMBER))
        .join(said, said.c.execution_id == mine.c.execution_id)
        .where(number.c.int_value > after, said.c.name.not_in([_SUBJECT, _NUMBER]))
    )
    if saying is not None:
        query = query.join(also, _named(also, mine, saying[0])).where(also.c.int_value == saying[1])
    found: dict[int, tuple[int, int, dict[str, Any]]] = {}
    for execution_id, moment, place, name, text, whole in connection.execute(query):
        found.setdefault(place, (execution_id, moment, {}))[2][name] = whole if text is None else text
    return [Entry(subject, place, str(own.pop(_KIND)), own, moment, i) for place, (i, moment, own) in sorted(found.items())]


def _overtaken(subject: str, found: Sequence[Entry]) -> Overtaken:
    told = "; ".join(f"{entry.number}: {entry.kind} by {entry.says.get('who') or 'nobody named'}" for entry in found) or "none"
    return Overtaken(f"{subject} was decided on by somebody else meanwhile ({told}); look at it again and decide anew")
