"""The rows of a window's spans -> a rule on how many the newest one has."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from waybill.gates.data_evidence import SpanEvidence
from waybill.gates.data_limits import VolumePolicy
from waybill.records.verdict import Rule, RuleOutcome


def judge(spans: Sequence[SpanEvidence], policy: VolumePolicy) -> Rule:
    """The rule on volume.

    The median, and not the mean: one earlier span that is far too small or too large does not move what is expected. It follows a lasting
    change only when half of the earlier spans have it.

    Args:
      spans: The spans of the window that are judged, oldest first; the last one is the interval's own.
      policy: How many rows it may have.
    """
    *earlier, own = spans
    subject, found = f"span {own.span}", f"{own.rows} rows"
    counted = tuple(f"span {span.span}: {span.rows} rows" for span in earlier)
    if len(earlier) < policy.min_spans:
        expected = f"at least {policy.min_spans} spans before it in the window to compare with"
        return Rule("volume.rows", subject, RuleOutcome.NOT_JUDGED, expected, f"{len(earlier)} of them", counted)
    usual = statistics.median(span.rows for span in earlier)
    least, most = usual * (1 - policy.max_drop), usual * (1 + policy.max_rise)
    expected = f"{least:g} to {most:g} rows; the median of the {len(earlier)} spans before it is {usual:g}"
    if usual:
        found += f", {abs(own.rows / usual - 1):.0%} {'fewer' if own.rows < usual else 'more'}"
    outcome = RuleOutcome.PASS if least <= own.rows <= most else policy.outcome
    return Rule("volume.rows", subject, outcome, expected, found, counted[::-1])
