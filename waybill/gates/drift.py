"""The newest span of a window and the one before it -> a rule on the drift of each feature."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from waybill.gates.compared import Comparison
from waybill.gates.data_evidence import SpanEvidence
from waybill.gates.data_limits import DriftPolicy
from waybill.gates.distance import BEFORE_NOW
from waybill.records.verdict import Rule, RuleOutcome


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
        alone = _comparison(own, own)
        return [alone.not_judged(f"span {own.span}", "a span before it in the window to compare with", "none")]
    earlier = [rule for pair in itertools.pairwise(spans[:-1]) for rule in _pair(*pair, features, policy)]
    remarks = [dataclasses.replace(rule, outcome=RuleOutcome.WARN) for rule in earlier if rule.outcome is RuleOutcome.BLOCK]
    strangers = _comparison(spans[-2], own).strangers(features, policy)
    return [*strangers, *_pair(spans[-2], own, features, policy), *remarks]


def _pair(before: SpanEvidence, own: SpanEvidence, features: Sequence[str], policy: DriftPolicy) -> list[Rule]:
    """The rules on one span and the one before it."""
    comparison = dataclasses.replace(_comparison(before, own), where=f"split {policy.split} of span {own.span}")
    old, new = before.split(policy.split), own.split(policy.split)
    rows = [split.rows if split else 0 for split in (old, new)]
    if old is None or new is None or min(rows) < policy.min_rows:
        found = f"{rows[0]} in span {before.span}, {rows[1]} in span {own.span}"
        return [comparison.not_judged(f"span {own.span}", f"at least {policy.min_rows} rows in split {policy.split} of both spans", found)]
    return comparison.rules(old, new, features, policy)


def _comparison(before: SpanEvidence, own: SpanEvidence) -> Comparison:
    return Comparison("drift", f"span {own.span}", f"span {before.span}", BEFORE_NOW)
