"""The watcher of the proofs sees what is half-made, each kind of it, and nothing where there is nothing."""

from __future__ import annotations

import pathlib
import shutil
import threading
from collections.abc import Iterator

import pytest
import small_model
from watcher import MANIFEST, Watch, Watcher, wrong_with

from waybill.serving.publish import publish


@pytest.fixture
def places(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    releases, serving = tmp_path / "releases" / "small", tmp_path / "serving" / "small"
    model = small_model.write(tmp_path / "model", "good")
    for base in (releases, serving):
        publish(model, base, 1, None)
    return releases, serving


@pytest.fixture
def watcher(tmp_path: pathlib.Path, places: tuple[pathlib.Path, pathlib.Path]) -> Iterator[Watcher]:
    made = Watcher(tmp_path / "seen", *places)
    yield made
    made.stop()


def writable(folder: pathlib.Path) -> pathlib.Path:
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder


def test_whole_versions_are_counted_and_nothing_is_wrong_with_them(places, watcher: Watcher) -> None:
    watcher.wait_for_a_look()
    seen = watcher.stop()
    assert seen.looks > 0 and seen.versions >= 2 and seen.problems == []


DAMAGES = {
    "saved_model.pb missing": lambda v: (v / "saved_model.pb").unlink(),
    "variables/variables.index missing": lambda v: (v / "variables/variables.index").unlink(),
    "variables/variables.data-00000-of-00001 missing": lambda v: (v / "variables/variables.data-00000-of-00001").unlink(),
    f"{MANIFEST} missing": lambda v: (v / MANIFEST).unlink(),
    "no files": lambda v: [shutil.rmtree(v), v.mkdir()],
    "JSONDecodeError": lambda v: (v / MANIFEST).write_text('{"saved_model.pb": "'),
    "saved_model.pb: other bytes": lambda v: (v / "saved_model.pb").write_text("go"),
    "stranger: other bytes": lambda v: (v / "stranger").touch(),
    "Not a directory": lambda v: [shutil.rmtree(v), v.touch()],
}


@pytest.mark.parametrize("place", ["releases", "serving"])
@pytest.mark.parametrize("told", DAMAGES)
def test_a_half_made_version_is_seen(places, watcher: Watcher, place: str, told: str) -> None:
    base = places[0] if place == "releases" else places[1]
    DAMAGES[told](writable(base / "1"))
    watcher.wait_for_a_look()
    seen = watcher.stop()
    assert seen.wrong > 0
    assert any(f"{place}/small/1: " in problem and told in problem for problem in seen.problems)


def test_a_version_copied_in_place_as_tfx_pusher_does_is_seen_while_it_is_copied(places, watcher: Watcher, tmp_path: pathlib.Path) -> None:
    at_the_second_file = threading.Event()

    def slowly(source: str, target: str) -> str:
        if at_the_second_file.is_set():
            watcher.wait_for_a_look()
        at_the_second_file.set()
        return shutil.copyfile(source, target)

    shutil.copytree(tmp_path / "model", places[1] / "2", copy_function=slowly)
    assert any("serving/small/2: " in problem for problem in watcher.stop().problems)


def test_a_version_that_is_taken_out_by_a_rename_while_it_is_read_is_gone_and_not_half_made(places, monkeypatch) -> None:
    version = writable(places[1] / "1")

    def take_out(name: str, folder: int) -> bytes:
        aside = version.rename(version.with_name(".trash"))
        shutil.rmtree(aside)
        raise FileNotFoundError(name)

    monkeypatch.setattr("watcher._read", take_out)
    assert wrong_with(version) is None


def test_a_file_in_the_place_of_the_folder_above_is_no_version_that_is_none(places) -> None:
    places[1].parent.rename(places[1].parent.with_name("away"))
    places[1].parent.touch()
    assert wrong_with(places[1] / "1") is None


def test_a_base_path_that_ran_empty_is_seen(places, watcher: Watcher) -> None:
    watcher.wait_for_a_look()
    writable(places[1] / "1").rename(places[1] / ".trash")
    watcher.wait_for_a_look()
    assert any("ran empty" in problem for problem in watcher.stop().problems)


def test_a_new_folder_has_not_run_empty_though_the_kernel_gives_it_the_number_of_the_one_before(places) -> None:
    watch = Watch(*places)
    watch.look()
    for _ in range(20):
        shutil.rmtree(writable(places[1]))
        places[1].mkdir()
        watch.look()
    assert watch.seen.problems == []


@pytest.mark.parametrize(("text", "told"), [("model_config_list {\n", "cut off"), ("versions: 7\n}\n", "7, the base path holds 1")])
def test_a_config_that_is_cut_off_or_names_what_is_not_there_is_seen(places, text: str, told: str) -> None:
    (places[1].parent / "models.config").write_text(text)
    watch = Watch(*places)
    watch.look()
    assert watch.seen.wrong == 1 and told in watch.seen.problems[0]
