"""What a pipeline's owner tolerates -> plain thresholds that a gate's node carries as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from waybill.gates.data_limits import DriftPolicy, VolumePolicy, check_share
from waybill.gates.errors import PolicyError
from waybill.gates.intervals import INTERVALS
from waybill.records.verdict import RuleOutcome

BINARY, CLASSES = "binary", "classes"

_Policy = TypeVar("_Policy", "DataPolicy", "ModelPolicy")


@dataclasses.dataclass(frozen=True)
class DataPolicy:
    """How the data gate weighs what it finds.

    Attributes:
      severities: Outcome for a kind of anomaly, by TFDV's name of the kind (`AnomalyInfo.Type`). A kind that is not listed blocks.
      max_unexpected_share: Values outside a feature's domain are a warning up to this share of the split's values, and weigh as
        `severities` says above it.
      min_rows: Fewest rows in each split of each span, by the split's name. A split that is not named needs one row.
      drift: How far the features of the interval's own span may be from the span before it; None: they are not compared.
      skew: How far they may be from a sample of what the model was asked during the interval; None: they are not compared.
      volume: How many rows the interval's own span may have beside those before it; None: they are not compared.
      leave_out_blocked: Whether an earlier span of the window that would block by itself is left out of the window instead.
    """

    severities: Mapping[str, RuleOutcome]
    max_unexpected_share: float
    min_rows: Mapping[str, int]
    drift: DriftPolicy | None = None
    skew: DriftPolicy | None = None
    volume: VolumePolicy | None = None
    leave_out_blocked: bool = False

    def __post_init__(self) -> None:
        check_share("max_unexpected_share", self.max_unexpected_share)
        for kind, outcome in self.severities.items():
            if outcome not in (RuleOutcome.WARN, RuleOutcome.BLOCK):
                raise PolicyError(f"severity of {kind} is {outcome.value}; expected WARN or BLOCK")

    def severity(self, kind: str) -> RuleOutcome:
        """What an anomaly of that kind does: BLOCK unless the policy names the kind."""
        return self.severities.get(kind, RuleOutcome.BLOCK)

    def to_json(self) -> str:
        """The policy as one line of JSON, for an execution property."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> DataPolicy:
        """The inverse of `to_json`.

        Raises:
          PolicyError: if the text is not a data policy.
        """
        value = _fields(text, cls)
        try:
            severities = {kind: RuleOutcome(outcome) for kind, outcome in value["severities"].items()}
            drift, skew = (DriftPolicy.from_json(value[name]) if value[name] else None for name in ("drift", "skew"))
            volume = VolumePolicy(**value["volume"]) if value["volume"] else None
            return cls(**{**value, "severities": severities, "drift": drift, "skew": skew, "volume": volume})
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise PolicyError(f"this is not a data policy: {error}") from error


@dataclasses.dataclass(frozen=True)
class Threshold:
    """Where one metric must lie.

    Attributes:
      metric: TFMA's name of it, such as `auc`.
      lower: Smallest good value, or None.
      upper: Largest good value, or None.
      overall: Whether it holds for all rows together, judged by the value itself, as TFMA does.
      slices: Features in whose slices it holds, judged by the confidence interval: a slice blocks when even the interval's better end
        misses the bound, and is a warning when only the value does.
      min_each_label: Fewest rows of each label a slice needs for the metric to mean something there, such as 10 for AUC; 0 for a metric
        that is defined in a slice of one label. Of binary labels only.
    """

    metric: str
    lower: float | None = None
    upper: float | None = None
    overall: bool = True
    slices: tuple[str, ...] = ()
    min_each_label: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "slices", tuple(self.slices))
        if self.lower is None and self.upper is None:
            raise PolicyError(f"the threshold on {self.metric} has no bound; give lower, upper or both")
        if not (self.overall or self.slices):
            raise PolicyError(f"the threshold on {self.metric} holds nowhere; set overall or name slices")
        if self.slices and self.metric not in INTERVALS:
            known = ", ".join(sorted(INTERVALS))
            raise PolicyError(f"{self.metric} has no confidence interval, so slices cannot be judged by it; expected one of {known}")

    def wanted(self) -> str:
        """The bounds in words."""
        bounds = [("at least", self.lower), ("at most", self.upper)]
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)

    def met_by(self, value: float) -> bool:
        """Whether a value lies within the bounds; NaN does not."""
        above = self.lower is None or value >= self.lower
        return above and (self.upper is None or value <= self.upper) and value == value


@dataclasses.dataclass(frozen=True)
class ChangeThreshold:
    """How far one overall metric may fall behind the baseline's.

    Attributes:
      metric: TFMA's name of it; higher is better.
      max_drop: Largest good fall, as a difference of the two values.
    """

    metric: str
    max_drop: float

    def __post_init__(self) -> None:
        if self.max_drop < 0:
            raise PolicyError(f"max_drop of {self.metric} is {self.max_drop}; expected 0 or more")


@dataclasses.dataclass(frozen=True)
class ModelPolicy:
    """How the model gate weighs an evaluation.

    Attributes:
      thresholds: Where metrics must lie.
      changes: How far metrics may fall behind the baseline's.
      slice_keys: Features whose every value is a slice of its own.
      min_slice_size: Fewest examples in a slice that is judged; a smaller one is reported as not judged.
      confidence: Level of the confidence intervals of slices.
      tells: What the model tells of a row: `binary`, a score from 0 to 1 for a label that is 0 or 1; or `classes`, a score for each
        class, for a label that is the number of one of them. It decides which metrics are measured.
    """

    thresholds: tuple[Threshold, ...]
    changes: tuple[ChangeThreshold, ...]
    slice_keys: tuple[str, ...]
    min_slice_size: int
    confidence: float = 0.95
    tells: str = BINARY

    def __post_init__(self) -> None:
        if self.tells not in (BINARY, CLASSES):
            raise PolicyError(f"the model tells {self.tells!r}; expected {BINARY} or {CLASSES}")
        if odd := [t.metric for t in self.thresholds if t.min_each_label and self.tells != BINARY]:
            raise PolicyError(f"{', '.join(odd)} asks for rows of each label, where labels are classes; give min_slice_size instead")
        if not any(t.overall for t in self.thresholds):
            raise PolicyError("the model policy has no overall threshold, so it would pass any model; give at least one")
        if self.min_slice_size < 1:
            raise PolicyError(f"min_slice_size is {self.min_slice_size}; expected 1 or more")
        if not 0.5 <= self.confidence < 1:
            raise PolicyError(f"confidence is {self.confidence}; expected 0.5 to below 1")
        if stray := {key for t in self.thresholds for key in t.slices} - set(self.slice_keys):
            raise PolicyError(f"a threshold names the slices of {sorted(stray)}; expected some of slice_keys: {list(self.slice_keys)}")

    def to_json(self) -> str:
        """The policy as one line of JSON, for an execution property."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelPolicy:
        """The inverse of `to_json`.

        Raises:
          PolicyError: if the text is not a model policy.
        """
        value = _fields(text, cls)
        try:
            return cls(
                thresholds=tuple(Threshold(**t) for t in value["thresholds"]),
                changes=tuple(ChangeThreshold(**c) for c in value["changes"]),
                slice_keys=tuple(value["slice_keys"]),
                min_slice_size=value["min_slice_size"],
                confidence=value["confidence"],
                tells=value["tells"],
            )
        except TypeError as error:
            raise PolicyError(f"this is not a model policy: {error}") from error


def _fields(text: str, kind: type[_Policy]) -> dict[str, Any]:
    """The JSON object in `text`, which must have exactly the fields of `kind`."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise PolicyError(f"got {text[:80]!r}, expected {kind.__name__}.to_json(): {error}") from error
    expected = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(value, dict) or set(value) != expected:
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise PolicyError(f"got {found}, expected the fields of {kind.__name__}: {sorted(expected)}")
    return value
