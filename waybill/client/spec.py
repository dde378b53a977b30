"""Which model is asked, and how long for an answer."""

from __future__ import annotations

import dataclasses
import time
import urllib.parse
from collections.abc import Callable
from typing import TypeVar

from waybill.client.errors import TooLate, Unreachable

Answer = TypeVar("Answer")


@dataclasses.dataclass(frozen=True)
class Spec:
    """What is asked.

    Attributes:
      model: The model's name.
      version: One version; None for the highest that answers.
      label: The version that bears a label, such as `stable`; empty for none. A version or a label, not both.
      signature: Name of the signature; empty for `serving_default`.

    Raises:
      ValueError: if both a version and a label are given, or no model.
    """

    model: str
    version: int | None = None
    label: str = ""
    signature: str = ""

    def __post_init__(self) -> None:
        if not self.model:
            raise ValueError("no model to ask; expected a name, such as orders")
        if self.version is not None and self.label:
            raise ValueError(f"got version {self.version} and label {self.label!r}; a question is for one of them")

    @property
    def path(self) -> str:
        """The path of REST, without what is asked."""
        base = f"/v1/models/{urllib.parse.quote(self.model, safe='')}"
        if self.version is not None:
            return f"{base}/versions/{self.version}"
        return f"{base}/labels/{urllib.parse.quote(self.label, safe='')}" if self.label else base


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long an answer may take, and how often is asked.

    Attributes:
      seconds: Until there must be an answer, all tries together.
      tries: How often is asked where nobody answers.
      pause: Seconds between the first two tries; twice as long each time.
    """

    seconds: float = 10.0
    tries: int = 4
    pause: float = 0.1

    def ask(self, where: str, once: Callable[[float], Answer]) -> Answer:
        """Asks until there is an answer. A question to a model changes nothing, so that it may be asked again.

        Args:
          where: What is asked, for errors.
          once: Asks once, within the seconds that it is given; raises Unreachable where asking again may help.

        Raises:
          Unreachable: if all tries were in vain.
          TooLate: if there was no time left for another.
        """
        deadline = time.monotonic() + self.seconds
        for number in range(1, self.tries + 1):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TooLate(f"{where} gave no answer within {self.seconds:g} s")
            try:
                return once(left)
            except Unreachable as error:
                if number == self.tries:
                    raise Unreachable(f"{error}, asked {number} times") from error
            time.sleep(max(0.0, min(self.pause * 2 ** (number - 1), deadline - time.monotonic())))
        raise Unreachable(f"{where} was not asked; expected at least one try")
