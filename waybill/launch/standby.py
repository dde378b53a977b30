"""A fork that is made before there is work for it: it practises what all work begins with, and waits to be told what to do.

A fork and its first steps cost as much as the rest of a small node: page tables of half a gigabyte are copied, and whatever the child
touches for the first time is copied then. Here that happens while nobody waits for it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from waybill.records.errors import RecordError

_MAX_TASK = 1 << 21  # bytes; a task holds an environment
_MAX_DESCRIPTORS = 4
_PATIENCE = 1.0  # seconds that a standby has to take its task; one that is stuck must not hold up who gives it

Task = Mapping[str, Any]
Run = Callable[[Task, list[int]], int]


def fork(run: Callable[[], int]) -> int:
    """Forks a process that ends with the status that `run` returns there, whatever happens in it.

    Returns:
      The process's id.

    Raises:
      OSError: if there is no memory for it, or too many processes.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        status = run()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the child must end here whatever happened
        traceback.print_exc()  # os._exit below would swallow it
    finally:
        with contextlib.suppress(OSError, ValueError):  # who reads it may be gone
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)  # never run the parent's clean-up in the child


class Standby:
    """A forked process that waits for one task.

    Args:
      begin: Called in it first, with the socket to keep open; returns what does the task.
      practice: Called in it, in turn, until its task is there. None of them may depend on what a task says.

    Raises:
      OSError: if it cannot be forked.
    """

    def __init__(self, begin: Callable[[int], Run], practice: Sequence[Callable[[], object]] = ()):
        self._socket, theirs = socket.socketpair()
        try:
            self.pid = fork(lambda: _wait(self._socket, theirs, begin, practice))
        except BaseException:
            self._socket.close()
            raise
        finally:
            theirs.close()
        self._socket.settimeout(_PATIENCE)

    def give(self, task: Task, descriptors: Sequence[int]) -> bool:
        """Gives it its task and these file descriptors; it has them under other numbers.

        Returns:
          Whether it has got them; one that has not is gone afterwards, and its parent must still reap it.
        """
        body = json.dumps(dict(task)).encode()
        if len(body) > _MAX_TASK:
            raise RecordError(f"a task of {len(body)} bytes; expected at most {_MAX_TASK}")
        try:
            sent = socket.send_fds(self._socket, [body], list(descriptors))
            self._socket.sendall(body[sent:])
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.dismiss()
            return False
        self._socket.close()
        return True

    def dismiss(self) -> None:
        """Ends it without a task; its parent must still reap it."""
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _wait(theirs: socket.socket, ours: socket.socket, begin: Callable[[int], Run], practice: Sequence[Callable[[], object]]) -> int:
    """The life of a standby: practice, one task, the end."""
    theirs.close()
    run = begin(ours.fileno())
    logging.disable(logging.INFO)  # nobody asked for what it practises
    for step in practice:
        if select.select([ours], [], [], 0)[0]:
            break
        try:
            step()
        except Exception:  # noqa: BLE001 - practice is worth trying, and the task may well succeed
            traceback.print_exc()
    logging.disable(logging.NOTSET)
    body, descriptors = _received(ours)
    if not body:  # dismissed, or its parent is gone
        return 0
    return run(json.loads(body), descriptors)


def _received(connection: socket.socket) -> tuple[bytes, list[int]]:
    body, descriptors = b"", list[int]()
    with connection:
        while True:
            data, more, _, _ = socket.recv_fds(connection, 1 << 16, _MAX_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
            descriptors += more
            if not data:
                return body, descriptors
            body += data
