"""What was found in a window's spans -> rules of the data gate's verdict.

Of each span by itself: is it there once in everything that was handed in; is every row that landed still there in examples and statistics;
does every split follow the schema. Of the interval's own span beside those before it: has it as many rows as they had, and are its features
spread as they were; and as they are in what the model is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from waybill.gates import drift, skew, volume
from waybill.gates.data_evidence import Finding, SpanEvidence, SplitEvidence
from waybill.gates.policy import DataPolicy
from waybill.records.verdict import Rule, RuleOutcome


def judge(
    spans: Sequence[SpanEvidence], features: Sequence[str], policy: DataPolicy, sample: SplitEvidence | None = None
) -> tuple[list[Rule], tuple[int, ...]]:
    """Judges the content of a window.

    Args:
      spans: The spans of the window; the one with the highest number is the interval's own.
      features: The names of the schema's features.
      policy: What is tolerated.
      sample: What the model was asked during the interval, or None where nobody delivered it.

    Returns:
      The rules, in the order of the window, and the numbers of the spans that are left out of it, which the others are not compared with.
    """
    rules: list[Rule] = []
    kept, left_out = [], []
    *earlier, own = sorted(spans, key=lambda span: span.span)
    for span in (*earlier, own):
        found = _of_span(span, policy)
        blocking = [rule for rule in found if rule.outcome is RuleOutcome.BLOCK]
        if blocking and span is not own and policy.leave_out_blocked:
            left_out.append(span.span)
            rules.append(_left_out(span, blocking))
        else:
            kept.append(span)
            rules += found
    if policy.volume:
        rules.append(volume.judge(kept, policy.volume))
    if policy.drift:
        rules += drift.judge(kept, features, policy.drift)
    if policy.skew:
        rules += skew.judge(own, sample, features, policy.skew)
    return rules, tuple(left_out)


def same_spans(spans: Mapping[str, Sequence[int]]) -> Rule:
    """Whether each kind of evidence covers the same spans, each once.

    Args:
      spans: Span numbers by the kind of evidence, such as `statistics`, in the order they were handed in.
    """
    texts = {kind: ", ".join(map(str, sorted(numbers))) or "none" for kind, numbers in spans.items()}
    once = all(len(set(numbers)) == len(numbers) > 0 for numbers in spans.values())
    good = once and len({tuple(sorted(numbers)) for numbers in spans.values()}) == 1
    return Rule(
        name="window.same_spans",
        subject="the window",
        outcome=RuleOutcome.PASS if good else RuleOutcome.BLOCK,
        expected="every span once in examples, statistics and anomalies",
        found="; ".join(f"{kind}: {text}" for kind, text in texts.items()),
    )


def same_splits(span: int, splits: Mapping[str, Sequence[str]]) -> Rule:
    """Whether each kind of evidence covers the same splits of a span, so that no split went unlooked at."""
    good = len({tuple(sorted(names)) for names in splits.values()}) == 1 and all(splits.values())
    return Rule(
        name="window.same_splits",
        subject=f"span {span}",
        outcome=RuleOutcome.PASS if good else RuleOutcome.BLOCK,
        expected="the same splits in examples, statistics and anomalies",
        found="; ".join(f"{kind}: {', '.join(sorted(names)) or 'none'}" for kind, names in splits.items()),
    )


def _of_span(span: SpanEvidence, policy: DataPolicy) -> list[Rule]:
    """The rules on one span by itself."""
    rules = [_conserved(span)]
    absent = sorted(set(policy.min_rows) - {split.name for split in span.splits})
    for name in absent:
        rules += [_no_such_split(span, name, policy.min_rows[name])]
    for split in span.splits:
        rules += [_enough(span, split, policy), *_schema(span, split, policy)]
    return rules


def _no_such_split(span: SpanEvidence, name: str, least: int) -> Rule:
    """What is said of a split that must have rows and is not there at all."""
    return Rule("rows.enough", f"split {name} of span {span.span}", RuleOutcome.BLOCK, f"at least {least} rows", "no such split")


def _left_out(span: SpanEvidence, blocking: Sequence[Rule]) -> Rule:
    """What is said of a span that does not block, because the window does without it."""
    return Rule(
        name="window.left_out",
        subject=f"span {span.span}",
        outcome=RuleOutcome.WARN,
        expected="an earlier span whose own rules do not block",
        found=f"{len(blocking)} rules that do; the span is left out of the window",
        evidence=tuple(rule.sentence() for rule in blocking),
    )


def _conserved(span: SpanEvidence) -> Rule:
    """Rows in = rows out, from the landed partition to the statistics."""
    subject = f"span {span.span}"
    if span.rows_source is None or not span.rows_written:
        found = "ingestion recorded no row counts"
        return Rule("rows.conserved", subject, RuleOutcome.NOT_JUDGED, "as many rows in examples and statistics as landed", found)
    counted = {split.name: split.rows for split in span.splits}
    good = span.rows_source == sum(span.rows_written.values()) and counted == dict(span.rows_written)
    return Rule(
        name="rows.conserved",
        subject=subject,
        outcome=RuleOutcome.PASS if good else RuleOutcome.BLOCK,
        expected=f"the {span.rows_source} rows that landed, in examples and, split by split, in statistics",
        found=f"{by_split(span.rows_written)} in examples, {by_split(counted)} in statistics",
    )


def by_split(rows: Mapping[str, int]) -> str:
    """Numbers of rows in words: `884 rows (eval 297, train 587)`."""
    return f"{sum(rows.values())} rows ({', '.join(f'{name} {number}' for name, number in sorted(rows.items()))})"


def _enough(span: SpanEvidence, split: SplitEvidence, policy: DataPolicy) -> Rule:
    """Whether the split has the rows that everything after it needs."""
    least = max(1, policy.min_rows.get(split.name, 1))
    outcome = RuleOutcome.PASS if split.rows >= least else RuleOutcome.BLOCK
    return Rule("rows.enough", _subject(span, split), outcome, f"at least {least} rows", f"{split.rows} rows")


def _schema(span: SpanEvidence, split: SplitEvidence, policy: DataPolicy) -> list[Rule]:
    """One rule per anomaly, or one that says there is none."""
    if not split.findings:
        return [Rule("schema.anomalies", _subject(span, split), RuleOutcome.PASS, "no anomalies", "none")]
    return [_finding(_subject(span, split), finding, policy) for finding in split.findings]


def _finding(where: str, finding: Finding, policy: DataPolicy) -> Rule:
    """An anomaly, weighed."""
    outcome, expected, found = policy.severity(finding.kind), finding.expected, finding.says.rstrip(". ")
    if finding.unexpected_share is not None:
        if finding.unexpected_share <= policy.max_unexpected_share:
            outcome = RuleOutcome.WARN
        expected += f"; at most {policy.max_unexpected_share:.1%} of the values outside"
        found = f"{finding.unexpected_share:.1%} of the values outside"
    name = "schema." + finding.kind.lower().removeprefix("schema_")
    return Rule(name, f"{finding.feature}, {where}", outcome, expected, found, finding.facts)


def _subject(span: SpanEvidence, split: SplitEvidence) -> str:
    """A split of a span, in words."""
    return f"split {split.name} of span {span.span}"
