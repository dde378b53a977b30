"""The name of a rule -> whether it may be waived at all, and how far a pipeline's waivers may go."""

from __future__ import annotations

import dataclasses
import re

from waybill.records.errors import RecordError
from waybill.records.person import shown

# Rules that say whether there is evidence at all; nobody can know why it is all right that nobody looked. By prefix, with the reason.
UNWAIVABLE: tuple[tuple[str, str], ...] = (
    ("window.same_", "the evidence does not cover the data; run the spans' nodes again"),
    ("rows.conserved", "rows were lost or doubled on the way here, so nobody has seen the data as they landed; clear example_gen"),
    ("rows.transformed", "rows were lost or doubled on the way to the model; clear transform"),
    ("model.digest", "it binds the verdict to the bytes of the model"),
    ("metrics.overall", "there is no evaluation to judge by; clear evaluator"),
    ("slices.coverage", "the slices do not hold the evaluation's rows, so what they say cannot be trusted; clear evaluator"),
    ("slices.counts", "a slice without counts cannot be judged; clear evaluator"),
    ("evaluator.", "TFMA and the policy contradict each other, so one of them is wrong; clear evaluator"),
    ("infra.", "a model that cannot be loaded, or answers otherwise than it was judged, cannot be served"),
    ("waiver.", "it is about waivers"),
)
_LONGEST = 100
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_@:/-]+)+")


@dataclasses.dataclass(frozen=True)
class WaiverPolicy:
    """How far waivers of a pipeline may go.

    Attributes:
      max_days: The most days from asking for one to its end.
      max_subjects: The most subjects of a rule that a waiver for every subject covers in one verdict; 0 allows none of that kind.
    """

    max_days: int = 90
    max_subjects: int = 10

    def __post_init__(self) -> None:
        if self.max_days < 1 or self.max_subjects < 0:
            raise RecordError(f"the waiver policy is {self}; expected max_days of 1 or more and max_subjects of 0 or more")


def why_never(rule: str) -> str | None:
    """Why a rule can never be waived; None when it can."""
    for prefix, reason in UNWAIVABLE:
        if rule.startswith(prefix):
            return f"{rule} can never be waived: {reason}"
    return None


def check_rule(rule: str) -> str:
    """Returns the name of a rule that can be waived.

    Raises:
      RecordError: if it is no exact name, or that of a rule that can never be waived.
    """
    if not is_exact(rule):
        raise RecordError(f"got the rule {shown(rule)}; expected the exact name of one rule as the verdict has it, such as volume.rows")
    if never := why_never(rule):
        raise RecordError(never)
    return rule


def is_exact(rule: str) -> bool:
    """Whether a text is the exact name of one rule, not a pattern or a list."""
    return len(rule) <= _LONGEST and _NAME.fullmatch(rule) is not None
