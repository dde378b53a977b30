"""The bytes of a Parquet file -> batches of cells as text, as a CSV file with the same rows would hold them.

{"amount": 12.6, "picture": <PNG>, "colour": null}    ->    {"amount": b"12.6", "picture": <PNG>, "colour": b""}

What a column means is the schema's to say, not the file's. So both formats go the same way from here: typed by the schema, the same row in
the same split.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_ROWS = 10_000  # in a batch; some of what is landed are pictures


class NoCells(Exception):
    """A column holds what is no number, text or bytes."""


def names(content: bytes) -> list[str]:
    """The names of the columns, as often as they occur.

    Raises:
      pyarrow.ArrowInvalid: if this is no Parquet file.
    """
    found: list[str] = _open(content).schema_arrow.names
    return found


def batches(content: bytes) -> Iterator[pa.RecordBatch]:
    """All rows in the file's order, every column as bytes; a null is empty bytes.

    Raises:
      NoCells: if a column holds lists or records.
      pyarrow.ArrowInvalid: if this is no Parquet file.
    """
    for batch in _open(content).iter_batches(batch_size=_ROWS):
        cells = [_cells(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
        yield pa.RecordBatch.from_arrays(cells, batch.schema.names)


def _open(content: bytes) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(pa.BufferReader(content))
    except OSError as error:  # what Arrow raises for some kinds of damage
        raise pa.ArrowInvalid(str(error)) from error


def _cells(name: str, column: pa.Array) -> pa.Array:
    """A column as bytes. A number is the shortest text that reads as the same number."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_nested(kind):
        raise NoCells(f"column {name} holds {kind}; expected numbers, text or bytes, one in each row")
    text = column if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else column.cast(pa.string())
    return pc.fill_null(text.cast(pa.binary()), b"")
