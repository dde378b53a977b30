"""A release and the journal -> a decision on what is served, recorded once.

Only a schedule's run of an interval at or after the promoted one promotes by itself. Everything else is held until a person decides, with
the trigger form of its run or afterwards, and where policy says so another person has to agree. What holds a release is data and record
alone; the order in which runs were made plays no part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from waybill.launch.account import me
from waybill.records.graph import Graph
from waybill.records.person import Person, airflow_user, alone
from waybill.records.run_spec import RunSpec
from waybill.records.settings import Settings
from waybill.serving import holds, releases, requests, state
from waybill.serving.errors import DecisionRefused, OwnRequest, RequestVoid
from waybill.serving.releases import Release
from waybill.serving.requests import Request
from waybill.serving.state import ServingState
from waybill.store import journal
from waybill.store.connection import Store
from waybill.store.errors import Overtaken
from waybill.store.journal import Entry

SCHEDULE = "schedule"  # who promotes when a scheduled run does


@dataclasses.dataclass(frozen=True)
class Decided:
    """What came of a question.

    Attributes:
      outcome: `promoted`, `held`, `asked` (another person has to agree), `rolled_back`, `pinned`, `unpinned` or `unchanged`.
      says: The outcome in a sentence, with its reasons.
      before: Version that was served.
      after: Version that is served now.
      number: Number of the decision on record; 0 when none was needed.
    """

    outcome: str
    says: str
    before: int
    after: int
    number: int = 0


class Desk:
    """Where decisions about one model are taken.

    Args:
      store: The MLMD database.
      graph: Graph of the model's pipeline; its settings say when a second person has to agree.
      settings: Where things are.

    Attributes:
      model: The model's name.
      seen: The state by which `consider` decided, for whoever reads on from there.
    """

    def __init__(self, store: Store, graph: Graph, settings: Settings):
        self._store = store
        self._graph = graph
        self._settings = settings
        self.model = graph.settings.name
        self.seen = ServingState()

    def consider(self, release: Release, spec: RunSpec) -> Decided:
        """Decides for a run that has just made a release; the same answer when it is asked again.

        Raises:
          ReleaseRefused: if the evidence does not allow the release to be served.
        """
        while True:
            now = self.seen = state.read(self._store, self.model, self.seen)
            self._check(release, now)
            # A run's release is asked about at any depth of history: only what is about it is read in full, as of the state that was seen.
            about = journal.entries(self._store, state.subject(self.model), saying=("version", release.version))
            done = [e for e in about if e.kind == state.PROMOTE and e.number <= now.number]
            if done:
                says = f"release {release.version} was promoted by decision {done[-1].number}"
                if now.stable != release.version:
                    return Decided("unchanged", f"{says}; since then {now.stable} was put in its place", now.stable, now.stable)
                return Decided("promoted", says, now.stable, now.stable)
            if reasons := holds.against(release, spec, now, self._settings, self._store):
                return Decided("held", f"release {release.version} is held: {'; '.join(reasons)}", now.stable, now.stable)
            try:
                if not self._needs_agreement(release, now):
                    return self._promote(release, now, _asker(spec))
                entries = journal.entries(self._store, state.subject(self.model))
                asked = requests.last(entries, release.version)
                if asked and requests.declined(entries, asked):
                    return self._held(asked, requests.ended(entries, asked), now)
                return self._ask(release, entries, now, _asker(spec))
            except Overtaken:
                continue  # what was decided meanwhile may hold it

    def promote(self, version: int, by: Person, why: str) -> Decided:
        """Promotes a release because a person says so, or records that they ask for it.

        Raises:
          NoSuchRelease: if there is none of that version.
          ReleaseRefused: if the evidence does not allow it to be served.
          Overtaken: if somebody else decided at the same time.
        """
        release = releases.find(self._store, self.model, version)
        entries, now = self._read()
        if now.stable == version:
            return Decided("unchanged", f"release {version} is served already", version, version)
        self._check(release, now)
        if not self._needs_agreement(release, now):
            return self._promote(release, now, by.says(why))
        return self._ask(release, entries, now, by.says(why))

    def approve(self, number: int, by: Person, why: str, *, triggered_by: str = "") -> Decided:
        """Promotes what another person asked for.

        Args:
          number: The request.
          by: Who agrees.
          why: Their reason.
          triggered_by: Who triggered the run of the release, by what its orchestrator knows now; they cannot agree to it either.

        Raises:
          DecisionRefused: if there is no such request.
          OwnRequest: if who agrees has asked for it.
          RequestVoid: if it was declined, or something else has been served since.
          ReleaseRefused: if the evidence does not allow it to be served.
          Overtaken: if somebody else decided at the same time.
        """
        entries, now = self._read()
        asked = requests.find(entries, self.model, number)
        version = asked.version
        if now.stable == version:
            return Decided("unchanged", f"release {version} is served already", version, version)
        for one in (asked.by, *([Person(triggered_by, asked.account)] if triggered_by else [])):
            if alone(one, by):
                raise OwnRequest(f"{one.who} asked for release {version} and cannot agree to it as well; somebody else has to")
        if words := requests.ended(entries, asked):
            if not requests.declined(entries, asked):
                then = asked.stable or "nothing"
                words = f"when release {version} was asked for, {then} was served; since then something else was, now it is "
                words += f"{now.stable or 'nothing'}"
            raise RequestVoid(f"{words}. Ask again: waybill promote {self.model} {version} --why ...")
        release = releases.find(self._store, self.model, version)
        self._check(release, now)
        account = {"account": asked.account} if asked.account else {}
        agreed: dict[str, str | int] = {"approved_by": by.who, "approved_account": by.account, "approved_why": why, "request": number}
        return self._promote(release, now, {"who": asked.who, "why": asked.why, **account, **agreed})

    def decline(self, number: int, by: Person, why: str) -> Decided:
        """Ends a request with a no, on record; whoever asked may take it back so.

        Raises:
          DecisionRefused: if there is no such request.
          RequestVoid: if it has ended in another way.
          Overtaken: if somebody else decided at the same time.
        """
        entries, now = self._read()
        asked = requests.find(entries, self.model, number)
        if words := requests.ended(entries, asked):
            if requests.declined(entries, asked):
                return self._held(asked, words, now)
            raise RequestVoid(f"{words}; there is nothing to decline")
        says: dict[str, str | int] = {"version": asked.version, "stable": now.stable, "request": number, **by.says(why)}
        entry = self._append(now, state.DECLINE, says, releases.find(self._store, self.model, asked.version))
        return self._held(asked, f"{by.who} declined request {number} by decision {entry.number}: {why}", now)

    def outcome(self, version: int) -> Decided:
        """What has become of the last request for a release.

        Raises:
          DecisionRefused: if nobody has asked for it.
        """
        entries, now = self._read()
        asked = requests.last(entries, version)
        if asked is None:
            raise DecisionRefused(f"nobody has asked for release {version} of {self.model}; waybill promote {self.model} {version} does")
        words = requests.ended(entries, asked)
        if now.stable == version:
            return Decided("promoted", f"release {version} is served: {words}", version, version, asked.number)
        if words:
            return self._held(asked, words, now)
        return Decided("asked", self._asked(asked), now.stable, now.stable, asked.number)

    def rollback(self, version: int, by: Person, why: str) -> Decided:
        """Goes back to a version that was served before, and pins it.

        Raises:
          DecisionRefused: if it was never served before the present one.
          ReleaseRefused: if the evidence does not allow it to be served.
          Overtaken: if somebody else decided at the same time.
        """
        now = state.read(self._store, self.model)
        if now.stable == version:
            return Decided("unchanged", f"release {version} is served already", version, version)
        if version not in now.before:
            there = ", ".join(map(str, dict.fromkeys(reversed(now.before)))) or "none"
            raise DecisionRefused(
                f"release {version} of {self.model} was not served before {now.stable or 'now'}; before it were {there}, the last one first"
            )
        release = releases.find(self._store, self.model, version)
        self._check(release, now)
        entry = self._append(now, state.ROLLBACK, {"version": version, "stable": now.stable, **by.says(why)}, release)
        says = f"rolled back from {now.stable} to {version}, and pinned: `waybill unpin {self.model}` lets the schedule promote again"
        return Decided("rolled_back", says, now.stable, version, entry.number)

    def pin(self, pinned: bool, by: Person, why: str) -> Decided:
        """Keeps a schedule's runs from promoting by themselves, or lets them again.

        Raises:
          Overtaken: if somebody else decided at the same time.
        """
        now = state.read(self._store, self.model)
        word = "pinned" if pinned else "unpinned"
        if now.pinned == pinned:
            return Decided("unchanged", f"{self.model} is {word} already", now.stable, now.stable)
        entry = self._append(now, state.PIN if pinned else state.UNPIN, by.says(why), None)
        effect = "scheduled runs are held from now on" if pinned else "the next scheduled run promotes again"
        return Decided(word, f"{self.model} is {word} at {now.stable or 'nothing'}; {effect}", now.stable, now.stable, entry.number)

    def _check(self, release: Release, now: ServingState) -> None:
        """Raises DecisionRefused or ReleaseRefused unless the release may be served."""
        if release.version in now.pruned:
            raise DecisionRefused(f"release {release.version} of {self.model} was removed; its record stays, its bytes are gone")
        releases.check(release, self._graph, self._settings, self._store)

    def _read(self) -> tuple[list[Entry], ServingState]:
        entries = journal.entries(self._store, state.subject(self.model))
        return entries, state.fold(entries)

    def _append(self, now: ServingState, kind: str, says: dict[str, str | int], release: Release | None) -> Entry:
        about = [release.artifact] if release else []
        return journal.append(self._store, state.subject(self.model), now.number, kind, says, about)

    def _promote(self, release: Release, now: ServingState, by: Mapping[str, str | int]) -> Decided:
        says = {"version": release.version, "stable": now.stable, "digest": release.digest, "run": release.run, **by}
        entry = self._append(now, state.PROMOTE, says, release)
        instead = f" instead of {now.stable}" if now.stable else ""
        words = f"release {release.version} is promoted{instead} (decision {entry.number})"
        return Decided("promoted", words, now.stable, release.version, entry.number)

    def _needs_agreement(self, release: Release, now: ServingState) -> bool:
        approval = self._graph.settings.approval
        return approval == "always" or (approval == "older" and holds.is_older(release, now, self._store))

    def _ask(self, release: Release, entries: Sequence[Entry], now: ServingState, by: Mapping[str, str | int]) -> Decided:
        """Records a request, unless one for the same release is open."""
        asked = requests.open_for(entries, release.version)
        if asked is None:
            says: dict[str, str | int] = {"version": release.version, "stable": now.stable, **by}
            asked = Request.of(self._append(now, state.REQUEST, says, release))
        return Decided("asked", self._asked(asked), now.stable, now.stable, asked.number)

    def _asked(self, request: Request) -> str:
        return (
            f"release {request.version} needs two persons: {request.who} asked for it as number {request.number}; "
            f"somebody else agrees in Airflow, or with: waybill approve {self.model} {request.number} --why ..."
        )

    def _held(self, request: Request, words: str, now: ServingState) -> Decided:
        return Decided("held", f"release {request.version} is held: {words}", now.stable, now.stable, request.number)


def _asker(spec: RunSpec) -> dict[str, str | int]:
    """Who asks, with a run, that its release be served, and why: the person whose form said so, else the schedule."""
    if spec.trigger.promote:
        return Person(airflow_user(spec.trigger.who), me()).says(spec.trigger.reason)
    return {"who": SCHEDULE, "why": f"scheduled run {spec.trigger.run}"}
