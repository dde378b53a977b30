"""A file of TFRecords, plain or gzipped -> its records, without a TensorFlow op.

A process in which TensorFlow has run an op cannot be forked any more, and one that tries a model is.
"""

from __future__ import annotations

import gzip
import pathlib
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from waybill.launch.errors import DamagedRecords

_HEAD, _FOOT = struct.Struct("<QI"), struct.Struct("<I")
_GZIP = b"\x1f\x8b"
_MASK = 0xA282EAD8  # added to a rotated checksum; the format is described in TensorFlow's `record_writer.h`
_LARGEST = 1 << 30


def records(path: pathlib.Path) -> Iterator[bytes]:
    """The records of a file, in order, their checksums compared.

    Raises:
      DamagedRecords: if the file is cut off, is no such file, or a checksum does not match.
      OSError: if it cannot be read.
    """
    with path.open("rb") as handle:
        packed = handle.read(2) == _GZIP
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as stream:
            yield from _records(stream, path)  # type: ignore[arg-type]
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedRecords(f"{str(path)!r} is not gzip to its end: {error}") from error


def _records(stream: BinaryIO, path: pathlib.Path) -> Iterator[bytes]:
    while head := stream.read(_HEAD.size):
        if len(head) < _HEAD.size or _masked(head[:8]) != _HEAD.unpack(head)[1] or (size := _HEAD.unpack(head)[0]) > _LARGEST:
            raise DamagedRecords(f"{str(path)!r} holds something else than TFRecords, or is cut off")
        record, foot = stream.read(size), stream.read(_FOOT.size)
        if len(record) < size or len(foot) < _FOOT.size or _masked(record) != _FOOT.unpack(foot)[0]:
            raise DamagedRecords(f"a record in {str(path)!r} is cut off, or its checksum does not match")
        yield record


def _masked(data: bytes) -> int:
    checksum = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF
