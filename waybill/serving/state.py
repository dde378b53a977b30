"""A model's journal of decisions -> what is to be served: one fold, without a clock and without a look at any folder.

    promote 20130401000001, promote 20130701000001, rollback to 20130401000001   ->   stable 20130401000001, pinned

Whoever has the journal gets the same state. The Serving base path is made from it and can be made again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from waybill.store import journal
from waybill.store.connection import Store
from waybill.store.journal import Entry

PROMOTE, ROLLBACK, PIN, UNPIN, REQUEST, DECLINE, KEEP, LET_GO, PRUNE = (
    "promote",
    "rollback",
    "pin",
    "unpin",
    "request",
    "decline",
    "keep",
    "let_go",
    "prune",
)


_SERVING = "serving/"


@dataclasses.dataclass(frozen=True)
class ServingState:
    """What was decided about a model, taken together.

    Attributes:
      number: Number of the last decision; 0 before the first.
      stable: Version that is served; 0 when none is.
      before: Versions that were stable, in the order in which they were replaced; the last is the one to go back to.
      pinned_by: Number of the decision since which a schedule's run may not promote by itself; 0 while it may.
      kept: Versions that retention must not remove, whatever their age.
      pruned: Versions that retention has removed.
    """

    number: int = 0
    stable: int = 0
    before: tuple[int, ...] = ()
    pinned_by: int = 0
    kept: frozenset[int] = frozenset()
    pruned: frozenset[int] = frozenset()

    @property
    def pinned(self) -> bool:
        """Whether a schedule's run may not promote by itself."""
        return self.pinned_by > 0

    @property
    def previous(self) -> int:
        """The version that was stable before and is still kept; 0 when none is."""
        return next((version for version in reversed(self.before) if version not in self.pruned), 0)

    @property
    def served(self) -> tuple[int, ...]:
        """Versions under the base path, ascending: the stable one, and below it the one before, loaded in no time if it is needed.

        Never one above the stable version, because TensorFlow Serving's default policy serves the highest.
        """
        return tuple(version for version in (self.previous, self.stable) if 0 < version <= self.stable)


def subject(model: str) -> str:
    """The journal's subject for what is served of a model."""
    return f"{_SERVING}{model}"


def models(store: Store) -> list[str]:
    """The models that there are decisions about."""
    return [about.removeprefix(_SERVING) for about in journal.subjects(store) if about.startswith(_SERVING)]


def fold(entries: Iterable[Entry]) -> ServingState:
    """The state that a journal leads to."""
    return _fold(((entry.number, entry.kind, int(entry.says.get("version", 0))) for entry in entries), ServingState())


def read(store: Store, model: str, since: ServingState | None = None) -> ServingState:
    """A model's state by what is on record.

    Args:
      store: The MLMD database.
      model: The model's name.
      since: A state that was read before; only what was decided after it is read then.
    """
    since = since or ServingState()
    return _fold(journal.outline(store, subject(model), "version", after=since.number), since)


def _fold(steps: Iterable[tuple[int, str, int]], since: ServingState) -> ServingState:
    """Takes number, kind and version of each decision after a state, in one pass however many there are."""
    number, stable, pinned_by = since.number, since.stable, since.pinned_by
    before, kept, pruned = list(since.before), set(since.kept), set(since.pruned)
    for number, kind, version in steps:
        if kind == PROMOTE:
            before += [stable] if stable else []
            stable = version
        elif kind == ROLLBACK:
            _go_back(before, version)
            stable, pinned_by = version, number
        elif kind in (PIN, UNPIN):
            pinned_by = number if kind == PIN else 0
        elif kind == KEEP:
            kept.add(version)
        elif kind == LET_GO:
            kept.discard(version)
        elif kind == PRUNE:
            pruned.add(version)
    return ServingState(number, stable, tuple(before), pinned_by, frozenset(kept), frozenset(pruned))


def _go_back(before: list[int], version: int) -> None:
    """Leaves what was stable before the last time that a version was; everything where it never was."""
    for place in range(len(before) - 1, -1, -1):
        if before[place] == version:
            del before[place:]
            return
