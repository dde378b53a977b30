"""A release -> what it was made from, link by link, down to the landed files, as MLMD records it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from waybill.store import reads
from waybill.store.connection import Store
from waybill.store.reads import ArtifactRow


@dataclasses.dataclass(frozen=True)
class Link:
    """One artifact on the way, and what made it.

    Attributes:
      depth: Steps from the release, which is at 0.
      artifact: The artifact.
      execution: Id of the execution that made it; 0 when MLMD does not know.
      made_by: Name of that execution's type, such as `tfx.components.trainer.component.Trainer`.
    """

    depth: int
    artifact: ArtifactRow
    execution: int
    made_by: str


def trace(store: Store, artifact: ArtifactRow) -> Iterator[Link]:
    """Walks upstream from an artifact, nearest first; every artifact once."""
    seen = {artifact.id}
    todo = [(0, artifact)]
    while todo:
        depth, current = todo.pop(0)
        execution = reads.producer(store, current.id)
        made_by = reads.execution_type(store, execution) if execution else ""
        yield Link(depth, current, execution or 0, made_by)
        for group in reads.inputs(store, execution).values() if execution else ():
            for upstream in group:
                if upstream.id not in seen:
                    seen.add(upstream.id)
                    todo.append((depth + 1, upstream))


def release(store: Store, pipeline: str, version: int) -> ArtifactRow | None:
    """The release of a version, or None."""
    return reads.release(store, pipeline, version)
