"""What a gate found -> its verdict, with the waivers that are on record when it runs."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Any

from waybill.launch import gates, installation
from waybill.launch.choice import BY_WAIVER
from waybill.launch.inputs import InputResolver
from waybill.launch.installation import Installation
from waybill.records import waiving
from waybill.records.verdict import Rule, RuleOutcome, Verdict
from waybill.records.waiver import BASELINE, AppliedWaiver
from waybill.store import waivers


def judge(gate: str, rules: Sequence[Rule], left_out: Sequence[int] = ()) -> Verdict:
    """The verdict of a gate on the run whose launcher runs this code; under another runner there are no waivers.

    Args:
      gate: Node id of the gate.
      rules: What it found.
      left_out: Numbers of the spans that later nodes must do without.
    """
    around = installation.current()
    if around is None:
        return Verdict.judge(gate, rules, left_out)
    spec, policy = around.lineage[0], around.graph.settings.waivers
    on_record = waivers.read(around.store, spec.pipeline).waivers
    verdict = waiving.waive(gate, spec.interval.start, rules, on_record, policy, dt.datetime.now(dt.timezone.utc))
    return dataclasses.replace(verdict, left_out=tuple(left_out))


def baseline_set_aside() -> tuple[AppliedWaiver | None, list[str]]:
    """The waiver that sets this run's baseline aside, or None; and of each other one why it does not."""
    around = installation.current()
    if around is None:
        return None, []
    spec = around.lineage[0]
    on_record = waivers.read(around.store, spec.pipeline).waivers
    return waiving.set_aside(spec.interval.start, on_record, around.graph.settings.waivers, dt.datetime.now(dt.timezone.utc))


def against_baseline(rules: Sequence[Rule]) -> list[Rule]:
    """The rules of a model that was compared with nothing: because there is no baseline yet, or because two people set it aside.

    The comparison goes unjudged only while their waiver holds; else the rules that would compare block.
    """
    around = installation.current()
    compared_with_nothing = [r for r in rules if r.name.startswith("change.") and r.outcome is RuleOutcome.NOT_JUDGED]
    if around is None or not compared_with_nothing or not _without_baseline_by_waiver(around):
        return list(rules)
    aside, why_not = baseline_set_aside()
    if aside:
        changes: dict[str, Any] = {"found": f"no baseline: {aside.sentence()}", "waiver": aside}
    else:
        found = f"no baseline, by a waiver that does not hold any more; clear {BASELINE}"
        changes = {"found": found, "outcome": RuleOutcome.BLOCK, "evidence": tuple(why_not)}
    return [dataclasses.replace(r, **changes) if r in compared_with_nothing else r for r in rules]


def _without_baseline_by_waiver(around: Installation) -> bool:
    """Whether the run's baseline is none because of a waiver."""
    if BASELINE not in [n.id for n in around.graph.nodes]:
        return False
    [(_, execution)] = InputResolver(around.store, around.graph, around.lineage).executions_of(BASELINE)
    return bool(execution.properties.get(BY_WAIVER))


def groundless(verdict: Verdict) -> list[str]:
    """Why the waivers that a verdict names do not hold for the run whose launcher runs this code; empty when they do, or it names none."""
    around = installation.current()
    if around is not None:
        return gates.groundless(verdict, around.graph, around.lineage[0].interval, around.store)
    return [f"{verdict.gate} names waivers, and without Waybill's launcher there are none"] if verdict.on_waivers() else []
