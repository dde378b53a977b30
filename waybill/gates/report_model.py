"""An evaluation, its policy and the rules that came of them -> the plots of the model gate's page: overall and by slice."""

from __future__ import annotations

import collections
import functools
import math
from collections.abc import Mapping, Sequence

from waybill.gates import intervals
from waybill.gates.evaluation import OVERALL, Evaluation, SliceMetrics
from waybill.gates.model_rules import COUNT, MEAN_LABEL
from waybill.gates.policy import ModelPolicy, Threshold
from waybill.gates.report_charts import Bar, Dot, bars, dots
from waybill.gates.report_plot import Plot, attempt
from waybill.gates.report_text import NONE, number, percent
from waybill.records.verdict import Verdict

WHOLE = "Overall: the candidate against the baseline"
SLICES = "Slice by slice, with confidence intervals"
_ROWS = 14  # slices in one picture
_MISTAKES = 10  # in one picture
_NOT_JUDGED = "NOT_JUDGED"
_URGENCY = {"BLOCK": 0, "WARN": 1, "PASS": 2}


def plots(evaluation: Evaluation, policy: ModelPolicy, verdict: Verdict) -> list[Plot]:
    """All plots; one that cannot be drawn says why."""
    overall = next((s for s in evaluation.slices if s.name == OVERALL), None)
    found = []
    outcomes = {(rule.name, rule.subject.rpartition(" (")[0] or rule.subject): rule.outcome.value for rule in verdict.rules}
    outcomes |= {(rule.name, rule.subject): rule.outcome.value for rule in verdict.rules}
    if overall is not None:
        judged = dict.fromkeys([*(t.metric for t in policy.thresholds if t.overall), *(c.metric for c in policy.changes)])
        found += [attempt(m, WHOLE, functools.partial(_overall, m, overall, policy, outcomes)) for m in judged]
        found.append(attempt("All metrics", WHOLE, functools.partial(_table, overall)))
    if evaluation.told:
        found.append(attempt("Classes taken for others", WHOLE, functools.partial(_mistaken, evaluation.told)))
    for threshold in policy.thresholds:
        for feature in threshold.slices:
            parts = [s for s in evaluation.slices if s.feature == feature]
            title = f"{threshold.metric} by {feature}"
            found.append(attempt(title, SLICES, functools.partial(_slices, title, threshold, parts, policy, outcomes)))
    return found


def _overall(metric: str, overall: SliceMetrics, policy: ModelPolicy, outcomes: Mapping[tuple[str, str], str]) -> Plot:
    """One metric over all rows, of the candidate and of the baseline, with the bounds that the policy sets."""
    bounds = [b for t in policy.thresholds if t.overall and t.metric == metric for b in (t.lower, t.upper) if b is not None]
    worst = min(
        (outcomes[key] for key in ((f"metrics.{metric}", OVERALL), (f"change.{metric}", OVERALL)) if key in outcomes),
        key=lambda outcome: _URGENCY.get(outcome, 3),
        default=_NOT_JUDGED,
    )
    old = overall.baseline.get(metric)
    rows = [_dot("candidate", metric, overall, overall.candidate.get(metric, math.nan), worst, policy)]
    if old is not None:
        rows.append(_dot("baseline", metric, overall, old, _NOT_JUDGED, policy))
        bounds += [old - c.max_drop for c in policy.changes if c.metric == metric and math.isfinite(old)]
    says = f"{metric} over {number(overall.candidate.get(COUNT))} examples" + ("." if old is not None else "; there is no baseline yet.")
    says += f" Lines: {' and '.join(number(b) for b in bounds)}." if bounds else ""
    return Plot(metric, says, dots(rows, bounds, says), ("", "value", "interval", "verdict"), _rows(rows), WHOLE, worst == "BLOCK")


def _table(overall: SliceMetrics) -> Plot:
    """Every overall metric, judged or not, as numbers."""
    names = sorted({*overall.candidate, *overall.baseline})
    rows = tuple((name, number(overall.candidate.get(name)), number(overall.baseline.get(name))) for name in names)
    return Plot("All metrics", "Everything that was measured overall.", head=("metric", "candidate", "baseline"), rows=rows, section=WHOLE)


def _mistaken(told: Mapping[tuple[int, int], int]) -> Plot:
    """Which classes the model takes for which others, the most frequent mistakes first."""
    of_class: collections.Counter[int] = collections.Counter()
    for (actual, _), rows in told.items():
        of_class[actual] += rows
    wrong = sorted(((pair, rows) for pair, rows in told.items() if pair[0] != pair[1] and rows), key=lambda each: (-each[1], each[0]))
    mistakes = sum(rows for _, rows in wrong)
    says = f"{number(mistakes)} of {number(sum(of_class.values()))} examples were taken for another class than they are."
    bars_drawn = [
        Bar(f"{actual} as {other}", rows / of_class[actual], None, f"{number(rows)} of {number(of_class[actual])}")
        for (actual, other), rows in wrong[:_MISTAKES]
    ]
    picture = {"picture": bars(bars_drawn, says)} if bars_drawn else {}
    table = tuple((str(actual), str(other), number(rows), percent(rows / of_class[actual])) for (actual, other), rows in wrong)
    return Plot(
        "Classes taken for others", says, head=("is", "taken for", "examples", "share of the class"), rows=table, section=WHOLE, **picture
    )


def _slices(
    title: str, threshold: Threshold, parts: Sequence[SliceMetrics], policy: ModelPolicy, outcomes: Mapping[tuple[str, str], str]
) -> Plot:
    """One metric in the slices by one feature, the worst judged first."""
    found = []
    for part in parts:
        outcome = outcomes.get((f"slices.{threshold.metric}", part.name), _NOT_JUDGED)
        value = part.candidate.get(threshold.metric, math.nan)
        name = part.name.partition(" = ")[2] or part.name
        examples = number(part.candidate.get(COUNT))
        found.append((_dot(name, threshold.metric, part, value, outcome, policy), examples))
    found.sort(key=lambda row: (_URGENCY.get(row[0].outcome, 3), _by_number(row[0].label)))
    rows, bounds = [row for row, _ in found], [b for b in (threshold.lower, threshold.upper) if b is not None]
    judged = [row for row in rows if row.outcome != _NOT_JUDGED]
    drawn, unjudged = judged[:_ROWS], len(rows) - len(judged)
    says = f"Wanted {threshold.wanted()}; bars are {policy.confidence:.0%} intervals."
    says += f" {len(judged) - len(drawn)} more slices are in the table only." if len(judged) > len(drawn) else ""
    says += f" {unjudged} slices are too small to judge." if unjudged else ""
    picture = {"picture": dots(drawn, bounds, f"{title}. {says}")} if drawn else {}
    table = tuple((*row, examples) for row, (_, examples) in zip(_rows(rows), found, strict=True))
    head, urgent = ("slice", "value", "interval", "verdict", "examples"), any(row.outcome == "BLOCK" for row in rows)
    return Plot(title, says, head=head, rows=table, section=SLICES, urgent=urgent, **picture)


def _dot(label: str, metric: str, part: SliceMetrics, value: float, outcome: str, policy: ModelPolicy) -> Dot:
    """A value with its interval, where one can be given."""
    count, positive = part.candidate.get(COUNT, math.nan), part.candidate.get(MEAN_LABEL, math.nan)
    return Dot(label, value, intervals.of(metric, value, count, positive, intervals.z_score(policy.confidence)), outcome)


def _by_number(label: str) -> tuple[int, str]:
    """Sorts 9 before 10, and numbers before words."""
    return (int(label), "") if label.isdecimal() and len(label) < 20 else (1 << 80, label)


def _rows(dots_drawn: Sequence[Dot]) -> tuple[tuple[str, ...], ...]:
    """The same as text."""
    rows = []
    for row in dots_drawn:
        interval = " to ".join(number(end) for end in row.interval) if row.interval else NONE
        rows.append((row.label, number(row.value), interval, row.outcome.lower().replace("_", " ")))
    return tuple(rows)
