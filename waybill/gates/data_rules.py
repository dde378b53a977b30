"""What was found in a window's spans -> rules of the data gate's verdict.

Three questions: is every span of the window there once in everything that was handed in; is every row that landed still there in examples
and statistics; does every split of every span follow the schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from waybill.gates.data_evidence import Finding, SpanEvidence, SplitEvidence
from waybill.gates.policy import DataPolicy
from waybill.records.verdict import Rule, RuleOutcome


def judge(spans: Sequence[SpanEvidence], policy: DataPolicy) -> list[Rule]:
    """All rules on the content of the spans, in the order of the window."""
    rules = []
    for span in spans:
        rules += _rows_of_span(span)
        for split in span.splits:
            rules += [_enough(span, split, policy), *_schema(span, split, policy)]
    return rules


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


def _rows_of_span(span: SpanEvidence) -> list[Rule]:
    """Rows in = rows out, from the landed partition to the statistics."""
    subject = f"span {span.span}"
    if span.rows_source is None or not span.rows_written:
        found = "ingestion recorded no row counts"
        return [Rule("rows.conserved", subject, RuleOutcome.NOT_JUDGED, "as many rows in examples and statistics as landed", found)]
    written = sum(span.rows_written.values())
    counted = {split.name: split.rows for split in span.splits}
    good = span.rows_source == written and counted == dict(span.rows_written)
    rows = "; ".join(f"{name}: {n} written, {counted.get(name, 0)} in statistics" for name, n in sorted(span.rows_written.items()))
    return [
        Rule(
            name="rows.conserved",
            subject=subject,
            outcome=RuleOutcome.PASS if good else RuleOutcome.BLOCK,
            expected=f"the {span.rows_source} rows that landed, in examples and in statistics",
            found=f"{written} rows in examples, {sum(counted.values())} in statistics",
            evidence=(rows,),
        )
    ]


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
