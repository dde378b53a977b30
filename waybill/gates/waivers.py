"""What a gate found -> its verdict, with the waivers that are on record when it runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from waybill.launch import gates, installation
from waybill.records import waiving
from waybill.records.verdict import Rule, Verdict
from waybill.store import waivers


def judge(gate: str, rules: Sequence[Rule]) -> Verdict:
    """The verdict of a gate on the run whose launcher runs this code; under another runner there are no waivers.

    Args:
      gate: Node id of the gate.
      rules: What it found.
    """
    around = installation.current()
    if around is None:
        return Verdict.judge(gate, rules)
    spec, policy = around.lineage[0], around.graph.settings.waivers
    on_record = waivers.read(around.store, spec.pipeline).waivers
    return waiving.waive(gate, spec.interval.start, rules, on_record, policy, dt.datetime.now(dt.timezone.utc))


def groundless(verdict: Verdict) -> list[str]:
    """Why the waivers that a verdict names do not hold for the run whose launcher runs this code; empty when they do, or it names none."""
    around = installation.current()
    if around is not None:
        return gates.groundless(verdict, around.graph, around.lineage[0].interval, around.store)
    return [f"{verdict.gate} names waivers, and without Waybill's launcher there are none"] if verdict.waived() else []
