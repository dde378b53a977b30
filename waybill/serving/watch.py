"""A forked process and its limits -> what it said until its end, and what that end was.

What it says are lines of JSON: `network`, then by turns `doing` and `found` or `failed`, at last `done`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import resource
import select
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from waybill.serving.words import one_line

_LOOK_EVERY = 0.05  # seconds
_WORDS = 3  # lines of what it printed last
_TAIL = 1 << 14  # bytes of it that are looked through
# Addresses of a C++ stack, and what TensorFlow says of every machine without a GPU, tell nobody why a process ended.
_NOISE = re.compile(r"@\s+0x|\*\*\* |.*\bcuInit\b|WARNING: All log messages before absl")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the process may take.

    Attributes:
      seconds: How long.
      memory: Bytes of memory beyond those it shares with this one.
    """

    seconds: float
    memory: int


@dataclasses.dataclass(frozen=True)
class Ended:
    """What came of the process.

    Attributes:
      found: What each finished step returned, by its name.
      problem: Why not all steps were finished; empty when they were.
      words: What it printed last, line by line.
      network: Why it was not cut off from the network; empty when it was.
      seconds: How long it took.
      memory: Bytes it held at most, as far as was seen.
    """

    found: Mapping[str, Any]
    problem: str
    words: tuple[str, ...]
    network: str
    seconds: float
    memory: int


class Watch:
    """A process, as the one that forked it sees it.

    Args:
      child: Its id, which is its group's too.
      reader: Where its news come in; closed when it has ended.
      limits: What it may take.
    """

    def __init__(self, child: int, reader: int, limits: Limits):
        self._child = child
        self._reader = reader
        self._limits = limits
        self._began = time.monotonic()
        self._shared = _held(os.getpid())  # a fork begins with what this process holds, and shares it
        self._most = 0
        self._news = bytearray()
        self._how = ""
        self._status: int | None = None
        self._seconds = 0.0

    def attend(self) -> None:
        """Takes the news until the process ends, or takes too much."""
        os.set_blocking(self._reader, False)
        while self._status is None and not self._how:
            if not self._hear():
                time.sleep(_LOOK_EVERY)
            if os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                self._reap()
                continue
            self._most = max(self._most, _held(self._child) - self._shared)
            self._seconds = time.monotonic() - self._began
            if self._most > self._limits.memory:
                self._how = f"held {self._most / 2**20:.0f} MiB of memory, of {self._limits.memory / 2**20:.0f} allowed, and was ended"
            elif self._seconds > self._limits.seconds:
                self._how = f"was not through after {self._limits.seconds:g} s and was ended"

    def end(self) -> None:
        """Kills the process and its group, if anything of them is left."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)  # it may not have come to make its group
            self._reap()
        while self._hear():
            continue
        os.close(self._reader)

    def ended(self, says: Sequence[str], words: tuple[str, ...]) -> Ended:
        """What came of it."""
        found: dict[str, Any] = {}
        network, doing, done = "nothing was heard of it", "before its first step", False
        for line in bytes(self._news).split(b"\n")[:-1]:
            news = json.loads(line)
            network = news.get("network", network)
            doing = f"while it {says[news['doing']]}" if "doing" in news else doing
            done = done or "done" in news
            if "failed" in news:
                self._how = f"failed {doing}: {one_line(news['failed'])}"
            if "found" in news:
                found[news["name"]] = news["found"]
        done = done and not self._how  # one that took too much is no good, even if it was through when it was ended
        problem = "" if done else self._how if self._how.startswith("failed") else f"{self._how or self._end_of_it()} {doing}"
        return Ended(found, problem, words, network, self._seconds, self._most)

    def _end_of_it(self) -> str:
        status = self._status or 0
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended by itself, with exit status {status},"

    def _hear(self) -> bool:
        """Takes what the process has said, after waiting for it a little; returns whether there was anything."""
        select.select([self._reader], [], [], _LOOK_EVERY if self._status is None else 0)
        try:
            chunk = os.read(self._reader, 1 << 16)
        except BlockingIOError:
            return self._status is None
        self._news += chunk
        return bool(chunk)

    def _reap(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child, signal.SIGKILL)  # what it started; its number cannot be another's before it is reaped
        self._status = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        self._seconds = time.monotonic() - self._began


def _held(pid: int) -> int:
    """Bytes of memory of a process that are no file's; 0 when it is gone."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
        return (int(fields[1]) - int(fields[2])) * resource.getpagesize()
    return 0


def last_words(output: BinaryIO) -> tuple[str, ...]:
    """The last lines of what a process has printed to a file."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _TAIL))
    lines = [line.strip() for line in output.read().decode(errors="replace").splitlines()]
    return tuple(one_line(line) for line in lines if line and not _NOISE.match(line))[-_WORDS:]
