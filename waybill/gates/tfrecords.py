"""A folder of TFRecord files -> the number of records in it."""

from __future__ import annotations

import pathlib

from waybill.gates.errors import EvidenceError
from waybill.launch.errors import DamagedRecords
from waybill.launch.tfrecords import records


def count(folder: pathlib.Path) -> int:
    """The number of records in all files of a folder, read one by one, without starting TensorFlow.

    Raises:
      EvidenceError: if the folder is missing, or a file is cut off, damaged or no TFRecord file.
    """
    if not folder.is_dir():
        raise EvidenceError(f"there is no folder {str(folder)!r} with records; run the node that makes it again")
    try:
        return sum(1 for path in sorted(folder.iterdir()) if path.is_file() for _ in records(path))
    except (DamagedRecords, OSError) as error:
        raise EvidenceError(f"cannot count the records in {str(folder)!r}: {error}; make them again") from error
