"""The folder by which a proof holds the processes of an installation still, as `waybill.records.fault_points` reads it."""

from __future__ import annotations

import json
import pathlib


class Faults:
    """The folder by which processes of an installation are held still."""

    def __init__(self, folder: pathlib.Path, home: pathlib.Path):
        folder.mkdir()
        (folder / "home").write_text(str(home))
        self.folder = folder

    def arm(self, doing: str, point: str) -> None:
        part = self.folder / ".armed"
        part.write_text(json.dumps({"doing": doing, "point": point}))
        part.rename(self.folder / "armed")

    def disarm(self) -> None:
        (self.folder / "armed").unlink(missing_ok=True)

    def held(self) -> int:
        """The process that is held, 0 when none is."""
        return next((int(path.name.removeprefix("held-")) for path in self.folder.glob("held-*")), 0)

    def held_at(self, doing: str, point: str) -> int:
        """The process that is held at a line, 0 when none is; one that was held before may have come to it since."""
        here = {"doing": doing, "point": point}
        found = (path for path in self.folder.glob("held-*") if json.loads(path.read_text()) == here)
        return next((int(path.name.removeprefix("held-")) for path in found), 0)

    def release(self) -> None:
        """Lets go of whoever is held."""
        for path in self.folder.glob("held-*"):
            path.unlink(missing_ok=True)

    def reached(self) -> list[tuple[str, str]]:
        """What was reached so far, in order: what was being done, and the point."""
        file = self.folder / "reached"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [(line["doing"], line["point"]) for line in lines]

    def forget(self) -> None:
        (self.folder / "reached").unlink(missing_ok=True)
