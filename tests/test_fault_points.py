"""At a fault point nothing happens, except where two have said that it shall: the environment, and a folder made for this installation."""

from __future__ import annotations

import json
import multiprocessing
import pathlib
import time

import pytest

from waybill.cli import main as command
from waybill.records import fault_points, settings
from waybill.records.errors import RecordError

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder that is meant for this home, and an environment that names it."""
    made = tmp_path / "faults"
    made.mkdir()
    (made / "home").write_text(str(tmp_path / "home"))
    monkeypatch.setenv("WAYBILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WAYBILL_FAULTS", str(made))
    return made


def arm(folder: pathlib.Path, doing: str, point: str) -> None:
    (folder / "armed").write_text(json.dumps({"doing": doing, "point": point}))


def come_by() -> None:
    fault_points.work_on("pusher")
    fault_points.reached("publish.renamed")


def held(folder: pathlib.Path, child: multiprocessing.Process) -> bool:
    deadline = time.monotonic() + 20
    while child.is_alive() and time.monotonic() < deadline:
        if list(folder.glob("held-*")):
            return True
        time.sleep(0.01)
    return False


def test_nothing_is_written_and_nobody_held_where_nothing_was_said(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm(folder, "pusher", "publish.renamed")
    monkeypatch.delenv("WAYBILL_FAULTS")
    come_by()
    assert sorted(path.name for path in folder.iterdir()) == ["armed", "home"]


def test_a_folder_that_is_meant_for_another_installation_is_refused_by_every_verb(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "home").write_text("/somewhere/else")
    with pytest.raises(RecordError, match="not meant for"):
        come_by()
    assert command.main(["host", "status"]) == 2
    assert "WAYBILL_FAULTS" in capsys.readouterr().err


def test_a_folder_that_says_nothing_is_refused(folder: pathlib.Path) -> None:
    (folder / "home").unlink()
    with pytest.raises(RecordError, match="Unset the variable"):
        settings.load()


@pytest.mark.parametrize(("doing", "point", "stays"), [("pusher", "publish.renamed", True), ("promoter", "publish.renamed", False)])
def test_who_comes_by_the_armed_line_stays_until_told_to_go_on(folder: pathlib.Path, doing: str, point: str, stays: bool) -> None:
    arm(folder, doing, point)
    child = FORK.Process(target=come_by)
    child.start()
    assert held(folder, child) == stays
    for path in folder.glob("held-*"):
        assert json.loads(path.read_text()) == {"doing": doing, "point": point}
        path.unlink()
    child.join(20)
    assert child.exitcode == 0
    assert '"point": "publish.renamed"' in (folder / "reached").read_text()


def test_a_line_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(RecordError, match="not declared"):
        fault_points.reached("publish.renamd")
