"""The real handwritten digits that scikit-learn carries -> one delivered partition per month, as PNG files in Parquet.

The eleventh of them, a nought, is a row of `2013-09-01/data.parquet`: a PNG of 8 by 8, and a 0.

Nobody noted on which day each was written. They are dealt to six months, about 300 to each, in the order in which they are listed.
"""

from __future__ import annotations

import datetime as dt
import io
import itertools
import pathlib
import struct
import zlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from waybill.launch.landing import LandingArea, NotLanded, deliver
from waybill.records.interval import UTC, Interval

PIPELINE = "digits"
FILE = "data.parquet"
MONTHS = tuple(dt.datetime(2013 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(8, 15))  # six, and the end of the last
_INK = 16  # the darkest
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def land(landing: pathlib.Path) -> list[tuple[Interval, int]]:
    """Delivers every month; those that are there already with the same rows stay as they are.

    Args:
      landing: The landing area.

    Returns:
      Each month and its number of rows, oldest first.

    Raises:
      LandingError: if a month is there with other rows, or damaged.
    """
    return [(interval, _landed(landing, interval, rows)) for interval, rows in months()]


def months() -> Iterator[tuple[Interval, pa.Table]]:
    """Each month's rows, oldest first: `drawing`, a PNG file, and `digit`, what it shows."""
    # Here, because it takes two seconds, and nothing but this needs it.
    from sklearn.datasets import load_digits

    found = load_digits()
    intervals = [Interval(start, end) for start, end in itertools.pairwise(MONTHS)]
    bounds = [len(found.target) * number // len(intervals) for number in range(len(intervals) + 1)]
    for number, interval in enumerate(intervals):
        part = slice(bounds[number], bounds[number + 1])
        drawings = [png([[grey(ink) for ink in line] for line in image]) for image in found.images[part]]
        yield interval, table(drawings, found.target[part].tolist())


def table(drawings: Sequence[bytes], digits: Sequence[int]) -> pa.Table:
    """A month's rows."""
    return pa.table({"drawing": pa.array(drawings, pa.binary()), "digit": pa.array(digits, pa.int64())})


def parquet(rows: pa.Table) -> bytes:
    """Rows as the bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(rows, buffer)
    return buffer.getvalue()


def grey(ink: float) -> int:
    """How dark the ink is, 0 to 16 -> a shade from white, 255, to black."""
    return 255 - round(255 * ink / _INK)


def png(lines: Sequence[Sequence[int]]) -> bytes:
    """Shades of grey, line by line -> a PNG file.

    Nothing is packed, so the same shades are the same bytes whatever packs; a PNG of that size would not become smaller. Source of the
    format: https://www.w3.org/TR/png-3/
    """
    header = struct.pack(">IIBBBBB", len(lines[0]), len(lines), 8, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(line) for line in lines), 0)
    return _SIGNATURE + b"".join(_chunk(kind, body) for kind, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _landed(landing: pathlib.Path, interval: Interval, rows: pa.Table) -> int:
    """Delivers a month and returns its number of rows."""
    try:
        there = LandingArea(landing, PIPELINE).partition(interval)
    except NotLanded:
        there = None
    # Another version of Parquet's library writes other bytes for the same rows.
    if there and pathlib.Path(there.path, FILE).is_file() and pq.read_table(pathlib.Path(there.path, FILE)).equals(rows):
        return there.rows
    return deliver(landing, PIPELINE, interval, {FILE: parquet(rows)}, rows.num_rows).rows
