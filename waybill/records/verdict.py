"""What a gate found, rule by rule -> PASS, WAIVED or BLOCKED, with reasons a person understands."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

from waybill.records.waivable import why_never
from waybill.records.waiver import IGNORED, AppliedWaiver

MAX_EVIDENCE = 5  # examples kept per rule
MAX_REASONS = 10  # rules named in a summary
MODEL_DIGEST = "model.digest"  # name of the rule whose finding is the digest of the model that a verdict is about


class Decision(str, enum.Enum):
    """What a gate says of a run."""

    PASS = "PASS"
    WAIVED = "WAIVED"
    BLOCKED = "BLOCKED"

    @property
    def opens(self) -> bool:
        """Whether later nodes may run."""
        return self is not Decision.BLOCKED


class RuleOutcome(str, enum.Enum):
    """What one rule found. A rule that could not be judged says so, and why, instead of passing; WAIVED is one that would block."""

    PASS = "PASS"
    WARN = "WARN"
    BLOCK = "BLOCK"
    WAIVED = "WAIVED"
    NOT_JUDGED = "NOT_JUDGED"


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule and what it found.

    Attributes:
      name: Short name, such as `schema.missing_column`.
      subject: What was looked at: a feature, a metric on a slice, a span.
      outcome: What it found.
      expected: What the policy asks for, in words or numbers.
      found: What was there.
      evidence: At most `MAX_EVIDENCE` further facts.
      waiver: What let a rule pass that blocks, or set aside the baseline that it would have been judged by; None for all others.
    """

    name: str
    subject: str
    outcome: RuleOutcome
    expected: str
    found: str
    evidence: tuple[str, ...] = ()
    waiver: AppliedWaiver | None = None

    @property
    def blocks(self) -> bool:
        """Whether it stands in the way; one that says it was waived does so too, unless it names its waiver and can be waived."""
        groundless = self.outcome is RuleOutcome.WAIVED and (self.waiver is None or why_never(self.name) is not None)
        return groundless or self.outcome is RuleOutcome.BLOCK

    def waived_by(self, waiver: AppliedWaiver) -> Rule:
        """The rule, let pass; the waiver becomes its first evidence."""
        evidence = (waiver.sentence(), *self.evidence)[:MAX_EVIDENCE]
        return dataclasses.replace(self, outcome=RuleOutcome.WAIVED, evidence=evidence, waiver=waiver)

    def sentence(self) -> str:
        """The rule's finding in one line."""
        more = f" ({'; '.join(self.evidence)})" if self.evidence else ""
        return f"{self.name} on {self.subject}: expected {self.expected}, found {self.found}{more}"

    def to_json(self) -> dict[str, Any]:
        """The rule as plain values; `waiver` is there only where there is one."""
        value = dict(dataclasses.asdict(self), outcome=self.outcome.value, evidence=list(self.evidence))
        return value if self.waiver else {name: v for name, v in value.items() if name != "waiver"}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Rule:
        """The inverse of `to_json`."""
        waiver = AppliedWaiver(**value["waiver"]) if value.get("waiver") else None
        return cls(**dict(value, outcome=RuleOutcome(value["outcome"]), evidence=tuple(value["evidence"]), waiver=waiver))


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A gate's decision and the rules behind it.

    Attributes:
      gate: Node id of the gate.
      decision: What it says of the run.
      rules: What it looked at.
      left_out: Numbers of the spans that later nodes of the run must do without; the decision is about the rest of the window.
    """

    gate: str
    decision: Decision
    rules: tuple[Rule, ...]
    left_out: tuple[int, ...] = ()

    @classmethod
    def judge(cls, gate: str, rules: Sequence[Rule], left_out: Sequence[int] = ()) -> Verdict:
        """BLOCKED when any rule blocks or there is no rule at all, WAIVED when none does because of a waiver, PASS otherwise."""
        bounded = tuple(dataclasses.replace(r, evidence=tuple(r.evidence[:MAX_EVIDENCE])) for r in rules)
        if not bounded or any(r.blocks for r in bounded):
            decision = Decision.BLOCKED
        else:
            decision = Decision.WAIVED if any(r.outcome is RuleOutcome.WAIVED for r in bounded) else Decision.PASS
        return cls(gate, decision, bounded, tuple(left_out))

    def waived(self) -> tuple[Rule, ...]:
        """The rules that were let pass."""
        return tuple(r for r in self.rules if r.outcome is RuleOutcome.WAIVED)

    def on_waivers(self) -> tuple[Rule, ...]:
        """The rules that rest on a waiver: those that were let pass, and those not judged because two people set the baseline aside."""
        return tuple(r for r in self.rules if r.outcome is RuleOutcome.WAIVED or r.waiver)

    def summary(self) -> str:
        """The decision and its reasons, bounded, for a log or a page."""
        notes = [r for r in self.rules if r.name == IGNORED]
        if self.decision is Decision.BLOCKED:
            reasons = [r for r in self.rules if r.blocks]
            head = f"{self.gate}: BLOCKED by {len(reasons)} of {len(self.rules)} rules"
        else:
            reasons = list(self.waived())
            looked_at = f"{len(self.rules)} rules"
            said = f"{len(reasons)} of {looked_at} block and are let pass" if reasons else f"{looked_at} looked at"
            head = f"{self.gate}: {self.decision.value}, {said}"
            notes += [r for r in self.rules if r.outcome in (RuleOutcome.WARN, RuleOutcome.NOT_JUDGED) and r.name != IGNORED]
        rest = len(reasons) - MAX_REASONS
        lines = [*(f"  - {r.sentence()}" for r in reasons[:MAX_REASONS]), *([f"  ... and {rest} more"] if rest > 0 else [])]
        return "\n".join([head, *lines, *(f"  note: {n.sentence()}" for n in notes[:MAX_REASONS])])

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain values."""
        rules = [r.to_json() for r in self.rules]
        return {"gate": self.gate, "decision": self.decision.value, "rules": rules, "left_out": list(self.left_out)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """The inverse of `to_json`; a verdict from before spans could be left out has left out none."""
        rules = tuple(Rule.from_json(r) for r in value["rules"])
        return cls(value["gate"], Decision(value["decision"]), rules, tuple(int(span) for span in value.get("left_out", ())))
