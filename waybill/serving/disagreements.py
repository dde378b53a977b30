"""The journal, the release store and the base path -> where they do not say the same."""

from __future__ import annotations

import pathlib

from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.records.finding import Finding
from waybill.records.settings import Settings
from waybill.serving import base_path, models_config, releases, retention, state
from waybill.serving.errors import NoSuchRelease
from waybill.store import reads
from waybill.store.connection import Store

_ALL = 100_000  # more releases than anybody has


def releases_kept(store: Store, settings: Settings, model: str) -> list[Finding]:
    """Releases on record whose folder is gone or has other bytes, and folders that are on no record."""
    folder, now = settings.releases / model, state.read(store, model)
    recorded = {release.version: release for release in releases.newest(store, model, _ALL)}
    found = []
    for version, release in sorted(recorded.items()):
        if version in now.pruned:
            if release.path.is_dir():
                what = f"it was decided to go, and {str(release.path)!r} is still there"
                cause = "the process that removed it was killed"
                again = lambda: retention.sweep(store, settings, model)  # noqa: E731
                found.append(Finding(f"release {version} of {model}", what, cause, "remove its folder", again))
            continue
        there = _digest(release.path)
        if there != release.digest:
            what = f"MLMD has {release.digest} as its digest; found {there} at {str(release.path)!r}"
            mend = "put its folder back from a copy; it cannot be promoted as it is"
            found.append(Finding(f"release {version} of {model}", what, "its folder was changed or removed by hand", mend))
    for version in base_path.present(folder):
        if version not in recorded:
            what = f"{str(folder / str(version))!r} is there, but no release of that version is on record"
            cause = "the pusher's process ended after it had put the release there and before MLMD had it"
            mend = "nothing while its run is tried again, which takes it over; else clear pusher of that run"
            found.append(Finding(f"release {version} of {model}", what, cause, mend))
    return found


def base_path_shows(store: Store, settings: Settings, model: str) -> list[Finding]:
    """Whether the base path holds what was decided, byte for byte, and models.config names it."""
    base, served = settings.serving / model, state.read(store, model).served
    where, mend = f"the Serving base path of {model}", "make it again from the journal and the release store"
    found = []

    def differs(what: str, cause: str) -> None:
        found.append(Finding(where, what, cause, mend, lambda: base_path.follow(store, settings, model, mend=True)))

    present = base_path.present(base)
    if present != list(served):
        said = ", ".join(map(str, served)) or "nothing"
        differs(
            f"the journal says {said}; the folder holds {', '.join(map(str, present)) or 'nothing'}",
            "a process ended between a decision and its copy, or a folder was changed by hand",
        )
    if left := sorted(path.name for path in base.glob(f"{base_path.TRASH}*")):
        differs(f"the folder holds {', '.join(left)}, which is no version any more", "a process ended while it took a version out")
    for version in set(present) & set(served):
        if _changed(store, base / str(version), model, version):
            differs(f"{str(base / str(version))!r} has other bytes than its release", "its files were changed by hand")
    config = settings.serving / models_config.NAME
    wanted = models_config.text(settings.serving, models_config.decided(settings, store)) if served else ""
    if served and not (config.is_file() and config.read_text(encoding="utf-8") == wanted):
        differs(f"{str(config)!r} does not name what was decided", "a process ended before it was written, or it was edited")
    return found


def _changed(store: Store, path: pathlib.Path, model: str, version: int) -> bool:
    try:
        return _digest(path) != releases.find(store, model, version).digest
    except NoSuchRelease:
        return True


def _digest(path: pathlib.Path) -> str:
    try:
        return digest.of_tree(path) if path.is_dir() else "nothing"
    except (RecordError, OSError) as error:
        return str(error)


def unfinished_decisions(store: Store, model: str, last_node: str) -> list[Finding]:
    """Releases whose own promoter has not run, so that nobody has decided about them."""
    found, seen, now = [], set(), state.read(store, model)
    for release in releases.newest(store, model, 20):
        superseded = release.interval in seen
        seen.add(release.interval)
        if superseded or release.version in {now.stable, *now.before, *now.pruned}:
            continue  # a person has decided, or a later generation has
        if reads.successful_execution(store, model, release.run, last_node) is None:
            what = f"release {release.version} is on record, but {last_node} of {release.run} has not decided about it"
            cause = "its run is at work, or was ended after pusher"
            found.append(Finding(f"{last_node} of {release.run}", what, cause, f"wait, or clear {last_node} of that run in Airflow"))
    return found
