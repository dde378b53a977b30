"""What a dead attempt left behind -> closed in MLMD with its cause, its half-written output put aside."""

from __future__ import annotations

import datetime as dt
import os
import pathlib

import sqlalchemy as sa

from waybill.store import tables as t
from waybill.store.connection import Store
from waybill.store.reads import ExecutionRow

CAUSE = "failure_cause"
_FAILED = 4
_OPEN = ("NEW", "RUNNING", "UNKNOWN")


def close_dead(store: Store, found: list[ExecutionRow], cause: str) -> None:
    """Marks executions whose process is gone as FAILED with a cause; TFX leaves them RUNNING for ever.

    Written with SQL so that a process which must stay free of MLMD's own connection, because it forks, can do it.

    Args:
      store: The MLMD database.
      found: Executions of a node whose lease the caller holds.
      cause: What happened to the process.
    """
    dead = [e.id for e in found if e.state in _OPEN]
    if not dead:
        return
    with store.writing() as connection:
        connection.execute(sa.update(t.execution).where(t.execution.c.id.in_(dead)).values(last_known_state=_FAILED))
        for execution_id in dead:
            mine = sa.and_(t.execution_property.c.execution_id == execution_id, t.execution_property.c.name == CAUSE)
            connection.execute(sa.delete(t.execution_property).where(mine))
            connection.execute(
                sa.insert(t.execution_property).values(execution_id=execution_id, name=CAUSE, is_custom_property=True, string_value=cause)
            )


def quarantine(node_folder: pathlib.Path, quarantine_root: pathlib.Path, unit: str) -> pathlib.Path | None:
    """Moves everything an unfinished node wrote out of the way; a retry then starts on clean ground.

    Args:
      node_folder: The node's folder in its unit; it holds this node's output only.
      quarantine_root: Where half-written output is kept for people to look at.
      unit: Unit of work.

    Returns:
      Where the output went, or None when there was none.
    """
    if not node_folder.exists():
        return None
    moment = dt.datetime.now(dt.timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    target = quarantine_root / unit / f"{node_folder.name}-{moment}-{os.getpid()}"
    target.parent.mkdir(parents=True, exist_ok=True)
    node_folder.rename(target)
    return target
