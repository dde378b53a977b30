"""The command of one of Airflow's components -> that component, and another one in its place when it has ended by itself.

    python -m waybill.cli.keeper <command>

Airflow's scheduler ends over what it cannot explain, a run that somebody deleted under it for one, and counts on being started again. One
that ends by itself soon after its first start is not: something is wrong with it that will be so again, and whoever starts the service
waits for word of it. What a dead scheduler leaves behind are its idle workers, which would wait for work for ever; they end with it, and
those that are at work when they have done it.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime as dt
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

SETTLED = 20.0  # seconds after which a component has started well
DELAY = 1.0  # seconds before the next start, twice as many after each that did not settle
TRIES = 6  # starts in a row that do not settle
_LOOK_EVERY = 0.5
_IDLE = 5.0  # seconds without a process at work, after which one that is left behind has nothing to report any more
_PR_SET_CHILD_SUBREAPER = 36


class Asked(Exception):
    """Somebody wants it to end."""


def keep(words: Sequence[str], settled: float = SETTLED, delay: float = DELAY) -> int:
    """Runs a component until somebody wants it to end, or it does not start well.

    Args:
      words: Its command.
      settled: Seconds after which it has started well.
      delay: Seconds before the next start.

    Returns:
      The exit status of the last one.
    """
    _adopt_orphans()
    signal.signal(signal.SIGTERM, _asked)
    hasty, ever_settled, process, orphans = 0, False, None, _Orphans()
    while True:
        try:
            began = time.monotonic()
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
            while process.poll() is None:
                time.sleep(_LOOK_EVERY)
                orphans.dismiss_idle(process.pid)
            lived = time.monotonic() - began
            ever_settled = ever_settled or lived >= settled
            hasty = 0 if lived >= settled else hasty + 1
            fails_to_start = process.returncode >= 0 and not ever_settled  # one that was killed may well have started
            if fails_to_start or hasty >= TRIES:
                return _told(process.returncode, lived, "it is not started again")
            pause = delay * 2**hasty
            _told(process.returncode, lived, f"it is started again in {pause:.0f} s")
            until = time.monotonic() + pause
            while time.monotonic() < until:
                time.sleep(min(_LOOK_EVERY, pause))
                orphans.dismiss_idle(0)
        except Asked:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if process is None:
                return 0
            process.terminate()
            return process.wait()


def _asked(*_: object) -> None:
    raise Asked


def _told(status: int, lived: float, then: str) -> int:
    """Says how a component ended, in its log; returns its exit status as a shell would."""
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
    now = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
    print(f"{now} keeper: the component {how} after {lived:.0f} s; {then}", file=sys.stderr, flush=True)
    return status if status >= 0 else 128 - status


def _adopt_orphans() -> None:
    """Makes this process the parent of what its components leave behind."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class _Orphans:
    """What earlier components left behind."""

    def __init__(self) -> None:
        self._idle_since: dict[int, float] = {}

    def dismiss_idle(self, component: int) -> None:
        """Ends those that have had no process at work for a while."""
        now = time.monotonic()
        idle = [pid for pid in _children(os.getpid()) if pid != component and not _children(pid)]
        self._idle_since = {pid: self._idle_since.get(pid, now) for pid in idle}
        for pid, since in self._idle_since.items():
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                if now - since >= _IDLE:
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)


def _children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        tasks = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
