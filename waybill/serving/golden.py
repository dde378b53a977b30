"""The eval split's files -> the rows that a model is asked about, and the same rows as its `raw` signature takes them."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from waybill.launch.tfrecords import records
from waybill.serving.c_api import Values

# What stands for a missing value in a column of the `raw` signature.
_MISSING: Mapping[str, Any] = {"object": b"", "f": float("nan"), "i": -1}
_HELD = 10_000  # rows in memory to draw from


@dataclasses.dataclass(frozen=True)
class Golden:
    """Rows to ask about, as serialized tf.Examples.

    Attributes:
      requests: Those with the smallest hashes, smallest first: the same for the same rows, whatever files they are in.
      every: All rows, in the files' order; none when there are more than were asked for.
      rows: How many there are.
    """

    requests: tuple[bytes, ...]
    every: tuple[bytes, ...] | None
    rows: int


def draw(files: Iterable[pathlib.Path], count: int, keep: int) -> Golden:
    """Draws requests.

    Args:
      files: Files of TFRecords.
      count: How many requests.
      keep: At how many rows `every` is none.

    Raises:
      DamagedRecords: if a file is damaged.
    """
    smallest: list[tuple[bytes, bytes]] = []
    every: list[bytes] = []
    rows = 0
    for path in files:
        for record in records(path):
            rows += 1
            if rows <= keep:
                every.append(record)
            smallest.append((hashlib.sha256(record).digest(), record))
            if len(smallest) > 2 * max(count, _HELD):
                smallest = heapq.nsmallest(count, smallest)
    chosen = heapq.nsmallest(count, smallest)
    return Golden(tuple(record for _, record in chosen), tuple(every) if rows <= keep else None, rows)


def values_of(example: bytes) -> dict[str, Any]:
    """The first value of each column of a serialized tf.Example; None where it has none."""
    from tensorflow.core.example import example_pb2

    found = {}
    for name, feature in example_pb2.Example.FromString(example).features.feature.items():
        kind = feature.WhichOneof("kind")
        values = getattr(feature, kind).value if kind else ()
        found[name] = values[0] if values else None
    return found


def columns_of(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> dict[str, Values]:
    """Rows of values as `[n, 1]` columns of these types, with the signs for missing values."""
    columns = {}
    for name, kind in types.items():
        dtype = np.dtype(kind)
        missing = _MISSING["f" if dtype.kind == "f" else "object" if dtype.hasobject else "i"]
        cells = [missing if row.get(name) is None else row[name] for row in rows]
        columns[name] = np.array(cells, dtype).reshape(len(rows), 1)
    return columns


def examples_of(examples: Sequence[bytes]) -> Values:
    """Serialized tf.Examples as one `[n]` column of texts."""
    column = np.empty(len(examples), object)
    column[:] = examples
    return column
