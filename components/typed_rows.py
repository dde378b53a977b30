"""Cells as they were written -> columns of the schema's types, each row's split, and tf.Examples.

{"amount": b"12.6", "colour": b"", "seconds": b"1380"}    ->    {"amount": [12.6], "colour": None, "seconds": [1380]}
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow.core.example import example_pb2
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.coders import example_coder

_ARROW_TYPES = {schema_pb2.INT: pa.int64(), schema_pb2.FLOAT: pa.float32()}  # what a tf.Example can hold; all else is bytes
_SEPARATOR = b"\x1f"


class UnreadableCells(Exception):
    """Columns with a cell that is not of the schema's type.

    Attributes:
      columns: What is wrong, by column.
    """

    def __init__(self, columns: Mapping[str, str]):
        super().__init__("; ".join(f"{name}: {why}" for name, why in columns.items()))
        self.columns = dict(columns)


def typed(batch: pa.RecordBatch, schema: schema_pb2.Schema, as_bytes: Collection[str]) -> pa.RecordBatch:
    """Reads each column's cells as the schema's type; an empty cell is a missing value, and NaN stays NaN.

    Args:
      batch: Columns of bytes.
      schema: The curated schema; a column it does not know stays bytes.
      as_bytes: Columns that stay bytes whatever the schema says.

    Raises:
      UnreadableCells: naming every column of the batch that cannot be read as its type.
    """
    types = {f.name: _ARROW_TYPES[f.type] for f in schema.feature if f.type in _ARROW_TYPES and f.name not in as_bytes}
    columns, unreadable = {}, {}
    for name, cells in zip(batch.schema.names, batch.columns, strict=True):
        present = pc.if_else(pc.equal(pc.binary_length(cells), 0), pa.scalar(None, cells.type), cells)
        try:
            columns[name] = present.cast(pa.string()).cast(types[name]) if name in types else present
        except pa.ArrowInvalid as error:
            unreadable[name] = str(error)
    if unreadable:
        raise UnreadableCells(unreadable)
    return pa.RecordBatch.from_pydict(columns)


def buckets(batch: pa.RecordBatch, columns: Sequence[str], count: int) -> np.ndarray:
    """Each row's bucket, from 0 to `count` - 1, by a hash of its cells as they were written.

    The bucket depends on the row's own text alone: not on the order of columns, on other rows, on columns that are not named, or on how a
    later version of a library reads a number. Equal rows are in one bucket.

    Args:
      batch: Columns of bytes.
      columns: Names of the columns that make up a row; one that is not there counts as empty.
      count: Number of buckets.
    """
    empty = pa.array([b""] * batch.num_rows, pa.binary())
    cells = [batch.column(name) if name in batch.schema.names else empty for name in sorted(columns)]
    lengths = [pc.binary_length(column).cast(pa.string()).cast(pa.binary()) for column in cells]
    texts = pc.binary_join_element_wise(*lengths, *cells, _SEPARATOR)
    hashes = (hashlib.sha256(text).digest() for text in texts.to_pylist())
    return np.fromiter((int.from_bytes(value[:8], "big") % count for value in hashes), np.int64, batch.num_rows)


class Encoder:
    """Typed columns -> serialized tf.Examples, the same bytes for the same row in every process."""

    def __init__(self) -> None:
        self._encoder = example_coder.RecordBatchToExamplesEncoder()

    def encode(self, batch: pa.RecordBatch) -> list[bytes]:
        """The batch's rows in order; a missing value is a feature without a list."""
        # The encoder writes a row's features in the order of a hash map with a random seed; protobuf can sort them.
        parse = example_pb2.Example.FromString
        return [parse(text).SerializeToString(deterministic=True) for text in self._encoder.encode(lists(batch))]


def lists(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Columns of values -> columns of lists, as TFX's libraries read rows."""
    return pa.RecordBatch.from_arrays([column_of_lists(column) for column in batch.columns], batch.schema.names)


def column_of_lists(column: pa.Array) -> pa.Array:
    """A column of values -> one of lists with one value each; null stays null."""
    missing = np.asarray(pc.is_null(column))
    offsets = np.concatenate([[0], np.cumsum(~missing)])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), column.drop_null(), mask=pa.array(missing))
