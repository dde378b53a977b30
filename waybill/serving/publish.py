"""A judged model's folder -> a read-only release that appears whole or not at all.

    published = publish(Path(".../Format-Serving"), Path("serving/orders"), 20130401000001, digest)
    published.path    # serving/orders/20130401000001

TensorFlow Serving polls the base path each second and loads every child whose name is an integer, complete or not. So a release is put
together under a name that is none, checked, forced to disk, and renamed in one step.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import secrets
import shutil
import stat

from waybill.records import digest, fault_points
from waybill.records.errors import RecordError
from waybill.serving.errors import DigestMismatch, ServingError, UnsafeRelease, VersionTaken
from waybill.serving.folders import fsync, locked, remove
from waybill.serving.rename import rename_new

MAX_VERSION = 2**63 - 1  # TensorFlow Serving reads versions as int64
_STAGING = ".staging-"


@dataclasses.dataclass(frozen=True)
class Published:
    """A release on disk.

    Attributes:
      path: Its folder, named for its version.
      digest: Digest of its bytes.
      fresh: False when the same bytes were published under this version before, and nothing had to be done.
    """

    path: pathlib.Path
    digest: str
    fresh: bool


def publish(source: pathlib.Path, base: pathlib.Path, version: int, expected_digest: str | None) -> Published:
    """Copies a model to `<base>/<version>`, once however often it is asked for.

    Args:
      source: The SavedModel's folder.
      base: Folder of the model's releases; made if it is not there.
      version: The release's number, 1 to 2**63 - 1.
      expected_digest: Digest the model must have, or None to take it as it is.

    Raises:
      UnsafeRelease: if the source is no folder of plain files, or the version is out of range.
      DigestMismatch: if the bytes are not those expected, before or after copying.
      VersionTaken: if the version exists with other bytes.
      ServingError: if the disk is full or the file system refuses; nothing of the release is visible then.
    """
    _check(source, version)
    try:
        base.mkdir(parents=True, exist_ok=True)
        with locked(base):
            _sweep(base)
            return _publish(source, base, version, expected_digest)
    except OSError as error:
        raise ServingError(f"cannot publish version {version} under {str(base)!r}: {error}; nothing of it is visible") from error


def _publish(source: pathlib.Path, base: pathlib.Path, version: int, expected: str | None) -> Published:
    """Publishes while the base's lock is held."""
    target = base / str(version)
    found = _digest(source)
    if expected is not None and found != expected:
        raise DigestMismatch(f"the model at {str(source)!r}", expected, found)
    if os.path.lexists(target):
        return _already(target, version, found)
    staging = base / f"{_STAGING}{version}-{secrets.token_hex(8)}"
    try:
        shutil.copytree(source, staging, symlinks=True, copy_function=_copy_bytes)
        fault_points.reached("publish.copied")
        if (copied := _digest(staging)) != found:
            raise DigestMismatch(f"the copy of {str(source)!r}", found, copied)
        _seal(staging)
        fault_points.reached("publish.sealed")
        rename_new(staging, target)
    except FileExistsError:
        return _already(target, version, found)
    finally:
        remove(staging)
    fault_points.reached("publish.renamed")
    target.chmod(0o555)
    fault_points.reached("publish.closed")
    fsync(target)
    fsync(base)
    fault_points.reached("publish.published")
    return Published(target, found, fresh=True)


def _already(target: pathlib.Path, version: int, given: str) -> Published:
    """The release that bears the version, when it is the same one."""
    there = _digest(target) if target.is_dir() and not target.is_symlink() else "no release's"
    if there != given:
        raise VersionTaken(str(target), version, there, given)
    target.chmod(0o555)
    fsync(target)
    fsync(target.parent)
    return Published(target, given, fresh=False)


def _check(source: pathlib.Path, version: int) -> None:
    """Raises UnsafeRelease unless there is a folder to publish and the version is one."""
    if type(version) is not int or not 1 <= version <= MAX_VERSION:
        raise UnsafeRelease(f"got version {version!r}, expected an integer from 1 to {MAX_VERSION}")
    if source.is_symlink() or not source.is_dir():
        raise UnsafeRelease(f"{str(source)!r} is not a folder; expected a SavedModel's")
    if not (source / "saved_model.pb").is_file():
        raise UnsafeRelease(f"{str(source)!r} holds no saved_model.pb; expected a SavedModel's folder, such as Format-Serving")


def _digest(folder: pathlib.Path) -> str:
    """The digest of a folder of plain files."""
    try:
        return digest.of_tree(folder)
    except RecordError as error:
        raise UnsafeRelease(str(error)) from error


def _copy_bytes(source: str, target: str) -> str:
    """Copies one plain file's bytes, not its modes; a file that became a link since it was checked is not followed."""
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as reader:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise UnsafeRelease(f"{source!r} is not a plain file")
        with open(target, "xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
    fault_points.reached("publish.copying")
    return target


def _seal(staging: pathlib.Path) -> None:
    """Makes everything read-only and forces it to disk: files, then folders from the bottom up.

    The top folder stays writable until it bears its final name, because moving a folder rewrites the `..` in it.
    """
    for folder, _, names in os.walk(staging, topdown=False):
        for name in names:
            path = pathlib.Path(folder, name)
            path.chmod(0o444)
            fsync(path)
        pathlib.Path(folder).chmod(0o755 if pathlib.Path(folder) == staging else 0o555)
        fsync(pathlib.Path(folder))


def _sweep(base: pathlib.Path) -> None:
    """Removes what dead publishers left; a living one would hold the lock."""
    for left in base.glob(f"{_STAGING}*"):
        remove(left)
