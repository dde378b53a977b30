"""A run spec, a node and a position in the window -> the unit of work its execution belongs to.

A unit is one MLMD `pipeline_run`. What depends only on the schema, or only on one partition, is a unit named for that content, so
that it is made once and found again by whatever run needs it; everything else belongs to the run.
"""

from __future__ import annotations

import dataclasses
import pathlib

from waybill.records.errors import RecordError
from waybill.records.graph import Node
from waybill.records.interval import Interval
from waybill.records.places import Places
from waybill.records.run_spec import Partition, RunSpec
from waybill.records.settings import Settings


@dataclasses.dataclass(frozen=True)
class Unit:
    """One unit of work.

    Attributes:
      name: MLMD name of its pipeline run.
      partition: The span that its IR is compiled for; the run's own partition unless the unit is a span's.
      interval: What its artifacts are stamped with.
      shared: Whether other runs may find its work done.
    """

    name: str
    partition: Partition
    interval: Interval
    shared: bool

    def places(self, settings: Settings, pipeline: str, schema: pathlib.Path) -> Places:
        """Where the unit's nodes read and write."""
        return Places(
            root=str(settings.artifacts / pipeline / self.name),
            schema_file=str(schema),
            scratch=str(settings.scratch / pipeline / self.name),
            releases=str(settings.releases / pipeline),
        )


def of(spec: RunSpec, node: Node, index: int | None) -> Unit:
    """The unit that a node's execution belongs to.

    Args:
      spec: The run.
      node: The node.
      index: Position in the window, for a node mapped over it; None for all others.

    Raises:
      RecordError: if a mapped node comes without a position in the window, or another node with one.
    """
    own = spec.window[-1]
    if (node.scope == "span") != (index is not None):
        expected = f"a position in the window, 0 to {len(spec.window) - 1}" if node.scope == "span" else "no position in the window"
        raise RecordError(f"node {node.id} was given index {index}; expected {expected}")
    if index is not None:
        return of_span(spec, index)
    if node.scope == "shared":
        return Unit(f"{spec.pipeline}.schema.{spec.shared_key()}", own, spec.interval, shared=True)
    return Unit(spec.run, own, spec.interval, shared=False)


def of_span(spec: RunSpec, index: int) -> Unit:
    """The unit of the window's partition at `index`.

    Raises:
      RecordError: if the window has no such position.
    """
    if not 0 <= index < len(spec.window):
        raise RecordError(f"index {index} is outside the window of run {spec.run}, which has {len(spec.window)} spans")
    partition = spec.window[index]
    name = f"{spec.pipeline}.span.{partition.interval.span}.{spec.shared_key(partition.digest)}"
    return Unit(name, partition, partition.interval, shared=True)
