"""Files and their row counts -> a partition in the landing area that appears whole or not at all.

How partitions are read, and what may be wrong with one, is in `partitions`; the names that callers need are here too.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator, Mapping

from waybill.launch.manifest import MANIFEST, LandedFile, Manifest
from waybill.launch.partitions import CorruptPartition, EmptyPartition, LandingArea, LandingError, NotLanded
from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.records.interval import Interval
from waybill.records.run_spec import Partition

__all__ = ["AlreadyLanded", "CorruptPartition", "EmptyPartition", "LandingArea", "LandingError", "NotLanded", "deliver"]

_LOCK = ".deliver.lock"
_STAGING = ".staging-"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class AlreadyLanded(LandingError):
    """The interval has a partition with other content."""


def deliver(
    root: pathlib.Path,
    pipeline: str,
    interval: Interval,
    files: Mapping[str, bytes | pathlib.Path],
    rows: int | Mapping[str, int],
    *,
    replace: bool = False,
) -> Partition:
    """Delivers an interval's partition; the same content again is nothing to do.

    Args:
      root: The landing area.
      pipeline: Name of the pipeline.
      interval: The interval the files hold the data of.
      files: The files' content, or where to copy it from, by name.
      rows: Rows without headers, by name; a number when there is one file.
      replace: Whether this is a corrected delivery, which may take the place of another one.

    Raises:
      EmptyPartition: if there is no row to deliver.
      AlreadyLanded: if the interval has a partition with other content, and this is no corrected delivery.
      RecordError: if a name or number cannot stand in a manifest.
    """
    target = LandingArea(root, pipeline).folder(interval)
    counts = dict(rows) if isinstance(rows, Mapping) else dict.fromkeys(list(files)[:1], rows)
    if set(counts) != set(files):
        raise RecordError(f"row counts of {', '.join(counts)} for the files {', '.join(files)}; expected one for each file, by name")
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent):
        for left in target.parent.glob(f"{_STAGING}*"):  # of dead jobs: a living one would hold the lock
            shutil.rmtree(left)
        staging = target.parent / f"{_STAGING}{secrets.token_hex(8)}"
        staging.mkdir()
        try:
            manifest = _stage(staging, interval, files, counts)
            _place(staging, target, manifest, replace)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return Partition(interval=interval, path=str(target), digest=manifest.digest, rows=manifest.rows)


def _stage(staging: pathlib.Path, interval: Interval, files: Mapping[str, bytes | pathlib.Path], counts: Mapping[str, int]) -> Manifest:
    """Writes a partition into the staging folder and forces it to disk."""
    landed = []
    for name, content in files.items():
        # The name is checked, as part of a manifest's entry, before anything is written under it.
        LandedFile(name, digest.of_bytes(b""), counts[name])
        path = staging / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content, path)
        landed.append(LandedFile(name, digest.of_file(path), counts[name]))
    manifest = Manifest(interval, tuple(landed), sum(counts[name] for name in files))
    if not manifest.rows:
        raise EmptyPartition(
            staging, f"there is no row to deliver for {interval.label}; expected at least one; deliver it when there is data"
        )
    (staging / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
    for path in (*staging.iterdir(), staging):
        _fsync(path)
    return manifest


def _place(staging: pathlib.Path, target: pathlib.Path, manifest: Manifest, replace: bool) -> None:
    """Gives the staged partition its name, unless the same content bears it already."""
    try:
        there = LandingArea(target.parent.parent, target.parent.name).partition(manifest.interval).digest
    except LandingError as error:
        there = str(error)
    if there == manifest.digest:
        return
    if not os.path.lexists(target):
        staging.rename(target)
    elif replace:
        _exchange(staging, target)
    else:
        raise AlreadyLanded(
            target,
            f"{str(target)!r} is there already, with other content ({there}) than {manifest.digest}; "
            "deliver with replace=True if this one corrects it",
        )
    _fsync(target.parent)


def _exchange(one: pathlib.Path, other: pathlib.Path) -> None:
    """Swaps two folders' names in one step, or in two where the file system cannot: then nothing bears the name for an instant."""
    libc = ctypes.CDLL(None, use_errno=True)
    # The C library has had the function since glibc 2.28; musl has not.
    call = getattr(libc, "renameat2", None)
    code = errno.ENOSYS
    if call is not None:
        done = call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), ctypes.c_uint(_RENAME_EXCHANGE))
        code = 0 if done == 0 else ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        aside = one.with_name(f"{_STAGING}{secrets.token_hex(8)}")
        other.rename(aside)
        one.rename(other)
        aside.rename(one)
    elif code:
        raise OSError(code, os.strerror(code), str(one), None, str(other))


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds the pipeline's delivery lock; the kernel lets go of it when the process dies."""
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fsync(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
