"""A running node -> an end when it holds more memory than it may, and the word for it when the kernel was first."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import threading
from collections.abc import Iterator, Mapping

_PROC = pathlib.Path("/proc")
_GROUPS = pathlib.Path("/sys/fs/cgroup")
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
        self._held = ""
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
        """Why a process was killed by SIGKILL, if that was for its memory; else an empty text. No other end is asked about."""
        if self._held:
            return f"it held {self._held}; WAYBILL_NODE_MEMORY allows {_gib(self._limit)}"
        if _kernel_kills() > self._killed_before:
            return "the kernel has ended a process here for want of memory meanwhile, most likely this one (see dmesg)"
        return ""

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            held = {pid: private_memory(pid) for pid in (self._pid, *descendants(self._pid))}
            if sum(held.values()) > self._limit:
                self._held = _told(held)
                for pid in held:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return


def _told(held: Mapping[int, int]) -> str:
    """What processes hold together, and of several which holds most; a process of a training bears the name of its place."""
    largest = max(held, key=lambda pid: held[pid])
    most = f", {_gib(held[largest])} of it {_name(largest)} (process {largest})" if len(held) > 1 else ""
    return f"{_gib(sum(held.values()))} of memory{most}"


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "comm").read_text().strip()
    return "one that has ended"


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
    """How many processes the kernel has ended for want of memory: of this control group where it counts them, else of the machine."""
    for counter in _counters():
        with contextlib.suppress(OSError):
            for line in counter.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def _counters() -> Iterator[pathlib.Path]:
    """Files that may count them, the one that is about the fewest other processes first; of control groups in their two versions."""
    with contextlib.suppress(OSError):
        for line in (_PROC / "self/cgroup").read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds:
                yield _GROUPS / path.strip("/") / "memory.events"
            elif "memory" in kinds.split(","):
                yield _GROUPS / "memory" / path.strip("/") / "memory.oom_control"
    yield _PROC / "vmstat"


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
