"""A disk that fills up at any byte of a release: refused with the cause, nothing half-made, and well as soon as there is room.

`make prove` tries five offsets of a release in the release store and in the base path, and the file after it; the test suite takes two.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest
import small_model
from agreement import STARTS, agree, version
from proving import ALL, proving
from reference import World

from waybill.records.node import Outcome
from waybill.serving import base_path

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")

PAGE = 4096  # bytes; what a file system in memory gives at once
Q1, Q2 = STARTS[:2]
V1, V2 = version((0, 1)), version((1, 1))
NEEDS = 3 + small_model.SIZE // PAGE  # pages of a model: three small files and a large one
ROOM = {"nothing": 0, "one page": 1, "a third": NEEDS // 3, "two thirds": 2 * NEEDS // 3, "all but a page": NEEDS - 1}
CASES = [
    *(("pusher", "releases", room) for room in ROOM),
    *(("promoter", "serving", room) for room in ROOM),
    ("promoter", "serving", "all, and models.config not"),
]
FEW = {("pusher", "releases", "two thirds"), ("promoter", "serving", "all, and models.config not")}


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: pathlib.Path, pages: int) -> pathlib.Path:
    """Fills a disk up to some pages."""
    filler = disk / "filler"
    with filler.open("wb") as handle:
        handle.write(b"x" * ((os.statvfs(disk).f_bavail - pages) * PAGE))
    assert os.statvfs(disk).f_bavail == pages
    return filler


@pytest.mark.parametrize(("node", "place", "room"), [case for case in CASES if ALL or case in FEW])
def test_a_disk_that_fills_up_is_told_shows_nothing_half_made_and_holds_nothing_up_for_longer(
    disk: pathlib.Path, node: str, place: str, room: str
) -> None:
    with proving(**{place: disk / place}) as proof:
        here = proof.installation
        for start in (Q1, Q2):
            here.land(start)
        assert proof.finish(proof.freeze(Q1, Q1))[-1].successful
        spec = proof.freeze(Q2, Q2)
        assert proof.finish(spec, before=node)[-1].successful
        filler = fill(disk, ROOM.get(room, NEEDS))
        told = proof.working(spec, node).end()
        proof.watcher.wait_for_a_look()
        assert told.outcome is Outcome.FAILED and "No space left on device" in told.message
        whole = room not in ROOM  # the version itself had room
        assert base_path.present(getattr(here.settings, place) / "small") == ([V1, V2] if whole else [V1])
        assert not list(disk.rglob(".staging-*"))
        assert proof.doctor("--repair") == (1 if node == "promoter" else 0), "what is decided and not served is told, until there is room"
        filler.unlink()
        assert proof.finish(spec, since=node)[-1].successful
        world = World(window=1)
        for quarter, start in enumerate((Q1, Q2)):
            world.land(quarter, start)
            world.run(quarter, f"small/scheduled__{start}", scheduled=True, good=True)
        agree(here, world)
        assert proof.doctor() == 0
