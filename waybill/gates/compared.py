"""Two spreads of a feature and how far apart they may be -> a rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from waybill.gates.data_evidence import SplitEvidence
from waybill.gates.data_limits import DriftPolicy
from waybill.gates.distance import Sides, infinity_norm, jensen_shannon_divergence
from waybill.gates.spread import NOTHING, NUMBERS, UNKNOWN, VALUES, Spread
from waybill.records.verdict import Rule, RuleOutcome

_MEASURES = {  # names as in TFMD's comparators
    NUMBERS: ("jensen_shannon_divergence", "Jensen-Shannon divergence", jensen_shannon_divergence),
    VALUES: ("infinity_norm", "L-infinity distance", infinity_norm),
}
_SHOWN = 4  # bins or values named in a rule's evidence
_ABSENT = Spread(NOTHING, 1.0)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is compared, in words.

    Attributes:
      rule: What the rules are about, the first word of their names: `drift` or `skew`.
      where: The rows that are judged, such as `split train of span 201307010000`.
      other: Those they are compared with, such as `span 201304010000`.
      sides: How the evidence calls the other rows and these.
    """

    rule: str
    where: str
    other: str
    sides: Sides

    def rules(self, other: SplitEvidence, judged: SplitEvidence, features: Sequence[str], policy: DriftPolicy) -> list[Rule]:
        """One rule for each feature that is not exempt."""
        return [self._feature(name, other, judged, policy) for name in features if name not in policy.exempt]

    def not_judged(self, subject: str, expected: str, found: str) -> Rule:
        """The rule on what there was nothing to judge by."""
        return Rule(self.rule, subject, RuleOutcome.NOT_JUDGED, expected, found)

    def strangers(self, features: Sequence[str], policy: DriftPolicy) -> list[Rule]:
        """A rule for each feature that the policy names and the schema does not have."""
        expected = f"a feature of the schema, because the policy on {self.rule} names it"
        unknown = sorted({*policy.features, *policy.exempt} - set(features))
        return [self.not_judged(name, expected, "none of that name") for name in unknown]

    def _feature(self, name: str, other: SplitEvidence, judged: SplitEvidence, policy: DriftPolicy) -> Rule:
        """The rule on one feature."""
        subject = f"{name}, {self.where}"
        old, new = other.spreads.get(name, _ABSENT), judged.spreads.get(name, _ABSENT)
        kinds = {old.kind, new.kind} - {NOTHING}
        if not kinds:
            return Rule(self.rule, subject, RuleOutcome.PASS, f"what {self.other} has", "no values in either")
        if len(kinds) > 1 or UNKNOWN in kinds:
            expected = f"numbers in both or values in both, to be compared with {self.other}"
            return self.not_judged(subject, expected, f"{old.kind}, {self.sides[1]} {new.kind}")
        [kind] = kinds
        measure, words, distance_of = _MEASURES[kind]
        limit = policy.features.get(name, policy.numbers if kind == NUMBERS else policy.values)
        distance = distance_of(old, new, self.sides)
        return Rule(
            name=f"{self.rule}.{measure}",
            subject=subject,
            outcome=limit.weigh(distance.value),
            expected=f"{words} from {self.other} of {limit.wanted()}",
            found=f"{distance.value:.3f}",
            evidence=tuple(moved.says for moved in distance.moved[:_SHOWN]),
        )
