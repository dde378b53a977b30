"""A base path and a version policy -> the versions that should be loaded, and the folder of each.

    base path with 42, 17, non_numerical_child; policy latest(1)    ->    {42: base path/42}

A child is a version when its whole name is an integer, as for TensorFlow Serving: whether it is complete is not asked. Nothing is written.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from waybill.server.errors import invalid

_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


@dataclasses.dataclass(frozen=True)
class Policy:
    """Which of the versions there are.

    Attributes:
      latest: How many of the highest; 0 for all of them.
      specific: Exactly these instead, where there are any; None for none named.
    """

    latest: int = 1
    specific: frozenset[int] | None = None

    @classmethod
    def of(cls, message: Any) -> Policy:
        """Reads a ServableVersionPolicy; one that says nothing, or latest without a number, is the highest version."""
        choice = message.WhichOneof("policy_choice")
        if choice == "all":
            return cls(latest=0)
        if choice == "specific":
            return cls(specific=frozenset(message.specific.versions))
        return cls(latest=max(message.latest.num_versions, 1))

    def choose(self, there: Mapping[int, pathlib.Path]) -> dict[int, pathlib.Path]:
        """Those of the versions that should be loaded."""
        if self.specific is not None:
            return {version: path for version, path in there.items() if version in self.specific}
        highest = sorted(there, reverse=True)
        return {version: there[version] for version in (highest[: self.latest] if self.latest else highest)}


def versions(name: str, base: pathlib.Path) -> dict[int, pathlib.Path]:
    """The versions under a base path.

    Two folders of one number, such as 17 and 00017, are one version: the name that sorts last is taken.

    Raises:
      RequestError: if there is no such base path.
    """
    try:
        children = sorted(path.name for path in base.iterdir())
    except OSError as error:
        raise invalid(f"Could not find base path {base} for servable {name} with error {error.strerror}") from error
    numbers = ((_number(child), child) for child in children)
    return {number: base / child for number, child in numbers if number is not None}


def _number(name: str) -> int | None:
    """The version that a folder's name is."""
    if not _WHOLE.fullmatch(name):
        return None
    number = int(name)
    return number if _SMALLEST <= number <= _LARGEST else None
