"""A fork of the warm host -> an ordinary process that runs one command: own session, environment, folder, log; nothing of the host's."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import select
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

from waybill.launch.backends import die_with_parent
from waybill.launch.standby import Run, Standby, Task

_PR_SET_CHILD_SUBREAPER = 36
_SETTLE = 0.1  # seconds without a command after which there is time to prepare for one
_FIRST_TO_GO = "500"  # of -1000 to 1000: when memory runs out the kernel takes nodes, not the host

Command = Callable[[list[str]], int]


def standby(ready: Callable[[bool], Command], practice: Sequence[Callable[[], object]] = ()) -> Standby:
    """Forks a process that waits for a command: its process group is its id, and its log comes with the command.

    Args:
      ready: Called in it, and told whether there is time to prepare since no command has come yet; returns what runs the command and
        returns its exit status.
      practice: See `Standby`.

    Raises:
      OSError: if it cannot be forked.
    """

    def begin(connection: int) -> Run:
        _leave(connection)
        # A practice that began at once would compete with the command that has just been started, and hold up one that is close behind.
        command = ready(not select.select([connection], [], [], _SETTLE)[0])

        def run(task: Task, descriptors: list[int]) -> int:
            _become(task["environment"], task["folder"], descriptors[0])
            return command(list(task["words"]))

        return run

    return Standby(begin, practice)


class Children:
    """The host's forks: those that run a command, and one that waits for the next.

    Args:
      fork: Forks a process that waits for a command.
      say: Takes a line for the host's own log.
    """

    def __init__(self, fork: Callable[[], Standby], say: Callable[[str], None]):
        self._fork = fork
        self._say = say
        self._waiting: Standby | None = None

    def keep_one_waiting(self) -> None:
        """Forks the process for the command to come; without it, that one takes longer to start."""
        try:
            self._waiting = self._fork()
        except OSError as error:
            self._say(f"cannot fork a process ahead of its command: {error}")

    def start(self, task: Task, log: int) -> int:
        """Gives a command to the process that waits, or to a new one should that have ended; returns its id, which is its group's too.

        Raises:
          OSError: if there is no memory for a process, or too many of them.
        """
        waiting, self._waiting = self._waiting, None
        if waiting is not None and waiting.give(task, [log]):
            return waiting.pid
        forked = self._fork()
        if not forked.give(task, [log]):
            raise ChildProcessError("a forked process ended before it took its command")
        return forked.pid

    def ended(self, pid: int) -> int | None:
        """The exit status of a process that has ended, when nothing of its group is left; None while it runs."""
        return self.end(pid) if _is_over(pid) else None

    def end(self, pid: int) -> int:
        """Kills a process and its group; returns its exit status. Until it is reaped its number cannot be another's."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def sweep(self, running: set[int]) -> None:
        """Kills what left its group before its command ended: the kernel has made it the host's own child."""
        if self._waiting is not None and _is_over(self._waiting.pid):
            self._say("the process that waited for a command has ended")
            self._dismiss()
        known = running | ({self._waiting.pid} if self._waiting else set())
        while strangers := [pid for pid in _children() if pid not in known]:
            for pid in strangers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def end_all(self) -> None:
        """Kills everything that is left."""
        self._dismiss()
        self.sweep(set())

    def _dismiss(self) -> None:
        if self._waiting is not None:
            self._waiting.dismiss()
            self._waiting = None


def _is_over(pid: int) -> bool:
    """Whether a child has ended; it is left to be reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as handle:
        return [int(pid) for pid in handle.read().split()]


def adopt_orphans() -> None:
    """Asks the kernel for the children of this process's descendants, should those die before them."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _leave(keep: int) -> None:
    """Leaves the host's session, signals and files behind; its standard output stays until the command brings a log."""
    die_with_parent()
    os.setsid()
    adopt_orphans()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for descriptor in [int(entry.name) for entry in pathlib.Path("/proc/self/fd").iterdir()]:
        if descriptor > 2 and descriptor != keep:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(descriptor)
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write(_FIRST_TO_GO)


def _become(environment: Mapping[str, str], folder: str, log: int) -> None:
    """Takes over what who asks for the command has sent along."""
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
