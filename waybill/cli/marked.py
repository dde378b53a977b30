"""A mark in the environment -> the processes that carry it, and their end. Read from Linux's /proc.

A process inherits its environment from whoever started it, through forks, sessions and the death of parents. So a mark that only one
service has ever been given finds all of its processes and none of anybody else's, also after a crash, when process ids say nothing.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import time

_PROC = pathlib.Path("/proc")


def marked(name: str, value: str) -> list[int]:
    """Ids of the running processes in whose environment variable `name` is `value`; this process is never among them."""
    if not value:
        return []
    entry = f"{name}={value}".encode()
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
                if entry in (folder / "environ").read_bytes().split(b"\0") and running(int(folder.name)):
                    found.append(int(folder.name))
    return sorted(found)


def running(pid: int) -> bool:
    """Whether there is such a process and it has not ended."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in ("Z", "X")


def started(pid: int) -> str:
    """When a process started, in a form that no other process with the same id shares; empty when there is none."""
    fields = _stat(pid)
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{fields[19]}" if fields else ""


def end(name: str, value: str, grace: float) -> list[int]:
    """Ends all marked processes: asks, and after `grace` seconds kills. Returns those that were there.

    Asked twice as often as needed nothing more happens; processes that appear while others end are ended as well.
    """
    seen: set[int] = set()
    asked: set[int] = set()
    deadline = time.monotonic() + grace
    while pids := marked(name, value):
        seen.update(pids)
        late = time.monotonic() > deadline
        for pid in pids:
            if late or pid not in asked:
                asked.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        time.sleep(0.1)
    return sorted(seen)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; the name before it may hold anything."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
