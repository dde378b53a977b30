"""Who a command is run for -> an authenticated person, as records name people."""

from __future__ import annotations

from waybill.launch.account import OURS, me
from waybill.records.errors import RecordError
from waybill.records.person import Person, check_person

__all__ = ["me", "on_behalf"]


def on_behalf(other: str) -> Person:
    """Who a command is run for.

    Args:
      other: `airflow:alice`, when an orchestrator that has authenticated her says so; empty for whoever runs the command. Waybill cannot
        check it, so the account that ran the command is recorded beside it.

    Raises:
      RecordError: if it is no person, or another user of the operating system, who can run the command as themselves.
    """
    if other.startswith(OURS):
        raise RecordError(f"--as is {other[:40]!r}; a user of the operating system runs the command as themselves. Expected airflow:NAME")
    return Person(check_person(other) if other else me(), me())
