"""One disagreement between two places that should say the same -> words for a person, and whether it can be mended without one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Finding:
    """A disagreement.

    Attributes:
      where: What it is about: a run's node, a release, the base path.
      what: What the two places say.
      cause: How that came about, as far as can be told.
      mend: What would mend it, as a command or an act.
      repair: Mends it; None where that is a person's decision.
    """

    where: str
    what: str
    cause: str
    mend: str
    repair: Callable[[], object] | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding as plain values."""
        return {"where": self.where, "what": self.what, "cause": self.cause, "mend": self.mend, "safe": self.repair is not None}
