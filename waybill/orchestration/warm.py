"""A command -> a process forked from the warm host of this machine, which has TFX imported already."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Any

from waybill.orchestration.process import Ending, kill_group
from waybill.records import wire
from waybill.records.wire import Decoder, WireError

_PATIENCE = 10.0  # seconds that a host has to start a process; then the command runs cold


class NoHost(Exception):
    """No host takes the command; the message says why."""


class WarmCommand:
    """One command of the launcher in a fork of the host.

    The connection to the host is the command's life: when it closes, because this process ends or kills the command, the host kills the
    command's group and everything that left it.

    Args:
      host: Where the host listens.
      python: The interpreter that the command is meant for.
      words: The command's arguments.
      environment: Its environment.

    Raises:
      NoHost: if nobody listens there, or who does cannot take the command.
    """

    def __init__(self, host: pathlib.Path, python: pathlib.Path, words: Sequence[str], environment: Mapping[str, str]):
        self._decoder = Decoder()
        reader, writer = os.pipe()
        try:
            self._connection = _dialled(host)
            request = {"do": "run", "words": list(words), "environment": dict(environment), "folder": str(pathlib.Path.cwd())}
            started = self._ask(wire.encode({**request, "python": str(python)}), writer)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self.output: IO[bytes] = os.fdopen(reader, "rb")
        self.pid, self.host = int(started["pid"]), int(started["host"])
        self._ending: Ending | None = None
        self._killed = False
        self._watcher = threading.Thread(target=self._watch, name="host watcher", daemon=True)
        self._watcher.start()

    def kill(self) -> None:
        """See `Command`."""
        self._killed = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def wait(self) -> Ending:
        """See `Command`."""
        self._watcher.join()
        self.output.close()
        self._connection.close()
        return self._ending or Ending(-signal.SIGKILL, f"the warm host (process {self.host}) ended, and with it the node it ran")

    def _ask(self, request: bytes, log: int) -> dict[str, Any]:
        """Sends the request with the log's descriptor and returns the host's word that the process runs."""
        try:
            sent = socket.send_fds(self._connection, [request], [log])
            if sent < len(request):  # to send nothing to a host that has refused already would be an error of its own
                self._connection.sendall(request[sent:])
            answer = wire.receive(self._connection, self._decoder)
            if answer is None or answer.get("is") != "started":
                raise NoHost(str(answer["why"]) if answer else "it hung up")
            self._connection.settimeout(None)
        except (OSError, WireError, KeyError) as error:
            self._connection.close()
            raise NoHost(f"{type(error).__name__}: {error}") from error
        except NoHost:
            self._connection.close()
            raise
        return answer

    def _watch(self) -> None:
        """Waits for the command's end, or the host's; a host that died cannot have cleaned up after the command."""
        with contextlib.suppress(OSError, WireError):
            answer = wire.receive(self._connection, self._decoder)
            if answer is not None:
                self._ending = Ending(int(answer["status"]))
        if self._ending is None:
            if self._killed:
                self._ending = Ending(-signal.SIGKILL)
            kill_group(self.pid)


def _dialled(host: pathlib.Path) -> socket.socket:
    try:
        return wire.dial(host, _PATIENCE)
    except FileNotFoundError:
        raise NoHost("none was started on this machine (`waybill host`, or `make up`)") from None
    except OSError as error:
        raise NoHost(f"nobody answers at {host} ({error})") from None
