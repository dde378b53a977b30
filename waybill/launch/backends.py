"""Decided work -> a process of its own, watched to its end: a cold interpreter, or a fork of one that has TFX imported."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence

from waybill.launch.memory import MemoryWatch
from waybill.launch.work import Work
from waybill.records.node import NodeResult, Outcome

_PR_SET_PDEATHSIG = 1
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
        with MemoryWatch(process.pid, self._memory) as watch:
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
    """

    def __init__(self, run: Callable[[Work], NodeResult], memory: int = 0):
        self._run = run
        self._memory = memory

    def __call__(self, todo: Work, lease_descriptor: int) -> NodeResult:
        """Runs the work in a child and waits for its end."""
        reader, writer = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.close(reader)
                die_with_parent()
                os.write(writer, self._run(todo).to_line().encode())
                status = 0
            except BaseException:  # noqa: BLE001 - the child must end here whatever happened
                traceback.print_exc()  # os._exit below would swallow it
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)  # never run the parent's clean-up in the child
        os.close(writer)
        with MemoryWatch(child, self._memory) as watch:
            answer, status = _read_all(reader), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return _ended(todo, answer, status, watch.cause())


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
