"""The process -> the authenticated person behind it, as records name people."""

from __future__ import annotations

import os
import pwd

from waybill.records.errors import RecordError
from waybill.records.person import Person, check_person

_OURS = "os:"


def me() -> str:
    """Who runs this process: the operating system's user by its number, such as `os:ada`.

    Environment variables play no part: everybody can set them.

    Raises:
      RecordError: if the operating system's name of the user cannot stand in a record.
    """
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # in a container, a number may have no name
        name = str(number)
    return check_person(f"{_OURS}{name}")


def on_behalf(other: str) -> Person:
    """Who a command is run for.

    Args:
      other: `airflow:alice`, when an orchestrator that has authenticated her says so; empty for whoever runs the command. Waybill cannot
        check it, so the account that ran the command is recorded beside it.

    Raises:
      RecordError: if it is no person, or another user of the operating system, who can run the command as themselves.
    """
    if other.startswith(_OURS):
        raise RecordError(f"--as is {other[:40]!r}; a user of the operating system runs the command as themselves. Expected airflow:NAME")
    return Person(check_person(other) if other else me(), me())
