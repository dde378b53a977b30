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


@dataclasses.dataclass(frozen=True)
class ServingState:
    """What was decided about a model, taken together.

    Attributes:
      number: Number of the last decision; 0 before the first.
      stable: Version that is served; 0 when none is.
      before: Versions that were stable, in the order in which they were replaced; the last is the one to go back to.
      pinned: Whether a schedule's run may not promote by itself.
      kept: Versions that retention must not remove, whatever their age.
      pruned: Versions that retention has removed.
    """

    number: int = 0
    stable: int = 0
    before: tuple[int, ...] = ()
    pinned: bool = False
    kept: frozenset[int] = frozenset()
    pruned: frozenset[int] = frozenset()

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

    def after(self, entry: Entry) -> ServingState:
        """The state once one more decision was taken."""
        state = dataclasses.replace(self, number=entry.number)
        version = int(entry.says.get("version", 0))
        if entry.kind == PROMOTE:
            return dataclasses.replace(state, stable=version, before=(*self.before, self.stable) if self.stable else ())
        if entry.kind == ROLLBACK:
            return dataclasses.replace(state, stable=version, before=_upto(self.before, version), pinned=True)
        if entry.kind in (PIN, UNPIN):
            return dataclasses.replace(state, pinned=entry.kind == PIN)
        if entry.kind == KEEP:
            return dataclasses.replace(state, kept=self.kept | {version})
        if entry.kind == LET_GO:
            return dataclasses.replace(state, kept=self.kept - {version})
        if entry.kind == PRUNE:
            return dataclasses.replace(state, pruned=self.pruned | {version})
        return state


def subject(model: str) -> str:
    """The journal's subject for what is served of a model."""
    return f"serving/{model}"


def fold(entries: Iterable[Entry]) -> ServingState:
    """The state that a journal leads to."""
    state = ServingState()
    for entry in entries:
        state = state.after(entry)
    return state


def read(store: Store, model: str) -> ServingState:
    """A model's state by what is on record."""
    return fold(journal.entries(store, subject(model)))


def _upto(before: tuple[int, ...], version: int) -> tuple[int, ...]:
    """The versions that were stable before the last time that one was."""
    last = max((i for i, old in enumerate(before) if old == version), default=len(before))
    return before[:last]
