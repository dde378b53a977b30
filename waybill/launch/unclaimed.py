"""The folders of an installation and its record -> what lies there and belongs to nothing; listed, and left to a person.

Everything here may be the work of a process that has only begun. So nothing is listed that was touched within a day, or that a living
process has a lease of; and the record is read after the folders, so that it knows what they know.
"""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Collection, Iterator

from waybill.launch.lease import is_held
from waybill.launch.older import RUN
from waybill.records import digest
from waybill.records.finding import Finding
from waybill.records.settings import Settings
from waybill.store import generations, reads
from waybill.store.connection import Store

AGE_SECONDS = 24 * 3600.0  # longer than any step of a run leaves its folder untouched
_ORDERS = "orders"  # in the scratch folder: of trainings on several machines, not of a pipeline


def artifact_folders(store: Store, settings: Settings) -> list[Finding]:
    """Folders of artifacts whose unit of work is on no record."""
    folders = [unit for pipeline in _folders(settings.artifacts) for unit in _folders(pipeline)]
    known = reads.units(store) if folders else set()
    return [
        Finding(
            where=f"artifacts of {folder.name}",
            what=f"{str(folder)!r} is there, but MLMD knows no unit of work of that name",
            cause="the store was made anew or put back from an older copy, or the folder was copied here",
            mend="put back the store that knows it; else, when nobody misses it, remove the folder",
        )
        for folder in folders
        if folder.name not in known and _is_left(settings, folder, folder.name, [node.name for node in _folders(folder)])
    ]


def spec_files(store: Store, settings: Settings) -> list[Finding]:
    """Files beside the run specs that no generation was frozen with."""
    files = sorted(settings.specs.iterdir()) if settings.specs.is_dir() else []
    known = {f"{spec.removeprefix(digest.PREFIX)}.json" for spec in generations.every_frozen(store)} if files else set()
    return [
        Finding(
            where=f"run spec {path.name[:19]}",
            what=f"{str(path)!r} is {_told(path)}, and no generation in the store was frozen with it",
            cause="the process that froze it was killed before the store had it, or the store was put back from an older copy",
            mend="nothing needs it: a run that is tried again freezes its own; remove the file",
        )
        for path in files
        if path.name not in known and not _is_young(path)
    ]


def scratch_folders(store: Store, settings: Settings) -> list[Finding]:
    """What attempts left for the next one to go on from, when none has come for a day."""
    units = [unit for pipeline in _folders(settings.scratch) if pipeline.name != _ORDERS for unit in _folders(pipeline)]
    folders = [node for unit in units for node in _folders(unit)]
    known = reads.units(store) if folders else set()
    found = []
    for folder in folders:
        pipeline, unit = folder.parent.parent.name, folder.parent.name
        if not _is_left(settings, folder, unit, [folder.name]):
            continue
        done = reads.successful_execution(store, pipeline, unit, folder.name) if unit in known else None
        if done:
            cause, mend = "its node has succeeded since, and its process was killed before it removed it", "remove the folder"
        elif unit in known:
            cause = "an attempt was cut off, and nobody has tried again"
            mend = f"clear {folder.name} of that run, which goes on from there; else remove the folder, and it begins anew"
        else:
            cause, mend = "MLMD knows no unit of work of that name", "remove the folder"
        what = f"{str(folder)!r} holds what an attempt left for the next one; no process works on it"
        found.append(Finding(f"{folder.name} of {unit}", what, cause, mend))
    return found


def base_paths(settings: Settings, known: Collection[str]) -> list[Finding]:
    """Folders under the Serving base path of models that are neither a pipeline's nor decided about.

    Args:
      settings: Where things are.
      known: Names of pipelines, and of models with decisions on record.
    """
    return [
        Finding(
            where=f"the Serving base path of {folder.name}",
            what=f"{str(folder)!r} is there, but no pipeline has that name, and no decision about such a model is on record",
            cause="it was put there by hand, or its pipeline was removed or renamed before anything was promoted",
            mend="a server that is given this folder serves what nobody decided: move it away",
        )
        for folder in _folders(settings.serving)
        if folder.name not in known and not _is_young(folder)
    ]


def _folders(root: pathlib.Path) -> list[pathlib.Path]:
    """Folders in a folder, without those that are set aside under a hidden name."""
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")) if root.is_dir() else []


def _is_left(settings: Settings, folder: pathlib.Path, unit: str, nodes: Collection[str]) -> bool:
    """Whether no living process works on a folder, and none has touched it for long."""
    return not any(is_held(settings.leases, unit, node) for node in (RUN, *nodes)) and not _is_young(folder)


def _is_young(path: pathlib.Path) -> bool:
    """Whether a path, or anything below it, was changed within a day; what vanishes while it is looked at is at work."""
    try:
        return any(time.time() - one.lstat().st_mtime < AGE_SECONDS for one in _all(path))
    except FileNotFoundError:
        return True


def _all(path: pathlib.Path) -> Iterator[pathlib.Path]:
    yield path
    if path.is_dir():
        yield from path.rglob("*")


def _told(path: pathlib.Path) -> str:
    """What a file beside the specs says it is."""
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
        return f"a spec of {spec['pipeline']}, {spec['interval']['start']}, generation {spec['generation']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "no whole spec"
