"""The REST API and the pages -> an ASGI application, which any ASGI server runs; here it is uvicorn, on a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import zlib
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import uvicorn

from waybill.server import jsonanswers, site
from waybill.server.core import Core
from waybill.server.errors import RequestError, ServerError
from waybill.server.rest import Answer, Rest

_THREADS = 16
_UNPACKED = 100 << 20  # bytes that a gzipped body may unpack to, as for TensorFlow Serving
_STOP_SECONDS = 10.0
_IDLE_SECONDS = 60  # that a connection is kept without a request, which is what clients are used to; uvicorn's 5 would surprise them

_Receive: TypeAlias = Callable[[], Awaitable[Any]]
_Send: TypeAlias = Callable[[Any], Awaitable[None]]


class Application:
    """The ASGI application.

    Args:
      rest: The REST API.
      core: What is served, for the pages.
      largest: Bytes that a body may have.
    """

    def __init__(self, rest: Rest, core: Core, largest: int):
        self._rest = rest
        self._core = core
        self._largest = largest
        self._pool = ThreadPoolExecutor(_THREADS, "rest")

    async def __call__(self, scope: Mapping[str, Any], receive: _Receive, send: _Send) -> None:
        """Answers one request."""
        headers = {name.lower(): value for name, value in scope["headers"]}
        path = (scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")).decode("latin-1")
        try:
            body = _unpacked(await self._body(receive), headers.get(b"content-encoding", b"").lower())
        except RequestError as error:
            found = Answer(413 if error.code == "RESOURCE_EXHAUSTED" else error.http, jsonanswers.error(error))
        else:
            origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._pool, self._answer, scope["method"], path, origin, host, body)
        sent = [(b"content-type", found.kind.encode()), (b"content-length", str(len(found.body)).encode())]
        sent += [(name.encode(), value.encode()) for name, value in found.headers.items()]
        await send({"type": "http.response.start", "status": found.status, "headers": sent})
        await send({"type": "http.response.body", "body": found.body})

    def _answer(self, method: str, path: str, origin: str, host: str, body: bytes) -> Answer:
        return self._rest.answer(method, path, origin, body) or site.answer(self._core, method, path, host)

    async def _body(self, receive: _Receive) -> bytes:
        """The body; what is too large is read to its end and thrown away, so that the client gets its answer."""
        parts, size = [], 0
        while True:
            message = await receive()
            part = message.get("body", b"")
            size += len(part)
            if size <= self._largest:
                parts.append(part)
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                break
        if size > self._largest:
            raise RequestError(
                "RESOURCE_EXHAUSTED", f"the body has {size} bytes, at most {self._largest} are taken; send fewer rows, or see --max-body"
            )
        return b"".join(parts)


def _unpacked(body: bytes, encoding: bytes) -> bytes:
    if encoding != b"gzip" or not body:
        return body
    try:
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
        found = unpacking.decompress(body, _UNPACKED)
    except zlib.error as error:
        raise RequestError("INVALID_ARGUMENT", f"the body is not the gzip that its header says: {error}") from error
    if unpacking.unconsumed_tail:
        raise RequestError("RESOURCE_EXHAUSTED", f"the body unpacks to more than {_UNPACKED} bytes")
    return found


class Web:
    """An ASGI application on a port.

    Args:
      application: What answers.
      host: Address to listen on.
      port: Its port; 0 for any free one.

    Attributes:
      port: The port it listens on.
    """

    def __init__(self, application: Application, host: str, port: int):
        self._socket = _listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        options = uvicorn.Config(
            application, http="h11", loop="asyncio", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
            date_header=True, timeout_graceful_shutdown=int(_STOP_SECONDS), timeout_keep_alive=_IDLE_SECONDS,
        )  # fmt: skip
        self._server = uvicorn.Server(options)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Answers from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Finishes what is being answered, and ends."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(_STOP_SECONDS + 5)
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise ServerError(f"cannot listen for REST on {host}:{port}: {error.strerror}; --rest-port 0 takes any free port") from error
    return listening
