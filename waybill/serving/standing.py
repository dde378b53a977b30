"""A release and its model's journal -> what it is by now, in words: the one place that says so, to whoever shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from waybill.serving import requests, state
from waybill.serving.releases import Release
from waybill.serving.state import ServingState
from waybill.store import reads, superseded
from waybill.store.connection import Store
from waybill.store.journal import Entry


@dataclasses.dataclass(frozen=True)
class Standing:
    """What a release is.

    Attributes:
      words: `stable`, `was served`, `asked for` (another person has to agree) or `held`; then `kept`, `removed`, `superseded` where it is.
      superseded_by: Number of the later generation of its interval that was released; 0 when there is none.
      why: What its run's promoter decided, or what became of the last request for it since.
    """

    words: tuple[str, ...]
    superseded_by: int
    why: str


def of(store: Store, release: Release, entries: Sequence[Entry], promoter: str) -> Standing:
    """What a release is by what is on record.

    Args:
      store: The MLMD database.
      release: The release.
      entries: Its model's journal.
      promoter: Id of the node that decides about releases.
    """
    now, later = state.fold(entries), superseded.by(store, release.model, release.interval, release.generation)
    asked = requests.last(entries, release.version)
    words = [_word(release, now, bool(requests.open_for(entries, release.version)))]
    words += ["kept"] if release.version in now.kept else []
    words += ["removed"] if release.version in now.pruned else []
    words += ["superseded"] if later else []
    return Standing(tuple(words), later, (requests.ended(entries, asked) if asked else "") or _decided(store, release, promoter))


def _word(release: Release, now: ServingState, asked: bool) -> str:
    if release.version == now.stable:
        return "stable"
    return "asked for" if asked else "was served" if release.version in now.before else "held"


def _decided(store: Store, release: Release, promoter: str) -> str:
    """What the run's own promoter said."""
    done = reads.successful_execution(store, release.model, release.run, promoter)
    found = [a for group in reads.outputs(store, done.id).values() for a in group] if done else []
    return str(found[0].properties.get("says", "")) if found else "its promoter has not run"
