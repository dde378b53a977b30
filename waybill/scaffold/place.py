"""The texts of a new pipeline -> its files in the project, all of them or none.

Everything is written into a folder of its own beside them first, and then each of a few names is given away, the DAG's last. A process that
is killed in between leaves the folder, and with it what it meant to do: the next one takes back what is there of it and begins anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping

from waybill.records import digest
from waybill.scaffold.errors import Occupied
from waybill.scaffold.names import targets

_FOLDER, _LOCK, _MEANT = ".new", "lock", "meant.json"


@contextlib.contextmanager
def alone(project: pathlib.Path) -> Iterator[pathlib.Path]:
    """Holds the project for one new pipeline, clears up after dead ones, and yields the folder to write it in.

    Raises:
      Occupied: if another process is writing one.
    """
    folder = project / _FOLDER
    folder.mkdir(exist_ok=True)
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Occupied("another `waybill new` is at work here; expected one at a time; run it again when that one is done") from None
        take_back(project)
        staging = folder / "staging"
        staging.mkdir()
        try:
            yield staging
        finally:
            take_back(project)
    finally:
        os.close(handle)


def write(staging: pathlib.Path, files: Mapping[str, str]) -> None:
    """Writes files below the staging folder and forces them to disk."""
    for name, text in files.items():
        path = staging / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        _fsync(path)
        _fsync(path.parent)


def put(staging: pathlib.Path, project: pathlib.Path, name: str) -> None:
    """Gives the staged files their places.

    Args:
      staging: Where they are.
      project: The project folder.
      name: The pipeline's name.

    Raises:
      Occupied: if something has taken a place meanwhile; `alone` then frees those that were taken for it.
    """
    places = list(targets(name).values())
    meant = staging / _MEANT
    write(staging, {_MEANT: json.dumps({place: _content(staging / place) for place in places})})
    _fsync(staging)
    for place in places:
        target = project / place
        if os.path.lexists(target):
            raise Occupied(f"{place} is there already; expected nothing; move it away, and run it again")
        target.parent.mkdir(exist_ok=True)
        (staging / place).rename(target)
        _fsync(target.parent)
    meant.unlink()


def take_back(project: pathlib.Path) -> None:
    """Removes what is left of an unfinished new pipeline, as far as nobody has changed it; of a finished one, the staging folder."""
    staging = project / _FOLDER / "staging"
    with contextlib.suppress(FileNotFoundError, ValueError):
        meant: dict[str, str] = json.loads((staging / _MEANT).read_text(encoding="utf-8"))
        ours = [project / place for place, content in meant.items() if _content(project / place) == content]
        if len(ours) < len(meant):
            for path in reversed(ours):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(staging, ignore_errors=True)


def _content(path: pathlib.Path) -> str:
    """Digest of a file, or of all files in a folder but what Python keeps there; nothing where there is none."""
    if not path.is_dir():
        return digest.of_file(path) if path.is_file() else ""
    return digest.of_files(path, [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts])


def _fsync(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
