"""A gate's rules and the waivers on record -> the rules, with those let pass that a waiver is for, and a word on each other waiver."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

from waybill.records.errors import RecordError
from waybill.records.interval import parse_moment
from waybill.records.person import MAX_TEXT
from waybill.records.verdict import Rule, RuleOutcome, Verdict
from waybill.records.waivable import WaiverPolicy
from waybill.records.waiver import BASELINE, COMPARISON, IGNORED, AppliedWaiver, Waiver

MAX_IGNORED = 20  # waivers that did nothing, named in one verdict


def waive(
    gate: str, interval_start: dt.datetime, rules: Sequence[Rule], waivers: Sequence[Waiver], policy: WaiverPolicy, now: dt.datetime
) -> Verdict:
    """A gate's verdict with the waivers of its pipeline.

    Args:
      gate: Node id of the gate.
      interval_start: Start of the run's own interval.
      rules: What the gate found.
      waivers: All waivers of the pipeline.
      policy: How far they may go.
      now: The moment at which they must hold.
    """
    judged, ignored = list(rules), list[Rule]()
    for waiver in (w for w in waivers if w.addressed_to(gate, interval_start)):
        covered = [i for i, rule in enumerate(judged) if covers(waiver, rule)]
        if why := waiver.fault(now, policy) or _misses(waiver, len(covered), judged, policy):
            ignored.append(_ignored(waiver, why))
            continue
        for i in covered:
            judged[i] = judged[i].waived_by(waiver.applied(now))
    return Verdict.judge(gate, [*judged, *_bounded(ignored)] if rules else [])


def covers(waiver: Waiver, rule: Rule) -> bool:
    """Whether a waiver is for what a rule blocks on; one without a subject is for all that the rule blocks on."""
    return rule.outcome is RuleOutcome.BLOCK and rule.name == waiver.rule and waiver.subject in ("", rule.subject)


def unsupported(verdict: Verdict, interval_start: dt.datetime, waivers: Sequence[Waiver], policy: WaiverPolicy) -> list[str]:
    """Why what is on record does not support a verdict's rules that rest on waivers; empty when it does.

    Args:
      verdict: A gate's verdict as it was read.
      interval_start: Start of the interval of the run that relies on it.
      waivers: All waivers of the pipeline, as they are now.
      policy: How far they may go.
    """
    reasons = []
    on_record = {waiver.number: waiver for waiver in waivers}
    for rule in verdict.on_waivers():
        named = rule.waiver
        waiver = on_record.get(named.number) if named else None
        if named is None or waiver is None:
            reasons.append(f"{rule.name} on {rule.subject} is said to be waived by {named.number if named else 'nothing'}, not on record")
            continue
        as_it_was = rule if rule.outcome is RuleOutcome.NOT_JUDGED else dataclasses.replace(rule, outcome=RuleOutcome.BLOCK)
        covered = sum(other.waiver == named for other in verdict.waived())
        if why := _why_not(waiver, verdict.gate, interval_start, as_it_was, named, policy) or _too_many(waiver, covered, policy):
            reasons.append(f"waiver {named.number} does not let {rule.name} on {rule.subject} pass: {why}")
    return reasons


def set_aside(
    interval_start: dt.datetime, waivers: Sequence[Waiver], policy: WaiverPolicy, now: dt.datetime
) -> tuple[AppliedWaiver | None, list[str]]:
    """The waiver that sets the baseline of an interval aside, or None; and of each other one why it does not."""
    why_not = list[str]()
    for waiver in waivers:
        if waiver.rule != COMPARISON or not waiver.addressed_to(BASELINE, interval_start):
            continue
        why = waiver.fault(now, policy)
        if why is None:
            return waiver.applied(now), why_not
        why_not.append(_short(f"waiver {waiver.number} does not set it aside: {why}"))
    return None, why_not


def _why_not(waiver: Waiver, gate: str, interval_start: dt.datetime, rule: Rule, named: AppliedWaiver, policy: WaiverPolicy) -> str | None:
    """Why a waiver on record is not what a verdict says of it."""
    try:
        applied = parse_moment(named.applied)
    except RecordError as error:
        return str(error)
    aside = rule.outcome is RuleOutcome.NOT_JUDGED and waiver.rule == COMPARISON and waiver.addressed_to(BASELINE, interval_start)
    if not aside and not (waiver.addressed_to(gate, interval_start) and covers(waiver, rule)):
        return f"it is for {waiver.words} at {waiver.gate}, interval of {waiver.interval_start}"
    if why := waiver.fault(applied, policy):
        return why
    return None if waiver.applied(applied) == named else f"the record says: {waiver.applied(applied).sentence()}"


def _misses(waiver: Waiver, covered: int, rules: Sequence[Rule], policy: WaiverPolicy) -> str | None:
    """Why a waiver that holds lets nothing pass; None when it does."""
    if covered:
        return _too_many(waiver, covered, policy)
    same = [r for r in rules if r.name == waiver.rule and waiver.subject in ("", r.subject)]
    if other := next((r.waiver for r in same if r.waiver), None):
        return f"waiver {other.number} lets it pass already"
    return f"{waiver.rule} did not block" + (f" on {waiver.subject}" if waiver.subject else "")


def _too_many(waiver: Waiver, covered: int, policy: WaiverPolicy) -> str | None:
    if waiver.subject or covered <= (policy.max_subjects if waiver.every_subject else 1):
        return None
    allowed = f"the policy allows {policy.max_subjects} at once" if waiver.every_subject else "it names none of them"
    return f"too wide: {waiver.rule} blocks on {covered} subjects, and {allowed}"


def _ignored(waiver: Waiver, why: str) -> Rule:
    expected = f"one that lets {waiver.words} pass"
    return Rule(IGNORED, f"waiver {waiver.number}", RuleOutcome.NOT_JUDGED, _short(expected), _short(why))


def _bounded(ignored: Sequence[Rule]) -> list[Rule]:
    """The newest of them, and how many more there are."""
    more = len(ignored) - MAX_IGNORED
    rest = [Rule(IGNORED, "older waivers", RuleOutcome.NOT_JUDGED, "waivers that hold", f"{more} more that do nothing")] if more > 0 else []
    return [*ignored[-MAX_IGNORED:], *rest]


def _short(text: str) -> str:
    """At most as much as a person may write, all of it visible; what stands in a journal may have been written by other means."""
    return "".join(c if c.isprintable() else "?" for c in text[:MAX_TEXT])
