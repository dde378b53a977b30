"""How many rows a span may have beside those before it; the real quarters are judged in test_drift.py."""

from __future__ import annotations

import pytest

from waybill.gates import volume
from waybill.gates.data_evidence import SpanEvidence, SplitEvidence
from waybill.gates.data_limits import VolumePolicy
from waybill.gates.errors import PolicyError
from waybill.records.verdict import Rule, RuleOutcome

POLICY = VolumePolicy(max_drop=0.4, max_rise=1.0, min_spans=2)


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        (599, RuleOutcome.BLOCK),
        (600, RuleOutcome.PASS),
        (1000, RuleOutcome.PASS),
        (2000, RuleOutcome.PASS),
        (2001, RuleOutcome.BLOCK),
        (0, RuleOutcome.BLOCK),
    ],
)
def test_rows_may_fall_and_rise_as_far_as_the_policy_says(rows, outcome):
    assert judged([900, 1000, 1100, rows]).outcome is outcome


def test_one_odd_span_before_it_does_not_move_what_is_expected():
    assert judged([1000, 1000, 10, 300]).outcome is RuleOutcome.BLOCK
    assert judged([1000, 1000, 90_000, 1000]).outcome is RuleOutcome.PASS


def test_what_was_found_says_how_far_it_is_from_what():
    rule = judged([1000, 1200, 1100, 220])
    assert rule.subject == "span 4"
    assert rule.expected == "660 to 2200 rows; the median of the 3 spans before it is 1100"
    assert rule.found == "220 rows, 80% fewer"
    assert rule.evidence == ("span 3: 1100 rows", "span 2: 1200 rows", "span 1: 1000 rows")


def test_too_few_spans_before_it_are_not_judged():
    rule = judged([1000, 1])
    assert (rule.outcome, rule.found) == (RuleOutcome.NOT_JUDGED, "1 of them")
    assert judged([1]).outcome is RuleOutcome.NOT_JUDGED


def test_a_policy_can_warn_instead():
    assert judged([1000, 1000, 1], VolumePolicy(0.4, 1.0, 2, RuleOutcome.WARN)).outcome is RuleOutcome.WARN


def test_spans_without_rows_expect_none():
    assert judged([0, 0, 0]).outcome is RuleOutcome.PASS
    assert judged([0, 0, 5]).outcome is RuleOutcome.BLOCK


@pytest.mark.parametrize(
    "wrong",
    [{"max_drop": 1.5}, {"max_drop": -0.1}, {"max_rise": -1}, {"max_rise": float("nan")}, {"min_spans": 0}, {"outcome": RuleOutcome.PASS}],
)
def test_a_policy_that_cannot_be_applied_is_refused(wrong):
    with pytest.raises(PolicyError):
        VolumePolicy(**{"max_drop": 0.5, "max_rise": 1.0, **wrong})


def judged(rows: list[int], policy: VolumePolicy = POLICY) -> Rule:
    """The rule on spans of that many rows, a third of them in another split."""
    spans = [
        SpanEvidence(number, (SplitEvidence("train", n - n // 3, ()), SplitEvidence("eval", n // 3, ())), n, {})
        for number, n in enumerate(rows, start=1)
    ]
    return volume.judge(spans, policy)
