"""A release -> what it was made from, link by link, down to the landed files, as MLMD records it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from waybill.records.interval import Interval, parse_moment
from waybill.store import reads, superseded
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
      superseded_by: Number of the later generation of its interval that has been released; 0 where there is none, or it belongs to no run.
    """

    depth: int
    artifact: ArtifactRow
    execution: int
    made_by: str
    superseded_by: int = 0


def trace(store: Store, artifact: ArtifactRow) -> Iterator[Link]:
    """Walks upstream from an artifact, nearest first; every artifact once."""
    seen = {artifact.id}
    later = _Later(store)
    todo = [(0, artifact)]
    while todo:
        depth, current = todo.pop(0)
        execution = reads.producer(store, current.id)
        made_by = reads.execution_type(store, execution) if execution else ""
        yield Link(depth, current, execution or 0, made_by, later.than(current))
        for group in reads.inputs(store, execution).values() if execution else ():
            for upstream in group:
                if upstream.id not in seen:
                    seen.add(upstream.id)
                    todo.append((depth + 1, upstream))


class _Later:
    """Which generation has taken an artifact's place, looked up once for each run of a chain."""

    def __init__(self, store: Store):
        self._store = store
        self._known: dict[tuple[str, str, int], int] = {}

    def than(self, artifact: ArtifactRow) -> int:
        """The later generation; 0 where there is none, or the artifact is not stamped."""
        said = artifact.properties
        if "interval_start" not in said:
            return 0
        key = (str(said["pipeline"]), str(said["interval_start"]), int(said["generation"]))
        if key not in self._known:
            interval = Interval(parse_moment(key[1]), parse_moment(str(said["interval_end"])))
            self._known[key] = superseded.by(self._store, key[0], interval, key[2])
        return self._known[key]


def release(store: Store, pipeline: str, version: int) -> ArtifactRow | None:
    """The release of a version, or None."""
    return reads.release(store, pipeline, version)
