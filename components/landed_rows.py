"""A landed partition's files -> batches of cells as they were written, from bytes that are those of the manifest.

60,27.05,,...,red    ->    {"area": b"60", "amount": b"27.05", "shape": b"", ..., "colour": b"red"}
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import pathlib
from collections.abc import Collection, Iterator, Sequence
from typing import IO

import pyarrow as pa
from pyarrow import csv as arrow_csv

from components import landed_parquet
from waybill.launch.manifest import LandedFile, Manifest
from waybill.launch.partitions import changed, check_file, damaged, read_manifest
from waybill.records import digest

SPAN = "span"  # the column that ingestion adds
_BLOCK = 4 << 20  # bytes of text in memory at a time; also the longest row that can be read


@dataclasses.dataclass(frozen=True)
class LandedRows:
    """The rows of one partition.

    Attributes:
      folder: The partition's folder.
      manifest: What it holds.
    """

    folder: pathlib.Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: pathlib.Path, expected: str) -> LandedRows:
        """Opens the partition that a run was frozen with.

        Args:
          folder: Its folder.
          expected: The partition's digest.

        Raises:
          LandingError: if it is not there any more, or is another delivery by now.
        """
        manifest = read_manifest(folder)
        if manifest.digest != expected:
            raise changed(folder, expected, manifest.digest)
        return cls(folder, manifest)

    def batches(self, reserved: Collection[str] = ()) -> Iterator[pa.RecordBatch]:
        """All rows in the order of the files, every column as bytes; an empty cell is empty bytes.

        What was yielded can be trusted once the iterator has ended: the bytes are compared with the manifest as they pass. A Parquet file
        is held in memory whole, because it is read from its end; large deliveries are better many files.

        Args:
          reserved: Names that no column may have.

        Raises:
          CorruptPartition: if a file cannot be read, or its bytes or rows are not those of the manifest.
        """
        for file in self.manifest.files:
            kind = "Parquet" if file.name.endswith(".parquet") else "CSV"
            read, rows = self._parquet if kind == "Parquet" else self._csv, 0
            try:
                for batch in read(file, reserved):
                    rows += batch.num_rows
                    yield batch
            except (pa.ArrowInvalid, landed_parquet.NoCells) as error:
                raise damaged(self.folder, f"{file.name} cannot be read as {kind}: {error}") from error
            except FileNotFoundError as error:
                raise damaged(self.folder, f"{file.name} is missing") from error
            if rows != file.rows:
                raise damaged(self.folder, f"{file.name} has {rows} rows and its manifest says {file.rows}")

    def _parquet(self, file: LandedFile, reserved: Collection[str]) -> Iterator[pa.RecordBatch]:
        content = (self.folder / file.name).read_bytes()
        check_file(self.folder, file.name, file.digest, digest.of_bytes(content))
        self._check(file.name, landed_parquet.names(content), reserved)
        yield from landed_parquet.batches(content)

    def _csv(self, file: LandedFile, reserved: Collection[str]) -> Iterator[pa.RecordBatch]:
        try:
            columns = csv_columns(self.folder / file.name)
        except (UnicodeEncodeError, csv.Error) as error:
            raise damaged(self.folder, f"the header of {file.name} cannot be read: {error}") from error
        self._check(file.name, columns, reserved)
        with _HashedReader(self.folder / file.name) as reader:
            yield from csv_batches(reader, columns)
            check_file(self.folder, file.name, file.digest, reader.rest())

    def _check(self, name: str, columns: list[str], reserved: Collection[str]) -> None:
        if len(set(columns)) != len(columns) or "" in columns or set(reserved) & set(columns):
            never = " and ".join(["none unnamed", *(f"none {word!r}" for word in reserved)])
            raise damaged(self.folder, f"{name} has the columns {', '.join(columns)}; expected each once, {never}")


def csv_columns(path: pathlib.Path) -> list[str]:
    """The names of a CSV file's columns; only they must be UTF-8, what is below them is validation's concern.

    Raises:
      UnicodeEncodeError: if they are not.
      csv.Error: if there is no reading the first line.
    """
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
        columns = next(csv.reader(handle), [])
    for column in columns:
        column.encode()
    return columns


def csv_batches(handle: IO[bytes] | io.RawIOBase, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows below the header, every column as bytes.

    Raises:
      pyarrow.ArrowInvalid: if a row has other columns than the header.
    """
    # Bytes, because text is decoded only where the schema asks for a number; no value is taken for a null.
    convert = arrow_csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.binary()), strings_can_be_null=False)
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    yield from arrow_csv.open_csv(
        handle, read_options=arrow_csv.ReadOptions(block_size=_BLOCK), parse_options=parse, convert_options=convert
    )


class _HashedReader(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, path: pathlib.Path):
        self._handle = path.open("rb", buffering=0)
        self._sha = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._handle.readinto(buffer)
        self._sha.update(memoryview(buffer)[:count])
        return count

    def rest(self) -> str:
        """Reads what is left and returns the digest of the whole file."""
        while self.read(_BLOCK):
            pass
        return digest.PREFIX + self._sha.hexdigest()

    def close(self) -> None:
        self._handle.close()
        super().close()
