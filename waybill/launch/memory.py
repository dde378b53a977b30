"""A running node -> an end when it holds more memory than it may, and the word for it when the kernel was first."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import threading

_PROC = pathlib.Path("/proc")
_LOOK_EVERY = 0.5


class MemoryWatch:
    """Watches a node's process and everything it started, while the block runs; kills them all when they hold too much together.

    Counted is private memory: what the processes share with the one they were forked from costs nobody anything.

    Args:
      pid: The node's process, a child of this one.
      limit: Bytes; 0 for no limit but the machine's.
    """

    def __init__(self, pid: int, limit: int):
        self._pid = pid
        self._limit = limit
        self._held = 0
        self._over = threading.Event()
        self._killed_before = _kernel_kills()

    def __enter__(self) -> MemoryWatch:
        """Begins to watch."""
        if self._limit:
            self._thread = threading.Thread(target=self._watch, name="memory watch", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Ends the watch."""
        self._over.set()
        if self._limit:
            self._thread.join()

    def cause(self) -> str:
        """Why a process was killed, if it was for its memory; else an empty text."""
        if self._held:
            return f"it held {_gib(self._held)} of memory; WAYBILL_NODE_MEMORY allows {_gib(self._limit)}"
        if _kernel_kills() > self._killed_before:
            return "the machine ran out of memory, and the kernel ended the process that held most (see dmesg)"
        return ""

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            pids = [self._pid, *descendants(self._pid)]
            held = sum(private_memory(pid) for pid in pids)
            if held > self._limit:
                self._held = held
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return


def descendants(pid: int) -> list[int]:
    """Ids of everything that a process started and that still runs."""
    found, todo = [], [pid]
    while todo:
        for task in _listed(_PROC / str(todo.pop()) / "task"):
            with contextlib.suppress(OSError):
                children = [int(child) for child in (task / "children").read_text().split()]
                found += children
                todo += children
    return found


def private_memory(pid: int) -> int:
    """Bytes of memory that a process shares with nobody; 0 when it is gone."""
    with contextlib.suppress(OSError):
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:", "Swap:")))
    return 0


def _listed(folder: pathlib.Path) -> list[pathlib.Path]:
    with contextlib.suppress(OSError):
        return list(folder.iterdir())
    return []


def _kernel_kills() -> int:
    """How many processes the kernel has ended for want of memory since it booted."""
    with contextlib.suppress(OSError):
        for line in (_PROC / "vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
