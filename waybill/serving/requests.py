"""A model's journal -> the requests that wait for another person, and what became of the others.

#7 request   who=airflow:alice  version=20130401000001, stable=20131001000001, why
#8 decline   who=airflow:bob    version=20130401000001, request=7, why                ->  request 7: declined by airflow:bob
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from waybill.records.person import Person
from waybill.serving import state
from waybill.serving.errors import DecisionRefused
from waybill.store.journal import Entry


@dataclasses.dataclass(frozen=True)
class Request:
    """Somebody's wish that a release be served, which needs another person.

    Attributes:
      number: Its number in the journal.
      version: The release.
      stable: What was served when it was made; 0 for nothing.
      who: Who asked, a person or the schedule.
      account: The operating system's user whose process asked for a person; empty for the schedule.
      why: Their reason.
    """

    number: int
    version: int
    stable: int
    who: str
    account: str
    why: str

    @classmethod
    def of(cls, entry: Entry) -> Request:
        """Reads an entry."""
        said = entry.says
        return cls(
            entry.number, int(said["version"]), int(said["stable"]), str(said["who"]), str(said.get("account", "")), str(said["why"])
        )

    @property
    def by(self) -> Person:
        """Who asked."""
        return Person(self.who, self.account)


def find(entries: Sequence[Entry], model: str, number: int) -> Request:
    """The request of a number.

    Raises:
      DecisionRefused: if there is none.
    """
    for entry in entries:
        if entry.number == number and entry.kind == state.REQUEST:
            return Request.of(entry)
    raise DecisionRefused(f"{model} has no request number {number}; `waybill status {model}` shows what is asked for")


def last(entries: Sequence[Entry], version: int) -> Request | None:
    """The last request for a release, whatever became of it."""
    asked = [entry for entry in entries if entry.kind == state.REQUEST and entry.says["version"] == version]
    return Request.of(asked[-1]) if asked else None


def open_for(entries: Sequence[Entry], version: int) -> Request | None:
    """The request for a release that still waits for another person."""
    request = last(entries, version)
    return request if request and not ended(entries, request) else None


def declined(entries: Sequence[Entry], request: Request) -> Entry | None:
    """The decision that declined a request."""
    return next((e for e in entries if e.kind == state.DECLINE and e.says["request"] == request.number), None)


def ended(entries: Sequence[Entry], request: Request) -> str:
    """Why a request waits for nobody any more, in words; empty while it does."""
    if no := declined(entries, request):
        return f"{no.says['who']} declined request {request.number} by decision {no.number}: {no.says['why']}"
    for entry in entries:
        if entry.number > request.number and entry.kind in (state.PROMOTE, state.ROLLBACK):
            if entry.says.get("request") == request.number:
                return f"{entry.says['approved_by']} agreed to request {request.number} by decision {entry.number}"
            return f"request {request.number} of {request.who} is void: decision {entry.number} had something served since"
    return ""
