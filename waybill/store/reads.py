"""A unit of work and a node -> its executions and artifacts, by indexed reads that do not grow with history."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from waybill.store import tables as t
from waybill.store.connection import Store

STATES = {0: "UNKNOWN", 1: "NEW", 2: "RUNNING", 3: "COMPLETE", 4: "FAILED", 5: "CACHED", 6: "CANCELED"}
SUCCESSFUL = ("COMPLETE", "CACHED")
_INPUT, _OUTPUT, _INTERNAL_OUTPUT = 3, 4, 6
_BATCH = 5_000


@dataclasses.dataclass(frozen=True)
class ExecutionRow:
    """One execution as MLMD records it.

    Attributes:
      id: MLMD id.
      type: Name of the execution type.
      state: Name of the last known state, such as `COMPLETE`.
      properties: Properties and custom properties by name.
    """

    id: int
    type: str
    state: str
    properties: Mapping[str, Any]

    @property
    def successful(self) -> bool:
        """Whether its outputs may be used."""
        return self.state in SUCCESSFUL


@dataclasses.dataclass(frozen=True)
class ArtifactRow:
    """One artifact as MLMD records it.

    Attributes:
      id: MLMD id.
      type: Name of the artifact type.
      uri: Folder of its content.
      properties: Properties and custom properties by name, the stamps among them.
    """

    id: int
    type: str
    uri: str
    properties: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The content digest it was stamped with; empty when it has none."""
        return str(self.properties.get("digest", ""))


def node_context(pipeline: str, node: str) -> str:
    """The name TFX gives a node's context."""
    return f"{pipeline}.{node}"


def executions(store: Store, pipeline: str, unit: str, node: str) -> list[ExecutionRow]:
    """All executions of a node in a unit of work, oldest first."""
    # A run has dozens of executions and a node as many as there were runs: the node's are only ever looked up among the run's.
    of_run, of_node = t.association.alias(), t.association.alias()
    is_of_node = sa.exists().where(
        of_node.c.execution_id == t.execution.c.id, of_node.c.context_id == _context_id("node", node_context(pipeline, node))
    )
    in_run = sa.select(of_run.c.execution_id).where(of_run.c.context_id == _context_id("pipeline_run", unit))
    query = (
        sa.select(t.execution.c.id, t.type_.c.name, t.execution.c.last_known_state)
        .join(t.type_, t.type_.c.id == t.execution.c.type_id)
        .where(t.execution.c.id.in_(in_run), is_of_node)
        .order_by(t.execution.c.id)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
        properties = _properties(connection, t.execution_property, [r.id for r in rows])
    return [ExecutionRow(r.id, r.name, STATES[r.last_known_state or 0], properties[r.id]) for r in rows]


def open_executions(store: Store, pipeline: str) -> list[tuple[ExecutionRow, str, str]]:
    """Executions of a pipeline that MLMD has as NEW or RUNNING, each with its unit of work and its node, oldest first."""
    of_unit, of_node, unit, node, unit_type, node_type = (
        t.association.alias(), t.association.alias(), t.context.alias(), t.context.alias(), t.type_.alias(), t.type_.alias(),
    )  # fmt: skip
    query = (
        sa.select(t.execution.c.id, t.type_.c.name, t.execution.c.last_known_state, unit.c.name.label("unit"), node.c.name.label("node"))
        .join(t.type_, t.type_.c.id == t.execution.c.type_id)
        .join(of_unit, of_unit.c.execution_id == t.execution.c.id)
        .join(unit, unit.c.id == of_unit.c.context_id)
        .join(unit_type, sa.and_(unit_type.c.id == unit.c.type_id, unit_type.c.name == "pipeline_run"))
        .join(of_node, of_node.c.execution_id == t.execution.c.id)
        .join(node, node.c.id == of_node.c.context_id)
        .join(node_type, sa.and_(node_type.c.id == node.c.type_id, node_type.c.name == "node"))
        .where(t.execution.c.last_known_state.in_([1, 2]), node.c.name.startswith(node_context(pipeline, ""), autoescape=True))
        .order_by(t.execution.c.id)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    prefix = node_context(pipeline, "")
    return [(ExecutionRow(r.id, r.name, STATES[r.last_known_state], {}), r.unit, r.node.removeprefix(prefix)) for r in rows]


def units(store: Store) -> set[str]:
    """Names of all units of work on record."""
    query = sa.select(t.context.c.name).join(t.type_, t.type_.c.id == t.context.c.type_id).where(t.type_.c.name == "pipeline_run")
    with store.reading() as connection:
        return set(connection.execute(query).scalars())


def successful_execution(store: Store, pipeline: str, unit: str, node: str) -> ExecutionRow | None:
    """The execution whose outputs count for a node in a unit, or None."""
    found = [e for e in executions(store, pipeline, unit, node) if e.successful]
    return found[-1] if found else None


def outputs(store: Store, execution_id: int) -> dict[str, list[ArtifactRow]]:
    """An execution's output artifacts by key, in order; those a Resolver chose count as its outputs."""
    return _artifacts(store, execution_id, (_OUTPUT, _INTERNAL_OUTPUT))


def inputs(store: Store, execution_id: int) -> dict[str, list[ArtifactRow]]:
    """An execution's input artifacts by key, in order."""
    return _artifacts(store, execution_id, (_INPUT,))


def artifacts_by_id(store: Store, ids: Sequence[int]) -> dict[int, ArtifactRow]:
    """Artifacts by MLMD id."""
    query = sa.select(t.artifact.c.id, t.type_.c.name, t.artifact.c.uri).join(t.type_, t.type_.c.id == t.artifact.c.type_id)
    found: dict[int, ArtifactRow] = {}
    with store.reading() as connection:
        for some in _batches(ids):
            rows = connection.execute(query.where(t.artifact.c.id.in_(some))).all()
            properties = _properties(connection, t.artifact_property, some)
            found |= {r.id: ArtifactRow(r.id, r.name, r.uri or "", properties[r.id]) for r in rows}
    return found


def producer(store: Store, artifact_id: int) -> int | None:
    """The execution that made an artifact: its OUTPUT event of an execution that is not CACHED."""
    query = (
        sa.select(t.event.c.execution_id)
        .join(t.execution, t.execution.c.id == t.event.c.execution_id)
        .where(t.event.c.artifact_id == artifact_id, t.event.c.type == _OUTPUT)
        .where(t.execution.c.last_known_state != 5)
    )
    with store.reading() as connection:
        return connection.execute(query).scalar()


def execution_type(store: Store, execution_id: int) -> str:
    """Name of an execution's type."""
    query = sa.select(t.type_.c.name).join(t.execution, t.execution.c.type_id == t.type_.c.id).where(t.execution.c.id == execution_id)
    with store.reading() as connection:
        return str(connection.execute(query).scalar_one())


def context_properties(store: Store, type_name: str, name: str) -> dict[str, Any]:
    """The properties of a context; empty when there is no such context."""
    with store.reading() as connection:
        context_id = connection.execute(sa.select(_context_id(type_name, name))).scalar()
        return dict(_properties(connection, t.context_property, [context_id])[context_id]) if context_id else {}


def releases(store: Store, pipeline: str, *, upto: str = "", limit: int) -> list[ArtifactRow]:
    """A pipeline's releases by their version numbers, the highest first, however they were made.

    Args:
      store: The MLMD database.
      pipeline: Whose releases.
      upto: The highest version that counts; empty for no bound. All have the same length, so that text compares as numbers do.
      limit: How many at most; what lies deeper in history is not read.
    """
    version, owner = t.artifact_property.alias(), t.artifact_property.alias()
    query = (
        sa.select(version.c.artifact_id)
        .join(owner, owner.c.artifact_id == version.c.artifact_id)
        .where(version.c.name == "pushed_version", version.c.is_custom_property.is_(True), version.c.string_value.is_not(None))
        .where(owner.c.name == "pipeline", owner.c.is_custom_property.is_(True), owner.c.string_value == pipeline)
        .order_by(version.c.string_value.desc(), version.c.artifact_id.desc())
        .limit(limit)
    )
    if upto:
        query = query.where(version.c.string_value <= upto)
    with store.reading() as connection:
        ids = list(connection.execute(query).scalars())
    found = artifacts_by_id(store, ids)
    return [found[i] for i in ids]


def release(store: Store, pipeline: str, version: int) -> ArtifactRow | None:
    """The release of a version, or None."""
    found = releases(store, pipeline, upto=str(version), limit=1)
    return found[0] if found and found[0].properties["pushed_version"] == str(version) else None


def _context_id(type_name: str, name: str) -> sa.ScalarSelect[Any]:
    return (
        sa.select(t.context.c.id)
        .join(t.type_, t.type_.c.id == t.context.c.type_id)
        .where(t.type_.c.name == type_name, t.context.c.name == name)
        .scalar_subquery()
    )


def _artifacts(store: Store, execution_id: int, kinds: tuple[int, ...]) -> dict[str, list[ArtifactRow]]:
    key, index = t.event_path.alias(), t.event_path.alias()
    query = (
        sa.select(t.event.c.artifact_id, key.c.step_key, index.c.step_index)
        .join(key, sa.and_(key.c.event_id == t.event.c.id, sa.not_(key.c.is_index_step)))
        .join(index, sa.and_(index.c.event_id == t.event.c.id, index.c.is_index_step))
        .where(t.event.c.execution_id == execution_id, t.event.c.type.in_(kinds))
        .order_by(key.c.step_key, index.c.step_index)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
    found = artifacts_by_id(store, [r.artifact_id for r in rows])
    by_key: dict[str, list[ArtifactRow]] = defaultdict(list)
    for row in rows:
        by_key[row.step_key].append(found[row.artifact_id])
    return dict(by_key)


def _properties(connection: sa.Connection, table: sa.Table, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    owner = next(iter(table.c))
    values: dict[int, dict[str, Any]] = defaultdict(dict)
    for some in _batches(ids):
        for row in connection.execute(sa.select(table).where(owner.in_(some))):
            present = [v for v in (row.string_value, row.int_value, row.double_value, row.bool_value) if v is not None]
            if present:
                values[row[0]][row.name] = present[0]
    return values


def _batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Ids, few enough at a time to be the variables of one statement: SQLite allows 32,766 and PostgreSQL 65,535."""
    for first in range(0, len(ids), _BATCH):
        yield ids[first : first + _BATCH]
