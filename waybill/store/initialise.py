"""An empty database -> MLMD's tables, all types and our own table, made once however many processes ask."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from waybill.store import tables
from waybill.store.connection import Store

_ADVISORY_LOCK = 0x57415942  # "WAYB"


@dataclasses.dataclass(frozen=True)
class Types:
    """What has to be known to MLMD before two nodes register it at once, as `ml_metadata` protos."""

    artifacts: Sequence[Any]
    executions: Sequence[Any]
    contexts: Sequence[Any]


def initialise(store: Store, types: Types) -> None:
    """Makes what is missing; safe to run again, and from many processes at once.

    MLMD makes its tables when a store is first opened, and fails when several clients do so at once; it also registers a type twice
    when two first uses race on PostgreSQL. Hence one lock around all of it.
    """
    from ml_metadata.metadata_store import metadata_store

    with _one_at_a_time(store):
        mlmd = metadata_store.MetadataStore(store.mlmd_config(create=True), enable_upgrade_migration=True)
        _widen_integers(store)
        for artifact in types.artifacts:
            mlmd.put_artifact_type(artifact, can_add_fields=True, can_omit_fields=True)
        for execution in types.executions:
            mlmd.put_execution_type(execution, can_add_fields=True, can_omit_fields=True)
        for context in types.contexts:
            mlmd.put_context_type(context, can_add_fields=True, can_omit_fields=True)
        tables.ours.create_all(store.engine())


def _widen_integers(store: Store) -> None:
    """Gives integer properties 64 bits on PostgreSQL, where MLMD gives them 32: too few for a span such as 201301010000.

    MLMD's own interface promises 64 bits, and SQLite keeps them.
    """
    if store.kind != "postgresql":
        return
    narrow = sa.text(
        "SELECT table_name FROM information_schema.columns "
        "WHERE column_name = 'int_value' AND data_type = 'integer' AND table_schema = current_schema()"
    )
    with store.writing() as connection:
        for name in connection.execute(narrow).scalars().all():
            quoted = connection.dialect.identifier_preparer.quote(name)
            connection.execute(sa.text(f"ALTER TABLE {quoted} ALTER COLUMN int_value TYPE BIGINT"))


@contextlib.contextmanager
def _one_at_a_time(store: Store) -> Iterator[None]:
    if store.file is not None:
        store.file.parent.mkdir(parents=True, exist_ok=True)
        with store.file.with_name(store.file.name + ".init-lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        return
    with store.engine().connect() as connection:
        connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        try:
            yield
        finally:
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
