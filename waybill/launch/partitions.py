"""A folder of delivered files -> a partition whose every byte is vouched for.

    landing/orders/2013-07-01/data.csv
    landing/orders/2013-07-01/manifest.json
        {"interval": {...}, "files": [{"name": "data.csv", "digest": "sha256:...", "rows": 1126}], "rows": 1126}

A partition that is not there yet, one that is there without data, and one whose bytes are not what was delivered are three outcomes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator

from waybill.launch.manifest import MANIFEST, Manifest
from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.records.interval import Interval
from waybill.records.run_spec import Partition


class LandingError(Exception):
    """A partition cannot be used; the message says why and what to do.

    Attributes:
      folder: The partition's folder.
    """

    def __init__(self, folder: pathlib.Path, message: str):
        super().__init__(message)
        self.folder = folder


class NotLanded(LandingError):
    """The partition's folder is not there yet."""


class EmptyPartition(LandingError):
    """The partition's folder is there, and no data in it."""


class CorruptPartition(LandingError):
    """The partition's folder does not hold what its manifest, or the run spec, says."""


_SAMPLES = ".serving"


def samples_of(pipeline: str) -> str:
    """Under which name samples of what a pipeline's model is asked are delivered, beside its partitions: `orders.serving`."""
    return pipeline + _SAMPLES


@dataclasses.dataclass(frozen=True)
class LandingArea:
    """Where a pipeline's partitions are delivered.

    Attributes:
      root: Folder of all pipelines' partitions.
      pipeline: Name of the pipeline.
    """

    root: pathlib.Path
    pipeline: str

    def folder(self, interval: Interval) -> pathlib.Path:
        """Where the interval's partition is or will be; a time that is not midnight is written `2013-07-01T06-30`."""
        return self.root.absolute() / self.pipeline / interval.label.replace(":", "-")

    def partition(self, interval: Interval) -> Partition:
        """The interval's partition, after reading every byte of it.

        Raises:
          NotLanded: if its folder is not there.
          EmptyPartition: if the folder holds no manifest, no file or no row.
          CorruptPartition: if what it holds is not what the manifest says.
        """
        folder = self.folder(interval)
        while True:
            with _held(folder) as is_still_there:
                try:
                    return _read(folder, interval)
                except LandingError:
                    # A corrected delivery may have taken the folder's place while it was read: half of each is neither.
                    if is_still_there():
                        raise

    def verify(self, partition: Partition) -> None:
        """Checks that a partition still holds the bytes that a run was frozen with.

        Raises:
          LandingError: as `partition` does; CorruptPartition also if it is another delivery by now.
        """
        found = self.partition(partition.interval)
        if found.digest != partition.digest:
            raise changed(pathlib.Path(found.path), partition.digest, found.digest)


def read_manifest(folder: pathlib.Path) -> Manifest:
    """Reads a partition's manifest and checks that the folder holds the files it names and nothing else; their bytes are not read.

    Raises:
      NotLanded: if the folder is not there.
      EmptyPartition: if it holds no manifest, no file or no row.
      CorruptPartition: if the manifest is damaged or names other files than there are.
    """
    if not folder.is_dir():
        raise NotLanded(folder, f"no partition at {str(folder)!r}; deliver it, or wait for the job that does")
    there = {path.name: path for path in folder.iterdir()}
    path = there.pop(MANIFEST, None)
    if path is None:
        held = ", ".join(sorted(there)) or "nothing"
        raise EmptyPartition(
            folder, f"partition {str(folder)!r} holds {held} and no {MANIFEST}; expected a complete delivery; deliver it again"
        )
    try:
        _check_plain(path)
        manifest = Manifest.from_text(path.read_text(encoding="utf-8"))
    except (RecordError, UnicodeDecodeError) as error:
        raise damaged(folder, f"its {MANIFEST} is not one: {error}") from error
    if not manifest.rows:
        raise EmptyPartition(folder, f"partition {str(folder)!r} has no rows; expected at least one; deliver it again with data")
    named = {file.name for file in manifest.files}
    if missing := sorted(named - set(there)):
        raise damaged(folder, f"{', '.join(missing)} is missing")
    if extra := sorted(set(there) - named):
        raise damaged(folder, f"{', '.join(extra)} is not in its {MANIFEST}")
    try:
        for found in there.values():
            _check_plain(found)
    except RecordError as error:
        raise damaged(folder, str(error)) from error
    return manifest


def check_file(folder: pathlib.Path, name: str, expected: str, found: str) -> None:
    """Compares a file's digest with the manifest's.

    Raises:
      CorruptPartition: naming the file and both digests.
    """
    if found != expected:
        raise damaged(folder, f"{name} has other bytes than delivered: expected {expected}, found {found}")


def changed(folder: pathlib.Path, expected: str, found: str) -> CorruptPartition:
    """The error for a partition that was delivered anew after a run was frozen."""
    return CorruptPartition(
        folder,
        f"partition {str(folder)!r} is not the one this run was frozen with: expected {expected}, found {found}; "
        "trigger a new run of the interval, or put the old delivery back",
    )


def _read(folder: pathlib.Path, interval: Interval) -> Partition:
    manifest = read_manifest(folder)
    if manifest.interval != interval:
        given, expected = (" to ".join(i.to_json().values()) for i in (manifest.interval, interval))
        raise damaged(folder, f"its {MANIFEST} is for the interval {given}, expected {expected}")
    for file in manifest.files:
        try:
            found = digest.of_file(folder / file.name)
        except FileNotFoundError as error:
            raise damaged(folder, f"{file.name} is missing") from error
        check_file(folder, file.name, file.digest, found)
    return Partition(interval=interval, path=str(folder), digest=manifest.digest, rows=manifest.rows)


def damaged(folder: pathlib.Path, what: str) -> CorruptPartition:
    """The error for a partition that does not hold what was delivered, or that was delivered in a state nobody can read."""
    return CorruptPartition(folder, f"partition {str(folder)!r} is damaged: {what}; deliver it again")


def _check_plain(path: pathlib.Path) -> None:
    if path.is_symlink() or not path.is_file():
        raise RecordError(f"{path.name} is no plain file")


@contextlib.contextmanager
def _held(folder: pathlib.Path) -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether the folder's name still means the same folder.

    The folder is kept open, because the number of a removed one is given to the next one at once.
    """
    try:
        handle = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        yield lambda: not folder.exists()
        return

    def is_still_there() -> bool:
        try:
            return os.path.samestat(os.fstat(handle), folder.stat())
        except FileNotFoundError:
            return False

    try:
        yield is_still_there
    finally:
        os.close(handle)
