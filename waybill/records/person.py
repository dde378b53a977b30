"""Who somebody is and what they wrote -> text that is safe on one line of a record, a log and a page."""

from __future__ import annotations

import dataclasses
import re

from waybill.records.errors import RecordError

MAX_TEXT = 500  # characters of what a person may write, such as a reason
_SHOWN = 40
_PERSON = re.compile(r"(os|airflow):\S(.{0,198}\S)?")


@dataclasses.dataclass(frozen=True)
class Person:
    """Who does something, and how Waybill knows.

    Attributes:
      who: The person, such as `os:ada`, or `airflow:alice` on whose behalf an orchestrator calls.
      account: The operating system's user that ran the command, such as `os:airflow`.
    """

    who: str
    account: str

    def says(self, why: str) -> dict[str, str | int]:
        """What a journal entry says of them."""
        return {"who": check_person(self.who), "account": self.account, "why": why}


def one_line(name: str, text: str, *, limit: int = MAX_TEXT) -> str:
    """Returns what a person wrote, when it is one line of something.

    Args:
      name: What it is, for the message.
      text: What was written.
      limit: The most characters.

    Raises:
      RecordError: if it is blank, too long, or holds line breaks or other characters that cannot be seen.
    """
    if not text.strip():
        raise RecordError(f"{name} is empty; say it in a sentence")
    if len(text) > limit:
        raise RecordError(f"{name} has {len(text)} characters; expected at most {limit}. Say the rest where you can link to")
    if not text.isprintable():
        unseen = next(c for c in text if not c.isprintable())
        raise RecordError(f"{name} holds U+{ord(unseen):04X}, which cannot be seen; expected one line of plain text: {shown(text)}")
    return text


def airflow_user(name: str) -> str:
    """A user whom Airflow has authenticated, as records name people.

    Raises:
      RecordError: if the name cannot stand in a record.
    """
    return check_person(f"airflow:{name}")


def check_person(text: str) -> str:
    """Returns the name of an authenticated person: of whose users they are, a colon, and their name there, such as `os:ada`.

    Raises:
      RecordError: if it is none.
    """
    if not (_PERSON.fullmatch(text) and text.isprintable()):
        raise RecordError(f"got {shown(text)}, expected a person as `os:ada` or `airflow:alice`")
    return text


def same_person(one: str, other: str) -> bool:
    """Whether two names are taken for one person: the same name, whoever's users they are of."""
    return one.partition(":")[2].casefold() == other.partition(":")[2].casefold()


def alone(one: Person, other: Person) -> bool:
    """Whether one person stands behind both: the same name, or the name of the account from which the other spoke.

    Two users of an orchestrator share its account and are two; somebody who speaks through it once and once by themselves is one.
    """
    pairs = ((one.who, other.who), (one.who, other.account), (one.account, other.who))
    return any(all(pair) and same_person(*pair) for pair in pairs)


def shown(text: str) -> str:
    """The beginning of a text as a literal, for a message."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
