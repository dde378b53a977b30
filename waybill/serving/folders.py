"""Folders of releases -> forced to disk, held by one process at a time, removed although they are read-only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
from collections.abc import Iterator

_LOCK = ".publish.lock"


def fsync(path: pathlib.Path) -> None:
    """Forces a file or a folder to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def locked(base: pathlib.Path) -> Iterator[None]:
    """Holds the base's lock; the kernel lets go of it when the process dies."""
    handle = os.open(base / _LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def remove(folder: pathlib.Path) -> None:
    """Removes a staging folder, read-only parts included; one that is not there is fine."""
    for inner, _, _ in os.walk(folder):
        os.chmod(inner, 0o755)
    shutil.rmtree(folder, ignore_errors=True)
