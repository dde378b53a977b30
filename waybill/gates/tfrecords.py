"""Gzipped TFRecord files -> the number of records in them.

A record is its length in 8 bytes, little-endian, 4 bytes of checksum of it, the data, 4 bytes of checksum of them. Source:
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details
"""

from __future__ import annotations

import gzip
import pathlib
import struct
import zlib

from waybill.gates.errors import EvidenceError

_HEAD, _FOOT = 12, 4
_BLOCK = 1 << 20  # bytes in memory at a time


def count(folder: pathlib.Path) -> int:
    """The number of records in all files of a folder, read as a stream and in plain Python, without starting TensorFlow.

    The records' own checksums are not looked at: gzip has one over all of them.

    Raises:
      EvidenceError: if the folder is missing, or a file is cut off, damaged or no gzipped TFRecord file.
    """
    if not folder.is_dir():
        raise EvidenceError(f"there is no folder {str(folder)!r} with records; run the node that makes it again")
    return sum(_records(path) for path in sorted(folder.iterdir()) if path.is_file())


def _records(path: pathlib.Path) -> int:
    number = 0
    try:
        with gzip.open(path, "rb") as handle:
            while head := handle.read(_HEAD):
                if len(head) < _HEAD:
                    raise EOFError(f"{len(head)} bytes where a record's {_HEAD} bytes of head should be")
                _skip(handle, struct.unpack("<Q", head[:8])[0] + _FOOT)
                number += 1
    except (OSError, EOFError, zlib.error) as error:
        raise EvidenceError(f"cannot count the records of {str(path)!r} after {number} of them: {error}; make them again") from error
    return number


def _skip(handle: gzip.GzipFile, size: int) -> None:
    """Reads on, and raises EOFError where the file ends before."""
    while size:
        block = handle.read(min(size, _BLOCK))
        if not block:
            raise EOFError(f"the file ends {size} bytes before its last record does")
        size -= len(block)
