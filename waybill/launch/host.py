"""The warm host: a process that has TFX imported, and forks one child for each command it is asked to run.

It is one thread around one selector, because only the thread that forks may live as long as its children: the kernel ends them with it.
It runs no TensorFlow op and opens no store and no channel, because a fork takes none of their threads along.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from waybill.launch.host_child import Children, adopt_orphans
from waybill.launch.standby import Standby
from waybill.records import wire
from waybill.records.errors import RecordError
from waybill.records.wire import Decoder, WireError

MAX_CLIENTS = 64
PATIENCE = 10.0  # seconds that a client has for its request
_VERBS = ("node", "run-spec", "answer", "ask-waiver", "answer-waiver")
_LOOK_EVERY = 2.0  # seconds between two looks at the code


class HostError(RecordError):
    """The host cannot run; the message says why and what to do."""


@dataclasses.dataclass
class _Client:
    """One connection: first a request, then perhaps a running node."""

    connection: socket.socket
    decoder: Decoder
    since: float
    log: int = -1
    pid: int = 0
    words: tuple[str, ...] = ()


class Host:
    """Serves one socket until it is told to end or what it has imported is out of date.

    Args:
      server: The listening socket.
      fork: Forks a process that waits for a command; one is always kept waiting.
      stale: Says what has changed since this process imported it; empty when nothing has.
      imported_in: Seconds that the imports took; every node that is forked saves them.
      say: Takes a line for the host's own log.
      patience: Seconds that a client has for its request.
    """

    def __init__(
        self,
        server: socket.socket,
        fork: Callable[[], Standby],
        stale: Callable[[], str],
        imported_in: float,
        say: Callable[[str], None],
        patience: float = PATIENCE,
    ):
        self._server = server
        self._children = Children(fork, say)
        self._stale = stale
        self._imported_in = imported_in
        self._say = say
        self._patience = patience
        self._began = time.monotonic()
        self._served = 0
        self._clients: dict[int, _Client] = {}
        self._selector = selectors.DefaultSelector()
        self._ending = False
        self._outdated = ""
        self._looked = 0.0

    def serve(self) -> str:
        """Serves until SIGTERM, or until nothing runs of code that has changed; returns what has changed, or an empty text."""
        adopt_orphans()
        wake, woken = os.pipe()
        for descriptor in (wake, woken):
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(woken)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        self._server.setblocking(False)
        self._selector.register(self._server, selectors.EVENT_READ, self._accept)
        self._selector.register(wake, selectors.EVENT_READ, lambda: _drain(wake))
        self._children.keep_one_waiting()
        while not self._ending and not (self._outdated and not self._running()):
            for key, _ in self._selector.select(timeout=_LOOK_EVERY):
                key.data()
            self._reap()
            self._hurry()
            self._look()
        self._end()
        return self._outdated

    def _look(self) -> None:
        """Looks now and then whether what was imported is still what is on disk; before each fork it is looked at anyway."""
        if time.monotonic() - self._looked > _LOOK_EVERY:
            self._looked = time.monotonic()
            self._outdated = self._outdated or self._stale()

    def _signalled(self, number: int, frame: Any) -> None:
        self._ending = self._ending or number != signal.SIGCHLD

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            connection, _ = self._server.accept()
            if len(self._clients) >= MAX_CLIENTS:
                connection.close()
                return
            connection.setblocking(False)
            client = _Client(connection, Decoder(), time.monotonic())
            self._clients[connection.fileno()] = client
            self._selector.register(connection, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: _Client) -> None:
        """Takes what a client sent: a part of its request, or the news that it is gone."""
        try:
            data, descriptors, _, _ = socket.recv_fds(client.connection, 65536, 4)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, descriptors = b"", []
        for descriptor in descriptors:
            if client.log < 0 and not client.pid:
                client.log = descriptor
            else:
                os.close(descriptor)
        if not data:
            self._gone(client)
            return
        if client.pid:
            return  # nothing more is expected; what it sends is of no use
        try:
            client.decoder.feed(data)
            message = client.decoder.next()
            if message is not None:
                self._answer(client, message)
        except WireError as error:
            self._refuse(client, str(error))

    def _answer(self, client: _Client, message: dict[str, Any]) -> None:
        if message.get("do") == "status":
            self._send(client, {"is": "status", **self._status()})
            self._drop(client)
            return
        self._outdated = self._outdated or self._stale()
        if problem := self._outdated or _problem(client, message):
            self._refuse(client, problem)
            return
        client.words = tuple(message["words"])
        try:
            client.pid = self._children.start({key: message[key] for key in ("words", "environment", "folder")}, client.log)
        except OSError as error:  # no memory, or too many processes
            self._refuse(client, f"the host cannot fork: {error}")
            return
        os.close(client.log)
        client.log = -1
        self._served += 1
        self._send(client, {"is": "started", "pid": client.pid, "host": os.getpid()})
        self._children.keep_one_waiting()

    def _reap(self) -> None:
        """Tells the clients of children that have ended how, after nothing of them is left."""
        for client in self._running():
            status = self._children.ended(client.pid)
            if status is not None:
                client.pid = 0
                self._send(client, {"is": "ended", "status": status})
                self._drop(client)
        self._children.sweep({client.pid for client in self._running()})

    def _hurry(self) -> None:
        """Drops clients that do not finish their request."""
        for client in list(self._clients.values()):
            if not client.pid and time.monotonic() - client.since > self._patience:
                self._refuse(client, f"no whole request within {self._patience:.0f} s")

    def _gone(self, client: _Client) -> None:
        """A closed connection is the wish to end what it asked for."""
        if client.pid:
            self._children.end(client.pid)
            self._say(f"{' '.join(client.words[:4])} was cancelled by who asked for it")
            client.pid = 0
        self._drop(client)

    def _refuse(self, client: _Client, why: str) -> None:
        self._send(client, {"is": "refused", "why": why})
        self._drop(client)

    def _send(self, client: _Client, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # a client that does not listen has no use for it
            client.connection.send(wire.encode(message))

    def _drop(self, client: _Client) -> None:
        self._selector.unregister(client.connection)
        del self._clients[client.connection.fileno()]
        client.connection.close()
        if client.log >= 0:
            os.close(client.log)

    def _running(self) -> list[_Client]:
        return [client for client in self._clients.values() if client.pid]

    def _status(self) -> dict[str, Any]:
        now = time.monotonic()
        return {
            "pid": os.getpid(),
            "age": round(now - self._began, 1),
            "memory": _memory(),
            "imported_in": round(self._imported_in, 1),
            "served": self._served,
            "saved": round(self._served * self._imported_in, 1),
            "outdated": self._outdated,
            "running": [{"pid": c.pid, "words": list(c.words), "seconds": round(now - c.since, 1)} for c in self._running()],
        }

    def _end(self) -> None:
        self._selector.unregister(self._server)
        self._server.close()
        for client in list(self._clients.values()):
            self._gone(client)
        self._children.end_all()


def _problem(client: _Client, message: dict[str, Any]) -> str:
    """What is wrong with a request to run; empty when nothing is."""
    words, environment, folder, python = (message.get(key) for key in ("words", "environment", "folder", "python"))
    if message.get("do") != "run":
        return f"the request is to do {message.get('do')!r}; expected run or status"
    if not isinstance(words, list) or not _texts(words) or not words or words[0] not in _VERBS:
        return f"the command is {words!r}; expected one of {', '.join(_VERBS)} with its options"
    if not isinstance(environment, dict) or not _texts([*environment, *environment.values()]):
        return "the environment is no object of texts"
    if not isinstance(folder, str) or not pathlib.Path(folder).is_dir():
        return f"the working folder is {folder!r}; expected one that is there"
    if not isinstance(python, str) or pathlib.Path(python).parent != pathlib.Path(sys.executable).parent:
        return f"the host runs in {sys.executable}, and the command asks for {python}"
    if client.log < 0:
        return "no file descriptor for the log came with the request"
    return ""


def _texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) and "\0" not in value for value in values)


def _drain(descriptor: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(descriptor, 4096):
            pass


def _memory() -> int:
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm") as handle:
        return int(handle.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def again() -> None:
    """Takes this process's image anew: same id, same arguments, today's code."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
