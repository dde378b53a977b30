"""What a gate found, rule by rule -> PASS or BLOCKED, with reasons a person understands."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

MAX_EVIDENCE = 5  # examples kept per rule
MAX_REASONS = 10  # rules named in a summary
MODEL_DIGEST = "model.digest"  # name of the rule whose finding is the digest of the model that a verdict is about


class Decision(str, enum.Enum):
    """What a gate says of a run."""

    PASS = "PASS"
    BLOCKED = "BLOCKED"


class RuleOutcome(str, enum.Enum):
    """What one rule found. A rule that could not be judged says so, and why, instead of passing."""

    PASS = "PASS"
    WARN = "WARN"
    BLOCK = "BLOCK"
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
    """

    name: str
    subject: str
    outcome: RuleOutcome
    expected: str
    found: str
    evidence: tuple[str, ...] = ()

    def sentence(self) -> str:
        """The rule's finding in one line."""
        more = f" ({'; '.join(self.evidence)})" if self.evidence else ""
        return f"{self.name} on {self.subject}: expected {self.expected}, found {self.found}{more}"


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
        """BLOCKED when any rule blocks or there is no rule at all, PASS otherwise."""
        bounded = tuple(dataclasses.replace(r, evidence=tuple(r.evidence[:MAX_EVIDENCE])) for r in rules)
        blocked = not bounded or any(r.outcome is RuleOutcome.BLOCK for r in bounded)
        return cls(gate, Decision.BLOCKED if blocked else Decision.PASS, bounded, tuple(left_out))

    def summary(self) -> str:
        """The decision and its reasons, bounded, for a log or a page."""
        reasons = [r.sentence() for r in self.rules if r.outcome is RuleOutcome.BLOCK]
        if self.decision is Decision.PASS:
            notes = [r.sentence() for r in self.rules if r.outcome in (RuleOutcome.WARN, RuleOutcome.NOT_JUDGED)]
            head = f"{self.gate}: PASS, {len(self.rules)} rules looked at"
            return "\n".join([head, *(f"  note: {n}" for n in notes[:MAX_REASONS])])
        head = f"{self.gate}: BLOCKED by {len(reasons)} of {len(self.rules)} rules"
        rest = len(reasons) - MAX_REASONS
        return "\n".join([head, *(f"  - {r}" for r in reasons[:MAX_REASONS]), *([f"  ... and {rest} more"] if rest > 0 else [])])

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain values."""
        rules = [dict(dataclasses.asdict(r), outcome=r.outcome.value, evidence=list(r.evidence)) for r in self.rules]
        return {"gate": self.gate, "decision": self.decision.value, "rules": rules, "left_out": list(self.left_out)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """The inverse of `to_json`; a verdict from before spans could be left out has left out none."""
        rules = [Rule(**dict(r, outcome=RuleOutcome(r["outcome"]), evidence=tuple(r["evidence"]))) for r in value["rules"]]
        return cls(value["gate"], Decision(value["decision"]), tuple(rules), tuple(int(span) for span in value.get("left_out", ())))
