"""What needs another person -> a question in Airflow's UI, for which a task waits without a slot, and Airflow's own record of the answer.

The answer reaches the task from Airflow's record of who was logged in, which nobody can edit as they can an XCom.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any, NoReturn

from airflow.sdk import Param
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from waybill.orchestration.notice import WAITING, Notice

PATIENCE = dt.timedelta(days=7)  # a run that waits takes one of the places for active runs
APPROVE, REJECT = "Approve", "Reject"  # the words by which Airflow's UI knows an approval
REASON = "reason"
_MAX_REASON = 1000  # characters that are passed on; the record keeps fewer
_log = logging.getLogger("airflow.task")


@dataclasses.dataclass(frozen=True)
class Answer:
    """What somebody answered.

    Attributes:
      who: The user who was logged in; empty when Airflow does not say.
      says: `approve` or `decline`.
      why: Their reason; may be empty.
    """

    who: str
    says: str
    why: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Answer | None:
        """Reads Airflow's record of an answer; None when nobody answered in time."""
        if "error" in event:
            return None
        says = "approve" if list(event["chosen_options"]) == [APPROVE] else "decline"
        why = str((event["params_input"] or {}).get(REASON) or "")[:_MAX_REASON]
        return cls((event["responded_by_user"] or {}).get("name") or "", says, why)

    def words(self) -> list[str]:
        """The answer as arguments of the command that passes it on."""
        return [f"--says={self.says}", f"--who={self.who}", f"--why={self.why}"]


def ask(context: Any, approval: Mapping[str, Any], says: str, resume: Mapping[str, Any]) -> NoReturn:
    """Has Airflow ask whoever is logged in, and gives the slot back; the task goes on in its method `answered`.

    Args:
      context: The task's context.
      approval: What is asked: `subject`, `page`, and as `refused` why an answer before did not count, or an empty text.
      says: What waits, for the notice.
      resume: Arguments of `answered`, beside the context and the event.
    """
    if approval["refused"]:
        _log.error("the answer did not count, and is waited for again: %s", approval["refused"])
    field = Param("", title="Reason", type="string", description="Why, for the record", maxLength=_MAX_REASON)
    upsert_hitl_detail(
        ti_id=context["ti"].id,
        options=[APPROVE, REJECT],
        subject=approval["subject"],
        body=approval["page"],
        params={REASON: field.serialize()},
    )
    if not approval["refused"]:
        Notice(WAITING, says)(context)
    raise TaskAwaitingInput(method_name="answered", kwargs=dict(resume), timeout=PATIENCE)
