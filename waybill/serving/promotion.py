"""A release and the journal -> a decision on what is served, recorded once.

Only a schedule's run of an interval at or after the promoted one promotes by itself. Everything else is held until a person decides, and a
person who asks for an older interval needs another one to agree. What holds a release is data and record alone; the order in which runs
were made plays no part.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from waybill.records.graph import Graph
from waybill.records.person import Person, alone
from waybill.records.run_spec import RunSpec
from waybill.records.settings import Settings
from waybill.serving import holds, releases, state
from waybill.serving.errors import DecisionRefused
from waybill.serving.releases import Release
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
    """

    def __init__(self, store: Store, graph: Graph, settings: Settings):
        self._store = store
        self._graph = graph
        self._settings = settings
        self.model = graph.settings.name

    def consider(self, release: Release, spec: RunSpec) -> Decided:
        """Decides for a run that has just made a release; the same answer when it is asked again.

        Raises:
          ReleaseRefused: if the evidence does not allow the release to be served.
        """
        while True:
            entries, now = self._read()
            self._check(release, now)
            done = [e for e in entries if e.kind == state.PROMOTE and e.says["version"] == release.version]
            if done:
                says = f"release {release.version} was promoted by decision {done[-1].number}"
                if now.stable != release.version:
                    return Decided("unchanged", f"{says}; since then {now.stable} was put in its place", now.stable, now.stable)
                return Decided("promoted", says, now.stable, now.stable)
            if reasons := holds.against(release, spec, entries, now, self._graph, self._settings, self._store):
                return Decided("held", f"release {release.version} is held: {'; '.join(reasons)}", now.stable, now.stable)
            try:
                return self._promote(release, now, {"who": SCHEDULE, "why": f"scheduled run {spec.trigger.run}"})
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
        for entry in reversed(entries):
            if entry.kind == state.REQUEST and entry.says["version"] == version and not _served_since(entries, entry):
                return Decided("asked", self._asked(entry), now.stable, now.stable, entry.number)
        says: dict[str, str | int] = {"version": version, "stable": now.stable, **by.says(why)}
        entry = self._append(now, state.REQUEST, says, release)
        return Decided("asked", self._asked(entry), now.stable, now.stable, entry.number)

    def approve(self, number: int, by: Person, why: str) -> Decided:
        """Promotes what another person asked for.

        Raises:
          DecisionRefused: if there is no such request, the same person asked, or something else has been served since.
          ReleaseRefused: if the evidence does not allow it to be served.
          Overtaken: if somebody else decided at the same time.
        """
        entries, now = self._read()
        asked = next((e for e in entries if e.number == number and e.kind == state.REQUEST), None)
        if asked is None:
            raise DecisionRefused(f"{self.model} has no request number {number}; `waybill status {self.model}` shows what is asked for")
        version = int(asked.says["version"])
        if now.stable == version:
            return Decided("unchanged", f"release {version} is served already", version, version)
        if alone(Person(str(asked.says["who"]), str(asked.says["account"])), by):
            raise DecisionRefused(f"{asked.says['who']} asked for release {version} and cannot agree to it as well; somebody else has to")
        if _served_since(entries, asked):
            then = asked.says["stable"] or "nothing"
            raise DecisionRefused(
                f"when release {version} was asked for, {then} was served; since then something else was, now it is "
                f"{now.stable or 'nothing'}. Ask again: waybill promote {self.model} {version}"
            )
        release = releases.find(self._store, self.model, version)
        self._check(release, now)
        wish = {name: asked.says[name] for name in ("who", "account", "why")}
        agreed: dict[str, str | int] = {"approved_by": by.who, "approved_account": by.account, "approved_why": why, "request": number}
        return self._promote(release, now, {**wish, **agreed})

    def rollback(self, version: int, by: Person, why: str) -> Decided:
        """Goes back to a version that was served before, and pins it.

        Raises:
          DecisionRefused: if it was never served before the present one.
          ReleaseRefused: if the evidence does not allow it to be served.
          Overtaken: if somebody else decided at the same time.
        """
        _, now = self._read()
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
        _, now = self._read()
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

    def _asked(self, entry: Entry) -> str:
        return (
            f"release {entry.says['version']} needs two persons: {entry.says['who']} asked for it as number {entry.number}; "
            f"somebody else agrees with: waybill approve {self.model} {entry.number} --why ..."
        )


def _served_since(entries: Sequence[Entry], request: Entry) -> bool:
    """Whether what is served was decided anew after a request, which then is void."""
    return any(entry.number > request.number and entry.kind in (state.PROMOTE, state.ROLLBACK) for entry in entries)
