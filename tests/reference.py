"""The rules of time and promotion once more, in a page of plain Python with nothing under it: what the machinery is compared with.

Quarters are numbers from 0. A release is (quarter, generation), which compares as versions do.
"""

from __future__ import annotations

import dataclasses

Release = tuple[int, int]


@dataclasses.dataclass
class Run:
    """One generation of a quarter: what it was made of, and what came of it."""

    quarter: int
    generation: int
    asked_by: str
    scheduled: bool
    wish: bool
    window: tuple[tuple[int, str], ...]  # quarters, each with what was delivered of it
    good: bool
    data: str = "PASS"
    left_out: tuple[int, ...] = ()
    aside: bool = False
    baseline: Release | None = None
    outcome: str = "blocked"

    @property
    def release(self) -> Release:
        return (self.quarter, self.generation)


@dataclasses.dataclass
class World:
    """Everything that was landed, run and decided."""

    window: int
    landed: dict[int, str] = dataclasses.field(default_factory=dict)
    spoilt: set[str] = dataclasses.field(default_factory=set)  # deliveries that the data gate says no to
    waived: set[int] = dataclasses.field(default_factory=set)  # quarters whose spoilt data two persons let pass
    aside: set[int] = dataclasses.field(default_factory=set)  # quarters whose baseline two persons set aside
    runs: list[Run] = dataclasses.field(default_factory=list)
    stable: Release | None = None
    before: list[Release] = dataclasses.field(default_factory=list)
    pinned: bool = False
    asked: dict[Release, int] = dataclasses.field(default_factory=dict)  # requests, each with how often something had been served
    serves: int = 0

    def land(self, quarter: int, delivery: str, spoilt: bool = False) -> None:
        self.landed[quarter] = delivery
        self.spoilt |= {delivery} if spoilt else set()

    def waive(self, quarter: int, asked_by: str, approved_by: str, over: bool = False) -> None:
        """A waiver of what blocks a quarter's data: it counts when another person has approved it, and for as long as it holds."""
        if approved_by not in ("", asked_by) and not over:
            self.waived.add(quarter)

    def run(
        self, quarter: int, asked_by: str, scheduled: bool, good: bool, wish: bool = False, cleared: Run | None = None
    ) -> Run:  # fmt: skip
        """A run from its frozen window to its end; whoever asked for it may wish that its release be served.

        One whose data gate is cleared keeps the window that it was frozen with.
        """
        landed = tuple((q, self.landed[q]) for q in range(quarter - self.window + 1, quarter + 1) if q in self.landed)
        generation = 1 + sum(run.quarter == quarter for run in self.runs)
        run = Run(quarter, generation, asked_by, scheduled, wish, cleared.window if cleared else landed, good)
        self.runs.append(run)
        self._judge_data(run)
        if run.data == "BLOCKED":
            return run
        older = [one.release for one in self.runs if one.outcome != "blocked" and one.quarter < quarter]
        run.aside = quarter in self.aside
        run.baseline = None if run.aside else max(older, default=None)
        if good:
            passes = [one for one in self.runs if one.asked_by == asked_by and one.quarter == quarter and one.outcome != "blocked"]
            again = any(one.wish or not wish for one in passes)
            holds = self.pinned or again or not (scheduled or wish) or (self._is_older(run.release) and not wish)
            run.outcome = "held" if holds else self._wished(run.release, persons=1)
        return run

    def promote(self, release: Release, persons: int) -> str:
        """A person's wish: served, asked for, or nothing to do."""
        return "unchanged" if release == self.stable else self._wished(release, persons)

    def answer(self, release: Release, agrees: bool) -> str:
        """Another person's word on what was asked for: it counts unless something else was served meanwhile."""
        if agrees and release == self.stable:
            return "unchanged"
        if self.asked[release] != self.serves:
            return "void"
        del self.asked[release]
        if not agrees:
            return "held"
        self._serve(release)
        return "promoted"

    def roll_back(self, release: Release) -> str:
        if release == self.stable:
            return "unchanged"
        if release not in self.before:
            return "refused"
        last = len(self.before) - 1 - self.before[::-1].index(release)
        self.before, self.stable, self.pinned = self.before[:last], release, True
        self.serves += 1
        return "rolled_back"

    @property
    def base_path(self) -> list[Release]:
        """The stable release, and below it the one before."""
        below = [r for r in self.before[-1:] if self.stable is not None and r < self.stable]
        return [*below, *([self.stable] if self.stable else [])]

    def standing(self, release: Release) -> tuple[tuple[str, ...], int]:
        """What a release is by now, and the later generation that has superseded it, or 0."""
        asked = self.asked.get(release) == self.serves
        word = "stable" if release == self.stable else "asked for" if asked else "was served" if release in self.before else "held"
        newest = max(other[1] for other in self.released if other[0] == release[0])
        return ((word, "superseded"), newest) if newest > release[1] else ((word,), 0)

    @property
    def released(self) -> list[Release]:
        return sorted(run.release for run in self.runs if run.outcome != "blocked")

    def _judge_data(self, run: Run) -> None:
        """A spoilt delivery blocks its own quarter's run unless that is waived, and is left out of later ones' windows, waived or not."""
        bad = tuple(quarter for quarter, delivery in run.window if delivery in self.spoilt)
        run.left_out = tuple(quarter for quarter in bad if quarter != run.quarter)
        if run.quarter in bad:
            run.data = "WAIVED" if run.quarter in self.waived else "BLOCKED"

    def _is_older(self, release: Release) -> bool:
        return self.stable is not None and release[0] < self.stable[0]

    def _wished(self, release: Release, persons: int) -> str:
        """An older quarter's release is asked for first."""
        if self._is_older(release):
            if self.asked.get(release) != self.serves:
                self.asked[release] = self.serves
            if persons < 2:
                return "asked"
        self._serve(release)
        return "promoted"

    def _serve(self, release: Release) -> None:
        if self.stable is not None:
            self.before.append(self.stable)
        self.stable = release
        self.serves += 1
