"""A process that looks at a release store and a Serving base path as TensorFlow Serving does, without a pause, for what is half-made.

It takes every child whose name is a number for a version, at whatever moment it sees it, and reads all of it: `saved_model.pb` and the
variables must be there, and every file must be the one that the model's own `manifest.json` names, with no other beside them. A version
that is taken out while it is being read counts as gone only if its name is gone, too. The base path must not run empty once it has served,
and a version that `models.config` names must be there.

    python tests/watcher.py <folder for what it has seen> <release store of a model> <its base path>

Standard library only: it knows nothing of Waybill but where to look.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import re
import select
import stat as stat_lib
import struct
import subprocess
import sys
import time

MANIFEST = "manifest.json"
NEEDED = ("saved_model.pb", "variables/variables.index", MANIFEST)
_COUNTS = struct.Struct("QQQ")
_TOLD = 50  # problems that are written down; the rest are counted


@dataclasses.dataclass
class Seen:
    """What was seen so far: how often was looked, how many whole versions that were in all, what was wrong."""

    looks: int = 0
    versions: int = 0
    wrong: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


class Watch:
    """Looks at one model's release store and base path.

    Args:
      releases: The model's folder in the release store.
      serving: Its base path; `models.config` is beside it.
    """

    def __init__(self, releases: pathlib.Path, serving: pathlib.Path):
        self._releases = releases
        self._serving = serving
        self._has_served = _Folder()
        self._was_configured = _Folder()
        self.seen = Seen()

    def look(self) -> None:
        """One look at everything."""
        for base in (self._releases, self._serving):
            for name in versions(base):
                self._judge(f"{base.parent.name}/{base.name}/{name}", wrong_with(base / name))
        self._judge(self._serving.name, self._ran_empty())
        self._judge("models.config", self._config_misleads())
        self.seen.looks += 1

    def _judge(self, what: str, problem: str | None) -> None:
        if problem:
            self.seen.wrong += 1
            if len(self.seen.problems) < _TOLD:
                self.seen.problems.append(f"{time.strftime('%H:%M:%S')} {what}: {problem}")
        elif problem == "":
            self.seen.versions += what.count("/") == 2

    def _ran_empty(self) -> str | None:
        """Whether a base path that held versions holds none; a folder is no list, so a second look must say the same."""
        try:
            stat = self._serving.stat()
        except OSError:
            return None
        this = (stat.st_dev, stat.st_ino)
        if versions(self._serving) or versions(self._serving):
            self._has_served.become(self._serving, this)
            return None
        if self._has_served.numbers != this or not _is(self._serving, this):
            return None
        return "the base path ran empty"

    def _config_misleads(self) -> str | None:
        """Whether `models.config` is cut off, is empty again, or names only versions that are not there."""
        path = self._serving.parent / "models.config"
        try:
            folder = path.parent.stat()
            text = path.read_text()
            there = set(versions(self._serving))
            if path.read_text() != text:
                return None
        except OSError:
            return None
        this = (folder.st_dev, folder.st_ino)
        if not text and self._was_configured.numbers != this:
            return None  # nothing was served yet
        self._was_configured.become(path.parent, this)
        if not text.endswith("}\n"):
            return f"it is cut off: {text!r}"
        named = set(re.findall(r"versions: (\d+)", text))
        if named & there:
            return None
        return f"of the versions it names, {', '.join(sorted(named)) or 'none'}, the base path holds {', '.join(sorted(there)) or 'none'}"


class _Folder:
    """The folder in which something was seen. It is held open: the numbers of one that is gone are given to the next.

    Attributes:
      numbers: Its device and inode; None for none.
    """

    def __init__(self) -> None:
        self.numbers: tuple[int, int] | None = None
        self._descriptor = -1

    def become(self, path: pathlib.Path, numbers: tuple[int, int]) -> None:
        """Makes it the folder of those numbers, if that is still the one at the path."""
        if numbers == self.numbers:
            return
        try:
            descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return
        stat = os.fstat(descriptor)
        if (stat.st_dev, stat.st_ino) != numbers:
            os.close(descriptor)
            return
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self.numbers, self._descriptor = numbers, descriptor


def versions(base: pathlib.Path) -> list[str]:
    """Names of what TensorFlow Serving would take for versions."""
    try:
        return [name for name in os.listdir(base) if name.isdigit()]
    except OSError:
        return []


def wrong_with(version: pathlib.Path) -> str | None:
    """What is wrong with a version; empty when it is whole, None when it is not there any more."""
    try:
        descriptor = os.open(version, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        return str(error) if _is_no_folder(version) else None
    try:
        problem = _wrong_inside(descriptor)
        stat = os.fstat(descriptor)
        return problem if not problem or _is(version, (stat.st_dev, stat.st_ino)) else None
    finally:
        os.close(descriptor)


def _is_no_folder(version: pathlib.Path) -> bool:
    """Whether a version is there and is something else; what is above it may be in the way of looking at it."""
    try:
        return not stat_lib.S_ISDIR(os.lstat(version).st_mode)
    except OSError:
        return False


def _wrong_inside(descriptor: int) -> str:
    found: dict[str, str] = {}
    manifest = b"{}"
    try:
        for folder, _, names, here in os.fwalk(".", dir_fd=descriptor):
            for name in names:
                path = os.path.normpath(os.path.join(folder, name))
                data = _read(name, here)
                found[path] = hashlib.sha256(data).hexdigest()
                manifest = data if path == MANIFEST else manifest
        expected = json.loads(manifest)
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    if missing := [name for name in (*NEEDED, *expected) if name not in found]:
        return f"{', '.join(missing)} missing; there are {', '.join(sorted(found)) or 'no files'}"
    if other := sorted(name for name, digest in found.items() if name != MANIFEST and expected.get(name) != digest):
        return f"{', '.join(other)}: other bytes than the manifest says"
    return ""


def _read(name: str, folder: int) -> bytes:
    with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb") as handle:
        return handle.read()


def _is(path: pathlib.Path, this: tuple[int, int]) -> bool:
    """Whether a name still bears this very folder."""
    try:
        stat = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return (stat.st_dev, stat.st_ino) == this


class Watcher:
    """A watch in a process of its own, which ends with this one.

    Args:
      folder: For what it has seen.
      releases: As for `Watch`.
      serving: As for `Watch`.
    """

    def __init__(self, folder: pathlib.Path, releases: pathlib.Path, serving: pathlib.Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        words = [sys.executable, str(pathlib.Path(__file__)), str(folder), str(releases), str(serving)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE)

    @property
    def pid(self) -> int:
        return self._process.pid

    def seen(self) -> Seen:
        """What it has seen so far."""
        try:
            counts = _COUNTS.unpack((self._folder / "counts").read_bytes())
        except (FileNotFoundError, struct.error):
            return Seen()
        told = self._folder / "problems"
        return Seen(*counts, told.read_text().splitlines() if counts[2] else [])

    def wait_for_a_look(self, seconds: float = 60) -> None:
        """Returns when it has begun and ended a look since now: what is there now, it has seen."""
        before, deadline = self.seen().looks, time.monotonic() + seconds
        while self.seen().looks < before + 2:
            assert self._process.poll() is None, "the watcher has ended"
            assert time.monotonic() < deadline, f"the watcher did not look within {seconds} s"
            time.sleep(0.001)

    def stop(self) -> Seen:
        """Ends it; what it has seen."""
        self._process.communicate()
        return self.seen()


def report(seen: Seen) -> None:
    """Leaves what a watcher has seen for `make prove`, which adds it up."""
    if file := os.environ.get("PROOF_SEEN"):
        with open(file, "a") as handle:
            handle.write(json.dumps({"looks": seen.looks, "versions": seen.versions, "wrong": seen.wrong}) + "\n")


def main() -> int:
    """Looks until standard input is closed."""
    folder, releases, serving = map(pathlib.Path, sys.argv[1:])
    os.nice(10)  # whoever is watched goes first; it looks whenever a processor is free
    watch, told = Watch(releases, serving), 0
    counts = os.open(folder / "counts", os.O_WRONLY | os.O_CREAT, 0o644)
    while not select.select([0], [], [], 0)[0]:
        watch.look()
        if told < len(watch.seen.problems):
            (folder / "problems").write_text("\n".join(watch.seen.problems))
            told = len(watch.seen.problems)
        os.pwrite(counts, _COUNTS.pack(watch.seen.looks, watch.seen.versions, watch.seen.wrong), 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
