"""A model's folder, and what came of trying it -> rules of the infra validator's verdict.

A rule is there for everything that was come to. What was not come to has none, and the rule `infra.process` blocks and says why. Rules
named `infra.` say whether the model can be served at all; those on sizes, times and personal data, how well.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from waybill.gates.infra_evidence import Export, Scores, Trial
from waybill.gates.infra_policy import InfraPolicy
from waybill.records.live_scores import MAX_ROWS, LiveScores, by_size, largest_difference
from waybill.records.verdict import Rule, RuleOutcome

MODEL = "the exported model"
_EVAL = "the eval split"
_PASS, _BLOCK, _NOT_JUDGED = RuleOutcome.PASS, RuleOutcome.BLOCK, RuleOutcome.NOT_JUDGED
_FIRST_WAY = "C++ loader, serving_default"


def of_export(export: Export, policy: InfraPolicy) -> Iterator[Rule]:
    """Rules on the folder as it lies there."""
    found = f"{len(export.strangers)} others" if export.strangers else "nothing else"
    yield _rule("infra.files", MODEL, not export.strangers, "plain files and folders only", found, export.strangers)
    yield _rule("size.files", MODEL, export.files <= policy.max_files, f"at most {policy.max_files}", str(export.files))
    small = export.size <= policy.max_bytes
    yield _rule("size.bytes", MODEL, small, f"at most {_mib(policy.max_bytes)}", _mib(export.size))
    good = not export.denied and not export.unreadable
    found = export.unreadable or (f"{len(export.denied)} others" if export.denied else "no others")
    expected = "operations that a served model needs"
    yield _rule("infra.operations", MODEL, good, expected, found, export.denied)
    found = export.warmup_problem or str(export.warmup or "none")
    yield _rule("infra.warmup", MODEL, not export.warmup_problem, "requests that TensorFlow Serving can replay, or none", found)
    if export.warmup:
        personal = sorted(export.warmup_columns & set(policy.personal_columns))
        expected = f"none of {', '.join(policy.personal_columns) or 'no columns'}, since they are stored with the model"
        yield _rule("warmup.personal", MODEL, not personal, expected, ", ".join(personal) or "none of them")


def may_be_tried(rules: Sequence[Rule]) -> bool:
    """Whether nothing in a model's folder speaks against running it."""
    return not any(rule.outcome is _BLOCK and rule.name.startswith("infra.") for rule in rules)


def not_tried() -> Rule:
    """Says that nothing of the model was run, because of what other rules say."""
    return Rule("infra.process", MODEL, _NOT_JUDGED, "loaded and asked", "not tried, because of how it lies there")


def of_trial(trial: Trial, policy: InfraPolicy, live: LiveScores | None, rows: int) -> Iterator[Rule]:
    """Rules on how it answered.

    Args:
      trial: What came of it.
      policy: What is good.
      live: What the trained model had said of the eval split, before it was exported.
      rows: How many rows the eval split has.
    """
    expected = f"loaded and asked in at most {policy.max_trial_seconds:g} s and {_mib(policy.max_trial_memory)}"
    found = f"its process {trial.problem}" if trial.problem else f"{trial.seconds:.1f} s and {_mib(trial.memory)}"
    yield _rule("infra.process", MODEL, not trial.problem, expected, found, trial.words if trial.problem else ())
    yield Rule(
        "infra.network", MODEL, _NOT_JUDGED if trial.network else _PASS, "tried without a network", trial.network or "there was none"
    )
    yield from _times(trial, policy)
    if trial.variables is not None:
        bad = trial.variables["bad"]
        found = f"{len(bad)} of {trial.variables['looked_at']} hold others"
        yield _rule("infra.variables", MODEL, not bad, "finite numbers only", found, tuple(map(str, bad)))
    if trial.warmup is not None:
        yield Rule("infra.replayed", MODEL, _PASS, "an answer to each", f"{trial.warmup} answers")
    yield from _scores(trial, policy, live)
    if trial.cpp_every is not None or rows > MAX_ROWS:
        yield _trained(trial.cpp_every, policy, live, rows)


def _times(trial: Trial, policy: InfraPolicy) -> Iterator[Rule]:
    for name, loader, seconds in (
        ("latency.load_cpp", "C++ loader", trial.cpp_load),
        ("latency.load_python", "Python loader", trial.python_load),
    ):
        if seconds is not None:
            yield _time(name, loader, seconds, policy.max_load_seconds)
    if trial.cpp_single is not None:
        yield _time("latency.single", "an answer about one row", statistics.median(trial.cpp_single["seconds"]), policy.max_single_seconds)
    if trial.cpp_batch is not None:
        what = f"an answer about {len(trial.cpp_examples or ())} rows"
        yield _time("latency.batch", what, statistics.median(trial.cpp_batch), policy.max_batch_seconds)


def _scores(trial: Trial, policy: InfraPolicy, live: LiveScores | None) -> Iterator[Rule]:
    """Whether the golden rows get scores that are numbers, tell rows apart, and are the same by every way."""
    first = trial.cpp_examples
    if first is None:
        return
    for way, scores in _ways(trial).items():
        bad = sum(not all(map(math.isfinite, row)) for row in scores)
        yield _rule("infra.finite", way, not bad, "a finite score for each golden row", f"{len(scores) - bad} of {len(scores)}")
        if way != _FIRST_WAY:
            reference = first[: len(scores)] if way.endswith("one by one") else first
            yield _same("infra.agree", way, f"the scores of {_FIRST_WAY}", _difference(reference, scores), policy)
    if len(first) < 2:
        return
    low, high = _widest(by_size(first))
    of_live = _widest(live.scores) if live and live.scores else (math.nan, math.nan)
    constant = of_live[1] - of_live[0] <= policy.tolerance
    expected = "the same score for all rows, as the trained model gives" if constant else "different scores for different rows"
    yield _rule("infra.vary", f"{len(first)} golden rows", constant or high > low, expected, f"{low:.6g} to {high:.6g}")


def _widest(columns: Scores) -> tuple[float, float]:
    """The least and the largest of those scores that differ most from row to row."""
    return max(((column[0], column[-1]) for column in columns), key=lambda ends: ends[1] - ends[0], default=(math.nan, math.nan))


def _difference(some: Scores, others: Scores) -> float:
    """The largest difference of two lists of rows; infinite when they are not as many numbers."""
    if [len(row) for row in some] != [len(row) for row in others]:
        return math.inf
    return largest_difference([n for row in some for n in row], [n for row in others for n in row])


def _ways(trial: Trial) -> dict[str, Scores]:
    found: Mapping[str, Scores | None] = {
        _FIRST_WAY: trial.cpp_examples,
        "C++ loader, raw": trial.cpp_raw,
        "C++ loader, serving_default, one by one": trial.cpp_single["scores"] if trial.cpp_single else None,
        "Python loader, serving_default": trial.python_examples,
        "Python loader, raw": trial.python_raw,
    }
    return {way: scores for way, scores in found.items() if scores is not None}


def _trained(every: Scores | None, policy: InfraPolicy, live: LiveScores | None, rows: int) -> Rule:
    """Whether the exported model says what the model in the trainer's memory had said, of all rows."""
    name, wanted = "infra.trained", f"the scores of the model before it was exported, up to {policy.tolerance:g}"
    if live is None:
        return Rule(name, _EVAL, _NOT_JUDGED, wanted, "the trainer left none")
    if live.rows != rows:
        return Rule(name, _EVAL, _BLOCK, wanted, f"{rows} rows; the trainer had {live.rows}")
    if live.scores is None or every is None:
        return Rule(name, _EVAL, _NOT_JUDGED, wanted, f"{rows} rows, more than the {MAX_ROWS} that are compared")
    if len(every) != live.rows:
        return Rule(name, _EVAL, _BLOCK, wanted, f"{len(every)} rows; the trainer had {live.rows}")
    return _same(name, f"{_EVAL}, {rows} rows sorted by score", wanted, _difference(live.scores, by_size(every)), policy)


def _same(name: str, subject: str, expected: str, difference: float, policy: InfraPolicy) -> Rule:
    good = difference <= policy.tolerance
    if math.isinf(difference):
        found = "another number of scores, or infinite ones"
    else:
        found = "scores that are no numbers" if math.isnan(difference) else f"a largest difference of {difference:.2g}"
    return _rule(name, subject, good, f"{expected}, up to {policy.tolerance:g}" if "up to" not in expected else expected, found)


def _time(name: str, subject: str, seconds: float, limit: float) -> Rule:
    return _rule(name, subject, seconds <= limit, f"at most {limit:g} s", f"{seconds:.4f} s")


def _rule(name: str, subject: str, good: bool, expected: str, found: str, evidence: Sequence[str] = ()) -> Rule:
    return Rule(name, subject, _PASS if good else _BLOCK, expected, found, tuple(evidence))


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
