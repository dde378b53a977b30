"""Columns of encoded images -> three columns beside each, with what a decoder makes of it, so that the schema can say how images must be.

{"picture": <PNG of 8 by 8>}    ->    {"picture_format": b"PNG", "picture_width": 8, "picture_height": 8}
{"picture": <half of it>}       ->    {"picture_format": b"undecodable", "picture_width": None, "picture_height": None}

TFDV's own statistics of images know the largest width and height only, and end in an error at the first image that cannot be decoded. As
columns, format and size have distributions, domains, anomalies and drift like any other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence

import pyarrow as pa
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2

UNDECODABLE = "undecodable"
_FORMAT, _WIDTH, _HEIGHT = "_format", "_width", "_height"
_STARTS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"BM": "BMP"}  # what TensorFlow decodes


def columns(schema: schema_pb2.Schema) -> tuple[str, ...]:
    """The columns of images: those with an `image_domain`."""
    return tuple(feature.name for feature in schema.feature if feature.HasField("image_domain"))


def added(names: Collection[str]) -> tuple[str, ...]:
    """The columns that `measured` adds for columns of images."""
    return tuple(name + end for name in names for end in (_FORMAT, _WIDTH, _HEIGHT))


def beside(rows: pa.RecordBatch, cells: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """Typed rows with the added columns at their end; arguments as of `measured`."""
    for name, column in measured(cells, names).items():
        rows = rows.append_column(name, column)
    return rows


def measured(cells: pa.RecordBatch, names: Sequence[str]) -> dict[str, pa.Array]:
    """Decodes every image.

    Args:
      cells: Columns of bytes; an empty cell is a missing image, of which nothing is known.
      names: The columns of images; one that is not there is left out.
    """
    found = {}
    for name in names:
        if name not in cells.schema.names:
            continue
        looks = [_look(image) if image else (None, None, None) for image in cells.column(name).to_pylist()]
        formats, widths, heights = zip(*looks, strict=True) if looks else ((), (), ())
        found[name + _FORMAT] = pa.array(formats, pa.binary())
        found[name + _WIDTH] = pa.array(widths, pa.int64())
        found[name + _HEIGHT] = pa.array(heights, pa.int64())
    return found


def _look(image: bytes) -> tuple[bytes, int | None, int | None]:
    """An image's format, width and height in pixels, after decoding all of it as the model's graph would."""
    kind = next((kind for start, kind in _STARTS.items() if image.startswith(start)), None)
    if kind is not None:
        with contextlib.suppress(tf.errors.OpError):
            height, width = tf.io.decode_image(image, expand_animations=False).shape[:2]
            return kind.encode(), width, height
    return UNDECODABLE.encode(), None, None
