"""Who a command is run for -> an authenticated person, as records name people."""

from __future__ import annotations

import hmac

from waybill.launch.account import OURS, me
from waybill.records.errors import RecordError
from waybill.records.person import Person, check_person
from waybill.records.settings import Settings

__all__ = ["check_speaks_for_airflow", "me", "myself", "on_behalf"]


def on_behalf(other: str, settings: Settings) -> Person:
    """Who a command is run for.

    Args:
      other: `airflow:alice`, when an orchestrator that has authenticated her says so; empty for whoever runs the command. The account that
        ran the command is recorded beside it.
      settings: The installation.

    Raises:
      RecordError: if it is no person, or another user of the operating system, who can run the command as themselves, or if nothing shows
        that the command is run by Airflow.
    """
    if other.startswith(OURS):
        raise RecordError(f"--as is {other[:40]!r}; a user of the operating system runs the command as themselves. Expected airflow:NAME")
    if not other:
        return myself()
    check_person(other)
    check_speaks_for_airflow("--as", settings)
    return Person(other, me())


def myself() -> Person:
    """Whoever runs this process."""
    return Person(me(), me())


def check_speaks_for_airflow(option: str, settings: Settings) -> None:
    """Sees to it that a process which says what Airflow's users did was given what only Airflow's own processes have.

    Args:
      option: The option that names such a user, for the message.
      settings: The installation.

    Raises:
      RecordError: if it was not, or if others could have it too.
    """
    if why := _why_not(settings):
        raise RecordError(
            f"{option} names a user of Airflow, and nothing shows that this process speaks for Airflow: {why}. Leave {option} out to act "
            "as yourself, or act in Airflow; what a worker of Airflow needs is in docs/operating.md under *Speaking for Airflow*"
        )


def _why_not(settings: Settings) -> str:
    """Why this process is not believed; empty when it is."""
    if not settings.orchestrator_key:
        return "WAYBILL_ORCHESTRATOR_KEY is not set"
    file = settings.key_file
    try:
        mode, key = file.stat().st_mode & 0o777, file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        return f"{me()} cannot read {file} ({type(error).__name__}), which `waybill up` makes"
    if mode & 0o077:
        return f"{file} has mode {mode:04o}, so that others may know it; expected 0600. Make a new one"
    if not key or not hmac.compare_digest(key.encode(), settings.orchestrator_key.encode()):
        return f"WAYBILL_ORCHESTRATOR_KEY is not what {file} holds"
    return ""
