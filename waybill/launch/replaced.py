"""A third party's function -> ours in its place, and only as long as it is the one that ours was written for.

A replacement that outlives what it replaces breaks silently. So each is pinned by the digest of the source it stands in for, and another
version of the library ends in an error that says what to do, not in results that nobody can explain.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from waybill.launch.errors import LaunchError
from waybill.records import digest

_DONE = "_waybill_replaces"


class UnknownSource(LaunchError):
    """A function that is to be replaced is not the one that its replacement was written for.

    Attributes:
      name: Its dotted name.
      expected: Digest of the source that the replacement was written for.
      found: Digest of the installed one.
    """

    def __init__(self, name: str, expected: str, found: str):
        super().__init__(
            f"{name} is not the one that Waybill has a replacement for: expected source {expected}, found {found}. Install the locked "
            "requirements (`make clean`, then the verb again); after an upgrade compare the two versions, adapt the replacement and pin "
            "the new digest beside it"
        )
        self.name, self.expected, self.found = name, expected, found


def replace(owner: Any, name: str, source: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Puts a function in the place of `owner.name`; a second call changes nothing.

    Args:
      owner: Module or class that the function is looked up in.
      name: The function's name there.
      source: The first 16 hexadecimal characters of the digest of its source.
      make: Given the original, returns what takes its place.

    Raises:
      UnknownSource: if the source is another one; nothing is replaced then.
    """
    original = getattr(owner, name)
    if hasattr(original, _DONE):
        return
    check(owner, name, source)
    ours = make(original)
    setattr(ours, _DONE, original)
    setattr(owner, name, ours)


def check(owner: Any, name: str, source: str) -> None:
    """Checks that a function is the one that ours stands in for, or that ours overrides.

    Raises:
      UnknownSource: if it is another one.
    """
    found = source_digest(getattr(owner, name))
    if found != source:
        raise UnknownSource(f"{getattr(owner, '__module__', '')}.{owner.__name__}.{name}".lstrip("."), source, found)


def source_digest(function: Callable[..., Any]) -> str:
    """What `replace` compares: 16 hexadecimal characters that stand for a function's source text."""
    return digest.of_bytes(inspect.getsource(function).encode()).removeprefix(digest.PREFIX)[:16]
