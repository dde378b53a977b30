"""The releases of a model -> those that retention may remove, and why the others stay.

The bytes go; the record stays. MLMD keeps the release, its digest and its whole chain, and the decision that removed it.
"""

from __future__ import annotations

import dataclasses
import secrets

from waybill.records import fault_points
from waybill.records.person import Person
from waybill.records.settings import Settings
from waybill.serving import releases, state
from waybill.serving.errors import DecisionRefused
from waybill.serving.folders import fsync, locked, remove
from waybill.serving.releases import Release
from waybill.store import journal
from waybill.store.connection import Store

_ALL = 100_000  # more releases than anybody has
_TRASH = ".trash-"


@dataclasses.dataclass(frozen=True)
class Judged:
    """A release, and why it stays; empty where it may go."""

    release: Release
    stays: str


def judge(store: Store, model: str, newest: int) -> list[Judged]:
    """Every release whose bytes are there, the highest version first.

    Args:
      store: The MLMD database.
      model: The model's name.
      newest: How many of the highest versions stay in any case.

    Raises:
      DecisionRefused: if `newest` is less than 1.
    """
    if newest < 1:
        raise DecisionRefused(f"got {newest} releases to keep; expected 1 or more, or nothing would be left to roll back to")
    now = state.read(store, model)
    there = [release for release in releases.newest(store, model, _ALL) if release.version not in now.pruned]
    reasons = {now.previous: "it was served before", now.stable: "it is served", **dict.fromkeys(now.kept, "it is kept for audit")}
    return [
        Judged(release, f"one of the {newest} newest" if place < newest else reasons.get(release.version, ""))
        for place, release in enumerate(there)
    ]


def prune(store: Store, settings: Settings, model: str, newest: int, by: Person, why: str) -> list[Release]:
    """Removes what may go, each with a decision on record first; returns what was removed.

    Raises:
      Overtaken: if somebody decides on the model at the same time; what was removed before stays removed, and is on record.
    """
    sweep(store, settings, model)  # what is decided to go and still there, because the process that decided it was killed
    removed = []
    for judged in judge(store, model, newest):
        if judged.stays:
            continue
        now, release = state.read(store, model), judged.release
        if release.version in (now.stable, now.previous) or release.version in now.kept:
            continue  # decided since we looked
        says: dict[str, str | int] = {"version": release.version, "digest": release.digest, "run": release.run, **by.says(why)}
        journal.append(store, state.subject(model), now.number, state.PRUNE, says, [release.artifact])
        sweep(store, settings, model)
        removed.append(release)
    return removed


def sweep(store: Store, settings: Settings, model: str) -> None:
    """Removes the folders of all releases that are decided to go; what a killed process left is removed by the next."""
    base = settings.releases / model
    if not base.is_dir():
        return
    with locked(base):
        now = state.read(store, model)
        for version in now.pruned - set(now.served):
            path = base / str(version)
            if path.is_dir():
                path.chmod(0o755)  # to move a folder is to write into it
                path.rename(base / f"{_TRASH}{version}-{secrets.token_hex(4)}")
                fault_points.reached("retention.set_aside")
        fsync(base)
        for left in base.glob(f"{_TRASH}*"):
            remove(left)


def keep(store: Store, model: str, version: int, kept: bool, by: Person, why: str) -> bool:
    """Keeps a release from retention, or lets it go again; False when it was so already.

    Raises:
      NoSuchRelease: if there is none of that version.
      DecisionRefused: if its bytes are gone.
      Overtaken: if somebody else decided at the same time.
    """
    release = releases.find(store, model, version)
    now = state.read(store, model)
    if version in now.pruned:
        raise DecisionRefused(f"release {version} of {model} was removed; its record stays, its bytes are gone")
    if (version in now.kept) == kept:
        return False
    says: dict[str, str | int] = {"version": version, **by.says(why)}
    journal.append(store, state.subject(model), now.number, state.KEEP if kept else state.LET_GO, says, [release.artifact])
    return True
