"""What `waybill serve` shows that is not TensorFlow Serving's: its pages, by path. TensorFlow Serving answers these paths with 404."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from waybill.server.core import Core
from waybill.server.rest import Answer

# A page takes what is served and returns what is sent.
PAGES: Mapping[str, Callable[[Core], Answer]] = {}

_NOT_FOUND = Answer(404, b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n", "text/html")


def answer(core: Core, method: str, path: str) -> Answer:
    """The page of a path, or 404."""
    page = PAGES.get(path.split("?")[0]) if method in ("GET", "HEAD") else None
    return page(core) if page else _NOT_FOUND
