"""An evaluation -> rules of the model gate's verdict.

The overall slice is judged by the values themselves, exactly as TFMA judges it, so that blessing and verdict must agree. Every other slice
is judged by its confidence interval: a small slice whose value is bad by chance is a warning, one that is surely bad blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from waybill.gates import intervals
from waybill.gates.evaluation import OVERALL, Evaluation, SliceMetrics
from waybill.gates.policy import BINARY, ChangeThreshold, ModelPolicy, Threshold
from waybill.records.verdict import MODEL_DIGEST, Rule, RuleOutcome, Verdict

COUNT, MEAN_LABEL = "example_count", "mean_label"
_BLESSING_RULE = "evaluator.blessing"
_BLESSED_BY = ("metrics.", "change.")  # rules on overall values, which TFMA judges by the same thresholds


def judge(evaluation: Evaluation, policy: ModelPolicy) -> list[Rule]:
    """All rules on the metrics: overall, against the baseline, TFMA's own judgement, then slice by slice."""
    overall = next((s for s in evaluation.slices if s.name == OVERALL), None)
    if overall is None or not overall.candidate.get(COUNT):
        found = "no such slice" if overall is None else "no examples in it"
        return [Rule("metrics.overall", OVERALL, RuleOutcome.BLOCK, "metrics over all evaluation rows", found)]
    rules = [_overall(t, overall) for t in policy.thresholds if t.overall]
    rules += [_change(c, overall, evaluation.has_baseline) for c in policy.changes]
    rules.append(_agreement(evaluation, rules))
    rules += _coverage(evaluation, policy, overall)
    for part in evaluation.slices:
        if part.feature in policy.slice_keys:
            rules += _slice(part, policy)
    return rules


def digest_rule(found: str) -> Rule:
    """Binds a verdict to the bytes of the model it is about."""
    return Rule(MODEL_DIGEST, "the exported model", RuleOutcome.PASS, "the bytes this verdict is about", found)


def judged_digest(verdict: Verdict) -> str | None:
    """Digest of the model that a verdict is about, or None when it names none."""
    return next((rule.found for rule in verdict.rules if rule.name == MODEL_DIGEST), None)


def explains_no_blessing(verdict: Verdict) -> bool:
    """Whether a verdict on a model lets pass what TFMA withheld its blessing for: thresholds on overall values, all of them waived."""
    waived = any(rule.name.startswith(_BLESSED_BY) for rule in verdict.waived())
    agreed = any(rule.name == _BLESSING_RULE and rule.outcome is RuleOutcome.WARN for rule in verdict.rules)
    return waived and agreed and verdict.decision.opens


def _overall(threshold: Threshold, overall: SliceMetrics) -> Rule:
    """A threshold on all rows: the value must meet it."""
    value = overall.candidate.get(threshold.metric, math.nan)
    good = math.isfinite(value) and threshold.met_by(value)
    return Rule(
        name=f"metrics.{threshold.metric}",
        subject=f"{OVERALL} ({overall.candidate[COUNT]:.0f} examples)",
        outcome=RuleOutcome.PASS if good else RuleOutcome.BLOCK,
        expected=threshold.wanted(),
        found=_text(value),
    )


def _change(change: ChangeThreshold, overall: SliceMetrics, has_baseline: bool) -> Rule:
    """A threshold on the fall against the baseline, on the same rows."""
    name, expected = f"change.{change.metric}", f"at most {change.max_drop:g} below the baseline"
    if not has_baseline:
        return Rule(name, OVERALL, RuleOutcome.NOT_JUDGED, expected, "no baseline yet: no earlier interval has a release")
    new, old = (side.get(change.metric, math.nan) for side in (overall.candidate, overall.baseline))
    good = math.isfinite(new - old) and new - old >= -change.max_drop
    found = f"{_text(new)} against {_text(old)}"
    return Rule(name, OVERALL, RuleOutcome.PASS if good else RuleOutcome.BLOCK, expected, found)


def _agreement(evaluation: Evaluation, rules: list[Rule]) -> Rule:
    """Whether TFMA came to the same result from the same thresholds; that it says no too is a note, for the thresholds block themselves."""
    ours = not any(rule.outcome is RuleOutcome.BLOCK for rule in rules)
    found = "BLESSED" if evaluation.blessed else "NOT_BLESSED"
    if ours != evaluation.blessed:
        found += ", although the thresholds above are " + ("all met" if ours else "not all met")
        return Rule(_BLESSING_RULE, "the model", RuleOutcome.BLOCK, "as the thresholds say", found, evaluation.failures)
    outcome = RuleOutcome.PASS if evaluation.blessed else RuleOutcome.WARN
    return Rule(_BLESSING_RULE, "the model", outcome, "BLESSED, as the thresholds say", found, evaluation.failures)


def _coverage(evaluation: Evaluation, policy: ModelPolicy, overall: SliceMetrics) -> Iterator[Rule]:
    """Whether the slices by a feature are there and hold each row at most once; else what they say cannot be trusted."""
    total = overall.candidate[COUNT]
    for key in policy.slice_keys:
        counts = [part.candidate.get(COUNT, math.nan) for part in evaluation.slices if part.feature == key]
        good = bool(counts) and sum(counts) <= total
        found = f"{len(counts)} slices with {sum(counts):.0f} of {total:.0f} examples"
        outcome = RuleOutcome.PASS if good else RuleOutcome.BLOCK
        yield Rule("slices.coverage", key, outcome, "slices that hold each example at most once", found)


def _slice(part: SliceMetrics, policy: ModelPolicy) -> Iterator[Rule]:
    """The thresholds that hold in one slice, or why it is not judged."""
    count, positive = part.candidate.get(COUNT, math.nan), part.candidate.get(MEAN_LABEL, math.nan)
    if not (math.isfinite(count) and (policy.tells != BINARY or math.isfinite(positive))):
        yield Rule("slices.counts", part.name, RuleOutcome.BLOCK, "example count and mean label", f"{_text(count)} and {_text(positive)}")
        return
    if count < policy.min_slice_size:
        expected, found = f"at least {policy.min_slice_size} examples", f"{count:.0f} examples, too few to judge"
        yield Rule("slices.size", part.name, RuleOutcome.NOT_JUDGED, expected, found)
        return
    rarer = round(count * min(positive, 1 - positive)) if policy.tells == BINARY else 0
    for threshold in policy.thresholds:
        if part.feature not in threshold.slices:
            continue
        if rarer < threshold.min_each_label:
            expected = f"{threshold.wanted()}, given {threshold.min_each_label} examples of each label"
            found = f"{rarer} examples of the rarer label among {count:.0f}, too few to judge"
            yield Rule(f"slices.{threshold.metric}", part.name, RuleOutcome.NOT_JUDGED, expected, found)
        else:
            yield _judged(threshold, part, policy.confidence)


def _judged(threshold: Threshold, part: SliceMetrics, confidence: float) -> Rule:
    """A threshold on a slice that is large enough: BLOCK when the interval lies outside, WARN when the value alone does."""
    name, subject = f"slices.{threshold.metric}", f"{part.name} ({part.candidate[COUNT]:.0f} examples)"
    value = part.candidate.get(threshold.metric, math.nan)
    if not math.isfinite(value):
        return Rule(name, subject, RuleOutcome.BLOCK, threshold.wanted(), _text(value))
    z, positive = intervals.z_score(confidence), part.candidate.get(MEAN_LABEL, math.nan)
    low, high = intervals.INTERVALS[threshold.metric](value, part.candidate[COUNT], positive, z)
    hopeless = not ((threshold.lower is None or high >= threshold.lower) and (threshold.upper is None or low <= threshold.upper))
    outcome = RuleOutcome.BLOCK if hopeless else RuleOutcome.PASS if threshold.met_by(value) else RuleOutcome.WARN
    found = f"{_text(value)}, {confidence:.0%} interval {_text(low)} to {_text(high)}"
    return Rule(name, subject, outcome, threshold.wanted(), found)


def _text(value: float) -> str:
    """A metric's value for a person."""
    return "no value" if math.isnan(value) else f"{value:.4f}"
