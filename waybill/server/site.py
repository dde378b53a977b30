"""What `waybill serve` shows that is not TensorFlow Serving's: its pages, by path. TensorFlow Serving answers these paths with 404.

A page may be looked at only under a name that cannot be taken from this machine: a page of somebody else's, whose name was made to point
here after it was loaded (DNS rebinding), would otherwise read ours. Pages change nothing; what is asked through them is asked over REST.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

from waybill.server import page
from waybill.server.core import Core
from waybill.server.page_script import SCRIPT
from waybill.server.page_style import STYLE
from waybill.server.rest import Answer

# Only what this server sends is run, shown or asked; texts never become markup.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_PORT = re.compile(r":[0-9]{1,5}$")


def _first(core: Core) -> Answer:
    return Answer(200, page.render(core).encode("utf-8", "replace"), "text/html; charset=utf-8", HEADERS)


def _script(_: Core) -> Answer:
    return Answer(200, SCRIPT.encode(), "text/javascript; charset=utf-8", HEADERS)


def _style(_: Core) -> Answer:
    return Answer(200, STYLE.encode(), "text/css; charset=utf-8", HEADERS)


# A page takes what is served and returns what is sent.
PAGES: Mapping[str, Callable[[Core], Answer]] = {"/": _first, "/page/page.js": _script, "/page/page.css": _style}

_NOT_FOUND = Answer(404, b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n", "text/html")
_STRANGE_HOST = Answer(
    403,
    b"This page is shown under an address in numbers or as localhost only, so that no other site can read it under a name of its own. "
    b"Open it as http://127.0.0.1 with the server's port.\n",
    "text/plain; charset=utf-8",
    HEADERS,
)


def answer(core: Core, method: str, path: str, host: str) -> Answer:
    """The page of a path, 404 where there is none, or 403 for a name that could be anybody's.

    Args:
      core: What is served.
      method: Of HTTP, in capitals.
      path: The path as it was sent, with its query.
      host: The header Host.
    """
    found = PAGES.get(path.split("?")[0]) if method in ("GET", "HEAD") else None
    if not found:
        return _NOT_FOUND
    return found(core) if _ours(host) else _STRANGE_HOST


def _ours(host: str) -> bool:
    """Whether a Host is `localhost` or an address: no server of names has a say in what these point to."""
    name = _PORT.sub("", host).lower()
    if name == "localhost":
        return True
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True
