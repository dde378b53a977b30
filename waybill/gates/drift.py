"""The newest span of a window and the one before it -> a rule on the drift of each feature."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from waybill.gates.data_evidence import SpanEvidence, SplitEvidence
from waybill.gates.data_limits import DriftPolicy
from waybill.gates.distance import infinity_norm, jensen_shannon_divergence
from waybill.gates.spread import NOTHING, NUMBERS, UNKNOWN, VALUES, Spread
from waybill.records.verdict import Rule, RuleOutcome

_MEASURES = {  # names as in TFMD's drift comparator
    NUMBERS: ("jensen_shannon_divergence", "Jensen-Shannon divergence", jensen_shannon_divergence),
    VALUES: ("infinity_norm", "L-infinity distance", infinity_norm),
}
_SHOWN = 4  # bins or values named in a rule's evidence
_ABSENT = Spread(NOTHING, 1.0)


def judge(spans: Sequence[SpanEvidence], features: Sequence[str], policy: DriftPolicy) -> list[Rule]:
    """The rules on drift.

    An earlier span that drifted so far that its own run was to be blocked does not block this one, or a lasting change would block every
    run whose window begins before it. It is a warning, because the model learns from it: uncorrected damage is not forgotten.

    Args:
      spans: The spans of the window that are judged, oldest first; the last one is the interval's own.
      features: The names of the schema's features.
      policy: How far they may drift.
    """
    own = spans[-1]
    if len(spans) < 2:
        return [_not_judged(f"span {own.span}", "a span before it in the window to compare with", "none")]
    earlier = [rule for pair in itertools.pairwise(spans[:-1]) for rule in _pair(*pair, features, policy)]
    remarks = [dataclasses.replace(rule, outcome=RuleOutcome.WARN) for rule in earlier if rule.outcome is RuleOutcome.BLOCK]
    unknown = sorted({*policy.features, *policy.exempt} - set(features))
    strangers = [
        _not_judged(name, "a feature of the schema, because the policy on drift names it", "none of that name") for name in unknown
    ]
    return [*strangers, *_pair(spans[-2], own, features, policy), *remarks]


def _pair(before: SpanEvidence, own: SpanEvidence, features: Sequence[str], policy: DriftPolicy) -> list[Rule]:
    """The rules on one span and the one before it."""
    pair = [next((s for s in span.splits if s.name == policy.split), None) for span in (before, own)]
    rows = [split.rows if split else 0 for split in pair]
    if pair[0] is None or pair[1] is None or min(rows) < policy.min_rows:
        found = f"{rows[0]} in span {before.span}, {rows[1]} in span {own.span}"
        return [_not_judged(f"span {own.span}", f"at least {policy.min_rows} rows in split {policy.split} of both spans", found)]
    where = f"split {policy.split} of span {own.span}"
    compared = [name for name in features if name not in policy.exempt]
    return [_feature(name, where, before.span, pair[0], pair[1], policy) for name in compared]


def _feature(name: str, where: str, other: int, before: SplitEvidence, now: SplitEvidence, policy: DriftPolicy) -> Rule:
    """The rule on one feature."""
    subject = f"{name}, {where}"
    old, new = before.spreads.get(name, _ABSENT), now.spreads.get(name, _ABSENT)
    kinds = {old.kind, new.kind} - {NOTHING}
    if not kinds:
        return Rule("drift", subject, RuleOutcome.PASS, f"what span {other} has", "no values in either")
    if len(kinds) > 1 or UNKNOWN in kinds:
        return _not_judged(subject, f"numbers in both or values in both, to be compared with span {other}", f"{old.kind}, now {new.kind}")
    [kind] = kinds
    measure, words, distance_of = _MEASURES[kind]
    limit = policy.features.get(name, policy.numbers if kind == NUMBERS else policy.values)
    distance = distance_of(old, new)
    return Rule(
        name=f"drift.{measure}",
        subject=subject,
        outcome=limit.weigh(distance.value),
        expected=f"{words} from span {other} of {limit.wanted()}",
        found=f"{distance.value:.3f}",
        evidence=tuple(moved.says for moved in distance.moved[:_SHOWN]),
    )


def _not_judged(subject: str, expected: str, found: str) -> Rule:
    return Rule("drift", subject, RuleOutcome.NOT_JUDGED, expected, found)
