"""How much the newest span may differ from those before it -> plain limits, parts of a `DataPolicy`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from waybill.gates.errors import PolicyError
from waybill.records.verdict import RuleOutcome


@dataclasses.dataclass(frozen=True)
class DriftLimit:
    """How far a feature may drift; both distances are shares, 0 for no drift and 1 for nothing in common.

    Attributes:
      warn_above: A larger distance is a warning; None for no warning.
      block_above: A larger distance blocks; None for a feature that never blocks.
    """

    warn_above: float | None = None
    block_above: float | None = None

    def __post_init__(self) -> None:
        given = [limit for limit in (self.warn_above, self.block_above) if limit is not None]
        if not given:
            raise PolicyError("a drift limit has neither warn_above nor block_above; give one, or make the feature exempt")
        for limit in given:
            check_share("a drift limit", limit)
        if given != sorted(given):
            raise PolicyError(f"a drift limit warns above {self.warn_above} and blocks above {self.block_above}; expected the first below")

    def weigh(self, distance: float) -> RuleOutcome:
        """What a distance does."""
        if self.block_above is not None and distance > self.block_above:
            return RuleOutcome.BLOCK
        return RuleOutcome.WARN if self.warn_above is not None and distance > self.warn_above else RuleOutcome.PASS

    def wanted(self) -> str:
        """The limits in words."""
        limits = [("a warning", self.warn_above), ("blocks", self.block_above)]
        lowest, *rest = [(word, limit) for word, limit in limits if limit is not None]
        return f"at most {lowest[1]:g}" + "".join(f" (more than {limit:g} {word})" for word, limit in rest)


@dataclasses.dataclass(frozen=True)
class DriftPolicy:
    """How far the features of the interval's own span may be from others: of the span before it (drift), or of a serving sample (skew).

    Attributes:
      numbers: Limit on the Jensen-Shannon divergence of a feature with numbers, in bits.
      values: Limit on the L-infinity distance of a feature with categories: the largest change of one value's share.
      features: Limits of single features, by name, instead of the two above.
      exempt: Features that are not compared, because they drift by nature, such as a timestamp, or because no request has them, such as
        the label.
      min_rows: Fewest rows on both sides; below that chance alone moves the shares, and nothing is judged.
      split: The split that is compared: the one that the model learns from. The others are samples of the same rows.
    """

    numbers: DriftLimit
    values: DriftLimit
    features: Mapping[str, DriftLimit] = dataclasses.field(default_factory=dict)
    exempt: tuple[str, ...] = ()
    min_rows: int = 1
    split: str = "train"

    def __post_init__(self) -> None:
        object.__setattr__(self, "exempt", tuple(self.exempt))
        if self.min_rows < 1:
            raise PolicyError(f"min_rows of drift or skew is {self.min_rows}; expected 1 or more")
        if both := set(self.exempt) & set(self.features):
            raise PolicyError(f"{sorted(both)} are exempt from drift or skew and have a limit; expected one of the two")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DriftPolicy:
        """The inverse of `dataclasses.asdict`.

        Raises:
          TypeError: if a field is missing or unknown.
          KeyError: if a limit is missing.
        """
        limits = {name: DriftLimit(**limit) for name, limit in value["features"].items()}
        return cls(**{**value, "numbers": DriftLimit(**value["numbers"]), "values": DriftLimit(**value["values"]), "features": limits})


@dataclasses.dataclass(frozen=True)
class VolumePolicy:
    """How many rows the interval's own span may have, beside the median of the spans before it in the window.

    Attributes:
      max_drop: Largest good fall below the median, as a share of it: 0.5 for half of it.
      max_rise: Largest good rise above the median, as a share of it: 1 for twice as many rows.
      min_spans: How many spans before it are needed to judge.
      outcome: What a larger change does.
    """

    max_drop: float
    max_rise: float
    min_spans: int = 1
    outcome: RuleOutcome = RuleOutcome.BLOCK

    def __post_init__(self) -> None:
        object.__setattr__(self, "outcome", RuleOutcome(self.outcome))
        check_share("max_drop", self.max_drop)
        if not self.max_rise >= 0:
            raise PolicyError(f"max_rise is {self.max_rise}; expected 0 or more")
        if self.min_spans < 1:
            raise PolicyError(f"min_spans is {self.min_spans}; expected 1 or more")
        if self.outcome not in (RuleOutcome.WARN, RuleOutcome.BLOCK):
            raise PolicyError(f"the outcome of volume is {self.outcome.value}; expected WARN or BLOCK")


def check_share(name: str, value: float) -> None:
    """Raises PolicyError unless `value` is a share."""
    if not 0 <= value <= 1:
        raise PolicyError(f"{name} is {value}; expected a share, 0 to 1")
