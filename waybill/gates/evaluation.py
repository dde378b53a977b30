"""The metrics of a model, slice by slice, as the model gate weighs them: plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

OVERALL = "overall"  # the slice that holds every row


@dataclasses.dataclass(frozen=True)
class SliceMetrics:
    """The metrics of one slice.

    Attributes:
      feature: Feature it is a slice by, or empty for the overall slice.
      name: In words, such as `colour = red`, or `overall`.
      candidate: Value of each metric of the model that is judged, by TFMA's name; NaN where TFMA found none.
      baseline: The same for the baseline; empty when there is none.
    """

    feature: str
    name: str
    candidate: Mapping[str, float]
    baseline: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation, and what TFMA itself made of it.

    Attributes:
      slices: All slices, the overall one first, then by name.
      blessed: What Evaluator's blessing says.
      failures: TFMA's failed thresholds, in words.
      told: Where labels are classes: how many rows of a class (first) the model takes for which (second). Empty where they are not.
    """

    slices: tuple[SliceMetrics, ...]
    blessed: bool
    failures: tuple[str, ...]
    told: Mapping[tuple[int, int], int] = dataclasses.field(default_factory=dict)

    @property
    def has_baseline(self) -> bool:
        """Whether a baseline was evaluated beside the model."""
        return any(s.baseline for s in self.slices)
