"""What people do about a data gate that blocks: each of it through the real journal, and once more in the rules."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable

import pytest
from agreement import STARTS
from harness import Installation
from reference import World

from waybill.launch import waivers as lane
from waybill.launch.waivers import Wish
from waybill.records.errors import WaiverRefused
from waybill.records.person import Person
from waybill.records.waiver import Waiver
from waybill.store import waivers

ADA, GRACE = Person("os:ada", "os:ada"), Person("os:grace", "os:grace")
WHY = "we know"


@dataclasses.dataclass
class People:
    """Ada, who asks, and Grace, who may agree."""

    here: Installation
    world: World

    def agreed(self, quarter: int) -> None:
        """Ada asks, Grace approves."""
        self._approve(self._ask(quarter))
        self.world.waive(quarter, ADA.who, GRACE.who)

    def unanswered(self, quarter: int) -> None:
        """Ada asks, and nobody answers."""
        self._ask(quarter)
        self.world.waive(quarter, ADA.who, "")

    def own(self, quarter: int) -> None:
        """Ada approves what she has asked for, which is refused."""
        number = self._ask(quarter)
        with pytest.raises(WaiverRefused, match="does not count"):
            self._approve(number, ADA)
        self.world.waive(quarter, ADA.who, ADA.who)

    def expired(self, quarter: int) -> None:
        """Both did it in time, and the time is over when the gate runs."""
        past = _now() - dt.timedelta(days=1)
        # For every subject: the same as one that is still open would be no new one.
        self._approve(self._ask(quarter, past, dt.timedelta(hours=1), every_subject=True), at=past)
        self.world.waive(quarter, ADA.who, GRACE.who, over=True)

    def elsewhere(self, quarter: int) -> None:
        """Ada and Grace mean the next quarter, where nothing may have blocked yet: written past the command line."""
        other = (quarter + 1) % len(STARTS)
        start, until = self.here.interval(STARTS[other]).start.isoformat(), (_now() + dt.timedelta(days=5)).isoformat(timespec="seconds")
        waiver = Waiver(0, start, "data_gate", "small.data", "the data", False, "BLOCKED", WHY, until, ADA.who, 0)
        book = waivers.read(self.here.store, "small")
        self._approve(waivers.write_request(self.here.store, book, waiver, ADA.says(WHY), []).number)
        self.world.waive(other, ADA.who, GRACE.who)

    def withdrawn(self, quarter: int) -> None:
        """Ada takes it back before the gate has read it."""
        number = self._ask(quarter)
        self._approve(number)
        lane.withdraw(self.here.store, self.here.graph, number, "a mistake", ADA)

    def rebaseline(self, quarter: int, agrees: bool) -> None:
        """Ada asks that a quarter's baseline be set aside; Grace agrees, or has not answered."""
        wish = self._wish(quarter, _now(), dt.timedelta(days=5))
        number = lane.rebaseline(self.here.store, self.here.graph, wish, ADA, _now()).waiver.number
        if agrees:
            self._approve(number)
            self.world.aside.add(quarter)

    def _ask(
        self, quarter: int, at: dt.datetime | None = None, lasts: dt.timedelta = dt.timedelta(days=5), every_subject: bool = False
    ) -> int:
        at = at or _now()
        wish = dataclasses.replace(self._wish(quarter, at, lasts), gate="data_gate", rule="small.data", every_subject=every_subject)
        return lane.request(self.here.store, self.here.graph, wish, ADA, at).waiver.number

    def _wish(self, quarter: int, at: dt.datetime, lasts: dt.timedelta) -> Wish:
        return Wish(self.here.interval(STARTS[quarter]), "", "", "", False, WHY, at + lasts)

    def _approve(self, number: int, by: Person = GRACE, at: dt.datetime | None = None) -> None:
        lane.approve(self.here.store, self.here.graph, number, "", by, at or _now())


WAYS: dict[str, Callable[[People, int], None]] = {
    "agreed": People.agreed,
    "unanswered": People.unanswered,
    "own": People.own,
    "expired": People.expired,
    "elsewhere": People.elsewhere,
    "withdrawn": People.withdrawn,
}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.timezone.utc)
