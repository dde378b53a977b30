"""One attempt at a time works on a (unit, node): a kernel lock that ends with the last process that could still write.

The lock file stays open in the supervisor and, inherited, in every process it starts. So a killed attempt whose child is still
writing keeps its lease, and a retry waits for that child, not for a guess of how long it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import time
from collections.abc import Callable, Iterator

from waybill.records import digest

_POLL_SECONDS = 0.2
_SAY_EVERY = 15.0


@contextlib.contextmanager
def lease(folder: pathlib.Path, unit: str, node: str, say: Callable[[str], None]) -> Iterator[int]:
    """Holds the lease of a node in a unit; waits while another attempt has it.

    Args:
      folder: Folder of lock files.
      unit: Unit of work.
      node: Node id.
      say: Called with one line when there is something to wait for.

    Yields:
      The open file descriptor to pass on to child processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_path(folder, unit, node), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(descriptor, f"{node} of {unit}", say)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {unit} {node}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(folder: pathlib.Path, unit: str, node: str) -> bool:
    """Whether a living process of this machine has the lease."""
    try:
        descriptor = os.open(_path(folder, unit, node), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def _path(folder: pathlib.Path, unit: str, node: str) -> pathlib.Path:
    return folder / f"{digest.of_json([unit, node]).removeprefix(digest.PREFIX)[:32]}.lock"


def _wait(descriptor: int, what: str, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    said = -_SAY_EVERY
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            waited = time.monotonic() - started
            if waited - said >= _SAY_EVERY:
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").split(" ")[0]
                say(f"{what} is being worked on by process {holder or '?'}; waiting for it to end ({waited:.0f} s so far)")
                said = waited
            time.sleep(_POLL_SECONDS)
