"""What a person asks a gate to let pass, once -> a record of who, why, for what and until when, and whether it holds.

A waiver is for one rule of one gate in one interval. Two people are behind it: one asks, another approves. It is no part of the run spec:
a gate reads the waivers when it runs.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

from waybill.records.errors import RecordError
from waybill.records.interval import parse_moment
from waybill.records.person import Person, alone, check_person, one_line, shown
from waybill.records.waivable import WaiverPolicy, is_exact, why_never

IGNORED = "waiver.ignored"  # rule of a verdict that tells of a waiver which did nothing, and why
BASELINE, COMPARISON = "baseline", "baseline.comparison"  # node and rule of a waiver that sets an interval's baseline aside
NOT_YET = "not approved yet"
_EXPIRED = "expired"
# By the name of the property; `subject` is taken, by the journal itself.
_PROPERTIES = {
    "rule_subject": "subject",
    **{name: name for name in ("interval_start", "gate", "rule", "found", "why", "expires", "asked_in")},
}
_NODE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class AppliedWaiver:
    """What a verdict says of the waiver that a rule was let pass by.

    Attributes:
      number: Of the waiver, in the journal of its pipeline.
      requested_by: Who asked.
      approved_by: Who approved.
      why: Why, in the words of who asked.
      expires: Until when it holds, ISO 8601.
      applied: When the gate read it, ISO 8601.
    """

    number: int
    requested_by: str
    approved_by: str
    why: str
    expires: str
    applied: str

    def sentence(self) -> str:
        """The waiver in one line."""
        return f"waiver {self.number}, asked for by {self.requested_by}, approved by {self.approved_by}, until {self.expires}: {self.why}"


@dataclasses.dataclass(frozen=True)
class Waiver:
    """One waiver, as its journal tells it.

    Attributes:
      number: Of the entry that asked for it; names the waiver.
      interval_start: Start of the one interval it is for, ISO 8601.
      gate: Node id of the gate.
      rule: Exact name of the rule, such as `volume.rows`.
      subject: Exact subject of the rule; empty when it is for every subject.
      every_subject: Whether it is for every subject that the rule blocks on.
      found: What the gate had found when it was asked for.
      why: Why the rule should be let pass.
      expires: The first instant at which it holds no more, ISO 8601.
      requested_by: Who asked.
      requested_at: When, in milliseconds since the epoch.
      approved_by: Who approved; empty for nobody yet.
      approved_why: What they wrote.
      requested_account: The account of the machine from which was asked.
      approved_account: The account of the machine from which was approved.
      withdrawn_by: Who took it back; empty for nobody.
      withdrawn_why: What they wrote.
      asked_in: The orchestrator's run whose form asked for it; empty on the command line.
    """

    number: int
    interval_start: str
    gate: str
    rule: str
    subject: str
    every_subject: bool
    found: str
    why: str
    expires: str
    requested_by: str
    requested_at: int
    approved_by: str = ""
    approved_why: str = ""
    requested_account: str = ""
    approved_account: str = ""
    withdrawn_by: str = ""
    withdrawn_why: str = ""
    asked_in: str = ""

    def to_properties(self) -> dict[str, str | int]:
        """What the entry that asks for it says, but for who asks."""
        return {**{name: str(getattr(self, field)) for name, field in _PROPERTIES.items()}, "every_subject": int(self.every_subject)}

    @classmethod
    def from_properties(cls, number: int, milliseconds: int, says: Mapping[str, Any]) -> Waiver:
        """The inverse of `to_properties`; whatever the entry lacks is empty, and `fault` says so."""
        texts = {field: str(says.get(name, "")) for name, field in _PROPERTIES.items()}
        everyone = says.get("every_subject") == 1
        who, account = str(says.get("who", "")), str(says.get("account", ""))
        return cls(
            number, **texts, every_subject=everyone, requested_by=who, requested_at=milliseconds, requested_account=account
        )  # fmt: skip

    @property
    def key(self) -> tuple[str, str, str, str, bool]:
        """What it is for; two waivers for the same have the same key."""
        return self.interval_start, self.gate, self.rule, self.subject, self.every_subject

    @property
    def words(self) -> str:
        """What it is for, in a phrase."""
        return f"{self.rule} on {self.subject or ('every subject' if self.every_subject else 'its one subject')}"

    @property
    def self_approved(self) -> bool:
        """Whether whoever approved it had asked for it."""
        return alone(Person(self.requested_by, self.requested_account), Person(self.approved_by, self.approved_account))

    def addressed_to(self, gate: str, interval_start: dt.datetime) -> bool:
        """Whether a gate's verdict for an interval must speak of it: it is for them, or so wide that it could be meant for them."""
        if self.gate != gate and _NODE.fullmatch(self.gate):
            return False
        try:
            return parse_moment(self.interval_start) == interval_start
        except RecordError:
            return True

    def fault(self, now: dt.datetime, policy: WaiverPolicy) -> str | None:
        """Why it does nothing at a moment; None when it holds."""
        return self._too_wide() or why_never(self.rule) or self._unfounded() or self._out_of_time(now, policy)

    def state(self, now: dt.datetime, policy: WaiverPolicy) -> str:
        """What a list of waivers says of it: approved, asked, withdrawn, expired, or refused with the reason."""
        if self.withdrawn_by:
            return "withdrawn"
        if (self._out_of_time(now, policy) or "").startswith(_EXPIRED):
            return _EXPIRED
        fault = self.fault(now, policy)
        return {None: "approved", NOT_YET: "asked"}.get(fault, f"refused: {fault}")

    def applied(self, moment: dt.datetime) -> AppliedWaiver:
        """What a verdict says of it."""
        return AppliedWaiver(self.number, self.requested_by, self.approved_by, self.why, self.expires, moment.isoformat(timespec="seconds"))

    def _too_wide(self) -> str | None:
        try:
            parse_moment(self.interval_start)
        except RecordError:
            return f"too wide: it is for the interval {shown(self.interval_start)}, and one interval's start was expected"
        if not _NODE.fullmatch(self.gate):
            return f"too wide: it is for the gate {shown(self.gate)}, and the name of one gate was expected"
        if not is_exact(self.rule):
            return f"too wide: it is for the rule {shown(self.rule)}, and the exact name of one rule was expected"
        return None

    def _unfounded(self) -> str | None:
        if self.withdrawn_by:
            return f"withdrawn by {self.withdrawn_by}: {self.withdrawn_why}"
        try:
            one_line("its reason", self.why)
            check_person(self.requested_by)
            if not self.approved_by:
                return NOT_YET
            check_person(self.approved_by)
        except RecordError as error:
            return str(error)
        if self.self_approved:
            return f"approval by {self.approved_by}, who asked for it, does not count; another person must approve it"
        return None

    def _out_of_time(self, now: dt.datetime, policy: WaiverPolicy) -> str | None:
        try:
            until = parse_moment(self.expires)
        except RecordError:
            return f"it holds until {shown(self.expires)}, which is no date"
        if now >= until:
            return f"{_EXPIRED}: it held until {self.expires}"
        longest = dt.datetime.fromtimestamp(self.requested_at / 1000, dt.timezone.utc) + dt.timedelta(days=policy.max_days)
        return f"it holds until {self.expires}; the policy allows {policy.max_days} days" if until > longest else None
