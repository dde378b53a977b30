"""A table that was looked at and measured -> everything that a new pipeline's files follow from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from tensorflow_metadata.proto.v0 import schema_pb2

from waybill.scaffold.cells import Part
from waybill.scaffold.columns import Column, literal
from waybill.scaffold.label import Classes
from waybill.scaffold.limits import Limits
from waybill.scaffold.measured import Measured

LINE = 120  # characters of a tuple that stays on one line


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that a new pipeline's files follow from.

    Attributes:
      name: The pipeline's name.
      schedule: Cron expression of its intervals.
      parts: The partitions, oldest first.
      columns: What each column holds, the label's among them.
      label: What is to be told apart.
      schema: The schema.
      found: What was measured.
      limits: What is derived from it.
    """

    name: str
    schedule: str
    parts: Sequence[Part]
    columns: Sequence[Column]
    label: Classes
    schema: schema_pb2.Schema
    found: Measured
    limits: Limits

    @property
    def start(self) -> str:
        """Start of the first interval."""
        return self.parts[0].delivered.label


def lines(entries: Iterable[str]) -> str:
    """Entries of a tuple, one in each line."""
    text = "".join(f"\n    {entry}" for entry in entries)
    return f"{text}\n" if text else ""


def inline(names: Sequence[str]) -> str:
    """Texts in a tuple, on one line if they fit."""
    text = ", ".join(map(literal, names)) + ("," if len(names) == 1 else "")
    return text if len(text) <= LINE else lines(f"{literal(name)}," for name in names)
