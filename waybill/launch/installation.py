"""What the launcher knows of the installation -> at hand for the executor that it runs, and for nobody else.

TFX gives an executor its artifacts and its execution properties, and records both in MLMD. The store's URL holds a password, and what a
person decides may change between the moment a run was frozen and the moment a gate is run; so neither is an execution property. The
launcher enters the installation around the launch, in the node's own process. Under another runner there is none.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
from collections.abc import Iterator

from waybill.records.graph import Graph
from waybill.records.run_spec import RunSpec
from waybill.records.settings import Settings
from waybill.store.connection import Store


@dataclasses.dataclass(frozen=True)
class Installation:
    """What surrounds the node that is being run.

    Attributes:
      store: The MLMD database.
      settings: Where things are.
      lineage: The run's spec, then the specs it was derived from, newest first.
      graph: The pipeline's graph.
    """

    store: Store
    settings: Settings
    lineage: tuple[RunSpec, ...]
    graph: Graph


_current: contextvars.ContextVar[Installation | None] = contextvars.ContextVar("installation", default=None)


@contextlib.contextmanager
def entered(installation: Installation) -> Iterator[None]:
    """Makes the installation the current one of this thread, as long as the block runs."""
    token = _current.set(installation)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Installation | None:
    """The installation whose launcher runs this code; None under another runner, such as TFX's LocalDagRunner."""
    return _current.get()
