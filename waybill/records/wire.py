"""Messages between the warm host and who asks of it: JSON in frames with a length, over a Unix socket that only its owner can open.

    WAYB | version, 2 bytes | length, 4 bytes | {"do": "run", "words": ["node", "run", ...], "environment": {...}, "folder": "..."}

A node's log does not travel in frames: whoever asks sends the writing end of a pipe along, and the node writes into that.
"""

from __future__ import annotations

import json
import os
import pathlib
import socket
import struct
from collections.abc import Mapping
from typing import Any

from waybill.records.errors import RecordError

VERSION = 1
MAX_BODY = 1 << 20  # bytes; the longest message holds an environment
_HEADER = struct.Struct(">4sHI")
_MAGIC = b"WAYB"


class WireError(RecordError):
    """What came over the socket is no message of this version."""


def encode(message: Mapping[str, Any]) -> bytes:
    """A message as one frame.

    Raises:
      WireError: if it is too long.
    """
    body = json.dumps(dict(message)).encode()
    if len(body) > MAX_BODY:
        raise WireError(f"a message of {len(body)} bytes; expected at most {MAX_BODY}")
    return _HEADER.pack(_MAGIC, VERSION, len(body)) + body


class Decoder:
    """Bytes as they arrive -> messages as they are complete."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """Takes more bytes."""
        self._buffer += data

    def next(self) -> dict[str, Any] | None:
        """The next message that is complete; None when there is none yet.

        Raises:
          WireError: as soon as the bytes cannot become a message; nothing that follows them can be trusted.
        """
        head = self._buffer[: len(_MAGIC)]
        if head != _MAGIC[: len(head)]:
            raise WireError(f"got {head!r}; expected a frame, which begins with {_MAGIC!r}")
        if len(self._buffer) < _HEADER.size:
            return None
        _, version, length = _HEADER.unpack_from(self._buffer)
        if version != VERSION:
            raise WireError(f"a frame of version {version}; this side speaks version {VERSION}. Restart the host: `make down`, `make up`")
        if length > MAX_BODY:
            raise WireError(f"a frame of {length} bytes; expected at most {MAX_BODY}")
        end = _HEADER.size + length
        if len(self._buffer) < end:
            return None
        body, self._buffer = self._buffer[_HEADER.size : end], self._buffer[end:]
        try:
            message = json.loads(body)
        except ValueError as error:
            raise WireError(f"a frame that holds no JSON: {error}") from error
        if not isinstance(message, dict):
            raise WireError(f"a frame with a JSON {type(message).__name__}; expected an object")
        return message


def listen(path: pathlib.Path) -> socket.socket:
    """A listening socket at `path`, which nobody but the owner of the folder can reach; a dead one's place is taken.

    Raises:
      OSError: if it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        _at(path, server.bind)
    except BaseException:
        server.close()
        raise
    finally:
        os.umask(mask)
    server.listen(128)
    return server


def dial(path: pathlib.Path, seconds: float) -> socket.socket:
    """A connection to who listens at `path`, with a time limit on everything that is done with it.

    Raises:
      OSError: if nobody listens there.
    """
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(seconds)
    try:
        _at(path, client.connect)
    except BaseException:
        client.close()
        raise
    return client


def receive(connection: socket.socket, decoder: Decoder) -> dict[str, Any] | None:
    """The next message; None when the other side has hung up.

    Raises:
      WireError: if what comes is no message.
      OSError: if nothing comes in time.
    """
    while (message := decoder.next()) is None:
        data = connection.recv(65536)
        if not data:
            return None
        decoder.feed(data)
    return message


def _at(path: pathlib.Path, do: Any) -> None:
    """Calls `do` with a name of the socket that is short enough: 107 bytes is all that an address has room for."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        do(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
