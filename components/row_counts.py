"""The custom properties of an Examples artifact -> how many rows landed, and how many of them ingestion wrote into each split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tfx import types

_PREFIX = "rows_"
_SOURCE = "source"


@dataclasses.dataclass(frozen=True)
class RowCounts:
    """What ingestion counted.

    Attributes:
      source: Rows in the landed partition, or None when ingestion did not say.
      written: Rows that it wrote, by split; empty when it did not say.
    """

    source: int | None
    written: Mapping[str, int]

    @classmethod
    def of(cls, examples: types.Artifact) -> RowCounts:
        """Reads what ingestion noted on its examples."""
        properties = examples.mlmd_artifact.custom_properties
        noted = {key.removeprefix(_PREFIX): value.int_value for key, value in properties.items() if key.startswith(_PREFIX)}
        return cls(noted.pop(_SOURCE, None), noted)
