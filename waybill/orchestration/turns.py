"""Requests that may write -> one after the other, in an API server whose database is SQLite.

Airflow writes its audit log on the event loop itself. While it waits there for the write lock, a request that holds the lock in a thread
cannot come to its commit, which the loop has to start: nobody is answered, tasks included, until SQLite's timeout is over, and then the
click is an error. Waiting here, before either has begun, holds nobody up; SQLite would let them write one after the other anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_READS = ("GET", "HEAD", "OPTIONS")

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class OneWriterAtATime:
    """An ASGI middleware.

    Args:
      app: What it stands before.
    """

    def __init__(self, app: App):
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Passes a request on: one that reads at once, any other when those before it are over, commits included."""
        if scope["type"] != "http" or scope["method"] in _READS:
            await self._app(scope, receive, send)
            return
        async with self._turn:
            await self._app(scope, receive, send)
