"""Decided work -> a process of its own, watched to its end: a cold interpreter, or a fork of one that has TFX imported."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from waybill.launch.memory import MemoryWatch
from waybill.launch.standby import Run, Standby, Task
from waybill.launch.work import Work
from waybill.records.node import NodeResult, Outcome

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_MAX_RESULT = 1 << 22


class ColdBackend:
    """Starts a fresh interpreter for each node.

    Args:
      command: Arguments of the process that executes work; the work's JSON comes on its standard input, and the number of the file
        descriptor for its result is appended.
      memory: Bytes of memory that a node may hold; 0 for no limit.
    """

    def __init__(self, command: Sequence[str], memory: int = 0):
        self._command = list(command)
        self._memory = memory

    def __call__(self, todo: Work, lease_descriptor: int) -> NodeResult:
        """Runs the work and waits for its end."""
        reader, writer = os.pipe()
        process = subprocess.Popen(
            [*self._command, str(writer)],
            stdin=subprocess.PIPE,
            pass_fds=(writer, lease_descriptor),
            preexec_fn=die_with_parent,
        )
        os.close(writer)
        with MemoryWatch(process.pid, self._memory) as watch, _told_to_end(process.pid):
            feed = process.stdin
            if feed is not None:
                with feed:
                    feed.write(todo.to_text().encode())
            answer, status = _read_all(reader), process.wait()
        return _ended(todo, answer, status, watch.cause())


class ForkBackend:
    """Forks this process, which must have imported TFX but run no TensorFlow op and opened no store.

    Args:
      run: Executes work in the child.
      memory: Bytes of memory that a node may hold; 0 for no limit.
      ready: A child that was made before, by `standby`.
      reap: Whether to wait until nothing of the child is left. A large process takes as long to end as it took to fork; who is itself a
        child of the warm host leaves it to the host, which waits for both at once.
    """

    def __init__(self, run: Callable[[Work], NodeResult], memory: int = 0, *, ready: Standby | None = None, reap: bool = True):
        self._run = run
        self._memory = memory
        self._ready = ready
        self._reap = reap

    def __call__(self, todo: Work, lease_descriptor: int) -> NodeResult:
        """Runs the work in a child and waits for its end."""
        task = {"work": todo.to_text(), "environment": dict(os.environ), "folder": str(pathlib.Path.cwd())}
        child, self._ready = self._ready or standby(self._run), None
        reader, writer = os.pipe()
        try:
            descriptors = (1, 2, writer, lease_descriptor)
            if not child.give(task, descriptors):
                os.waitpid(child.pid, 0)
                child = standby(self._run)
                child.give(task, descriptors)  # one that ends at once is seen below
        finally:
            os.close(writer)
        with MemoryWatch(child.pid, self._memory) as watch, _told_to_end(child.pid):
            answer = _read_all(reader)
            status = 0 if answer and not self._reap else os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        return _ended(todo, answer, status, watch.cause())


def standby(run: Callable[[Work], NodeResult], practice: Sequence[Callable[[], object]] = ()) -> Standby:
    """Forks a child for `ForkBackend` before there is work for it.

    Args:
      run: Executes work in the child.
      practice: See `Standby`.

    Raises:
      OSError: if it cannot be forked.
    """

    def begin(connection: int) -> Run:
        die_with_parent()
        return execute

    def execute(task: Task, descriptors: list[int]) -> int:
        output, errors, answer, _ = descriptors  # the last is the lease, which is held as long as this process lives
        os.dup2(output, 1)
        os.dup2(errors, 2)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        os.environ.clear()
        os.environ.update(task["environment"])
        os.chdir(task["folder"])
        with os.fdopen(answer, "wb") as handle:
            handle.write(run(Work.from_text(task["work"])).to_line().encode())
        return 0

    return Standby(begin, practice)


def end_with_standard_input() -> None:
    """Ends this process's whole group as soon as its standard input is closed, that is when whoever started it is gone."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def die_with_parent() -> None:
    """Asks the kernel to kill this process when the one that started it dies."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def be_called(name: str) -> None:
    """Gives this process a name, of which the kernel keeps 15 letters, for whoever lists processes."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


@contextlib.contextmanager
def _told_to_end(child: int) -> Iterator[None]:
    """While the block runs, SIGTERM goes to the child, which may have something to save before it dies; this process waits for it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, frame: os.kill(child, signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as handle:
        return handle.read(_MAX_RESULT)


def _ended(todo: Work, answer: bytes, status: int, memory: str) -> NodeResult:
    """The result the process left, or what its end says when it left none."""
    result = NodeResult.from_line(answer.decode(errors="replace")) if answer else None
    if result is not None:
        return result
    if status < 0:
        name = signal.Signals(-status).name
        why = memory if status == -signal.SIGKILL else ""
        told = f": {why}" if why else " (a person or an eviction may have done it)" if status == -signal.SIGKILL else ""
        return NodeResult(todo.node, Outcome.KILLED, f"the node's process was killed by {name}{told}", run=todo.unit.name)
    return NodeResult(todo.node, Outcome.FAILED, f"the node's process ended with status {status} and left no result; its log says more")
