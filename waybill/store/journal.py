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


def entries(store: Store, subject: str) -> list[Entry]:
    """A subject's journal, oldest entry first."""
    with store.reading() as connection:
        return _entries(connection, subject)


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
            found = _entries(connection, subject)
            if found and found[-1].number != after:
                raise _overtaken(subject, after, found)
            entry = _insert(connection, subject, after + 1, kind, says, artifacts)
            fault_points.reached("journal.written")
    except sa.exc.IntegrityError:
        raise _overtaken(subject, after, entries(store, subject)) from None
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


def _entries(connection: sa.Connection, subject: str) -> list[Entry]:
    mine = (
        sa.select(t.execution_property.c.execution_id)
        .join(t.execution, t.execution.c.id == t.execution_property.c.execution_id)
        .join(t.type_, t.type_.c.id == t.execution.c.type_id)
        .where(t.type_.c.name == DECISION_TYPE)
        .where(
            t.execution_property.c.name == _SUBJECT,
            t.execution_property.c.is_custom_property.is_(True),
            t.execution_property.c.string_value == subject,
        )
    )
    moments = {
        r.id: r.create_time_since_epoch
        for r in connection.execute(sa.select(t.execution.c.id, t.execution.c.create_time_since_epoch).where(t.execution.c.id.in_(mine)))
    }
    said: dict[int, dict[str, Any]] = {i: {} for i in moments}
    for row in connection.execute(sa.select(t.execution_property).where(t.execution_property.c.execution_id.in_(list(moments)))):
        said[row.execution_id][row.name] = row.string_value if row.string_value is not None else row.int_value
    found = [
        Entry(subject, int(own.pop(_NUMBER)), str(own.pop(_KIND)), {k: v for k, v in own.items() if k != _SUBJECT}, moments[i], i)
        for i, own in said.items()
    ]
    return sorted(found, key=lambda entry: entry.number)


def _overtaken(subject: str, after: int, found: Sequence[Entry]) -> Overtaken:
    newer = [entry for entry in found if entry.number > after]
    told = "; ".join(f"{entry.number}: {entry.kind} by {entry.says.get('who') or 'nobody named'}" for entry in newer) or "none"
    return Overtaken(f"{subject} was decided on by somebody else meanwhile ({told}); look at it again and decide anew")
