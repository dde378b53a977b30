"""What a model is asked when it serves, beside what it learns from -> a rule on the skew of each feature."""

from __future__ import annotations

from collections.abc import Sequence

from waybill.gates.compared import Comparison
from waybill.gates.data_evidence import SpanEvidence, SplitEvidence
from waybill.gates.data_limits import DriftPolicy
from waybill.records.verdict import Rule

SAMPLE = "serving sample"  # the name of its one split, in words


def judge(own: SpanEvidence, sample: SplitEvidence | None, features: Sequence[str], policy: DriftPolicy) -> list[Rule]:
    """The rules on skew between training and serving.

    Args:
      own: The interval's own span.
      sample: What was asked during the interval, or None where nobody delivered it.
      features: The names of the schema's features.
      policy: How far they may be apart; what requests cannot have, such as the label, is exempt there.
    """
    where = f"{SAMPLE} of span {own.span}"
    comparison = Comparison("skew", where, f"split {policy.split} of span {own.span}", ("in training", "when served"))
    if sample is None:
        return [comparison.not_judged(f"span {own.span}", "a sample of what the model was asked during the interval", "none was landed")]
    trained = own.split(policy.split)
    rows = trained.rows if trained else 0
    if trained is None or min(rows, sample.rows) < policy.min_rows:
        found = f"{rows} in split {policy.split}, {sample.rows} in the sample"
        return [comparison.not_judged(where, f"at least {policy.min_rows} rows in both", found)]
    return [*comparison.strangers(features, policy), *comparison.rules(trained, sample, features, policy)]
