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
    window: tuple[str, ...]
    good: bool
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
    runs: list[Run] = dataclasses.field(default_factory=list)
    stable: Release | None = None
    before: list[Release] = dataclasses.field(default_factory=list)
    pinned: bool = False
    asked: dict[Release, int] = dataclasses.field(default_factory=dict)  # requests, each with how often something had been served
    serves: int = 0

    def land(self, quarter: int, content: str) -> None:
        self.landed[quarter] = content

    def run(self, quarter: int, asked_by: str, scheduled: bool, good: bool, wish: bool = False) -> Run:
        """A run from its frozen window to its end; whoever asked for it may wish that its release be served."""
        window = tuple(self.landed[q] for q in range(quarter - self.window + 1, quarter + 1) if q in self.landed)
        generation = 1 + sum(run.quarter == quarter for run in self.runs)
        run = Run(quarter, generation, asked_by, scheduled, wish, window, good)
        older = [one.release for one in self.runs if one.outcome != "blocked" and one.quarter < quarter]
        run.baseline = max(older, default=None)
        if good:
            passes = [one for one in self.runs if one.asked_by == asked_by and one.quarter == quarter and one.outcome != "blocked"]
            again = any(one.wish or not wish for one in passes)
            holds = self.pinned or again or not (scheduled or wish) or (self._is_older(run.release) and not wish)
            run.outcome = "held" if holds else self._wished(run.release, persons=1)
        self.runs.append(run)
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

    @property
    def held(self) -> set[Release]:
        return {run.release for run in self.runs if run.outcome == "held"}

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
