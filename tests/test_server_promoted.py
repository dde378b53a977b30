"""A server that follows promotions loads nothing but what was released under its number, and says what speaks against the rest."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
import released_pipeline
from harness import Installation, Template, install
from serving_target import apart

from waybill.cli import serve
from waybill.cli.main import parser
from waybill.server.errors import RequestError

Q1, Q2 = "2013-01-01", "2013-04-01"
V1, V2, NEW = 20130401000001, 20130701000001, 20990101000001


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    made = install(tmp_path_factory.mktemp("promoted"), released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
    for start in (Q1, Q2):
        made.land(start)
        assert made.run_in_one(made.freeze(start, start, kind="scheduled"))[-1].successful
    return Template(made)


@pytest.fixture
def small(template: Template, monkeypatch: pytest.MonkeyPatch) -> Installation:
    made = template.again()
    monkeypatch.setenv("WAYBILL_HOME", str(made.settings.home))
    return made


def damage(base: pathlib.Path, how: str) -> pathlib.Path:
    """Does it to the newest version under the base path; the folder that is looked at then."""
    folder = base / str(V2)
    for path in (base, folder, *folder.rglob("*")):
        path.chmod(0o755)
    if how == "a bit":
        graph = folder / "saved_model.pb"
        graph.write_bytes(bytes([graph.read_bytes()[0] ^ 1]) + graph.read_bytes()[1:])
    elif how == "a file more":
        (folder / "assets.extra").mkdir()
        (folder / "assets.extra" / "more").write_text("evil")
    elif how == "a file less":
        next(path for path in folder.rglob("variables*") if path.is_file()).unlink()
    elif how == "a link":
        (folder / "more").symlink_to("/etc/hostname")
    elif how == "old bytes":
        shutil.rmtree(folder)
        shutil.copytree(base / str(V1), folder)
    elif how == "old bytes under a new number":
        return pathlib.Path(shutil.copytree(base / str(V1), base / str(NEW)))
    return folder


def test_what_was_released_is_loaded(small: Installation) -> None:
    serve.options(parser().parse_args(["serve"])).check(small.settings.serving / "small" / str(V2))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("a bit", "does not hold what was released: expected sha256:"),
        ("a file more", "does not hold what was released: expected sha256:"),
        ("a file less", "does not hold what was released: expected sha256:"),
        ("a link", "does not hold what was released: expected sha256:"),
        ("old bytes", "does not hold what was released: expected sha256:"),
        ("old bytes under a new number", f"no release {NEW}"),
    ],
)
def test_what_was_not_is_refused_with_the_reason(small: Installation, how: str, says: str) -> None:
    folder = damage(small.settings.serving / "small", how)

    with pytest.raises(RequestError) as caught:
        serve.options(parser().parse_args(["serve"])).check(folder)

    assert caught.value.code == "FAILED_PRECONDITION"
    assert says in caught.value.message and "waybill doctor --repair" in caught.value.message


def test_without_checks_and_for_other_folders_no_record_is_asked(small: Installation) -> None:
    folder = damage(small.settings.serving / "small", "a file more")
    config = str(small.settings.serving / "models.config")
    for words in (["--no-checks"], ["--models-config", config], ["--model", f"small={folder.parent}"]):
        serve.options(parser().parse_args(["serve", *words])).check(folder)


def test_a_record_that_cannot_be_read_lets_nothing_through(small: Installation) -> None:
    check = serve.options(parser().parse_args(["serve"])).check
    small.store.file.rename(small.store.file.with_name("aside"))
    with pytest.raises(RequestError, match="the record of it cannot be read") as caught:
        check(small.settings.serving / "small" / str(V2))
    assert caught.value.code == "UNAVAILABLE"


def test_a_running_server_says_why_it_does_not_serve_a_version(small: Installation) -> None:
    base = small.settings.serving / "small"
    damage(base, "a bit")
    with apart(base, "--load-retries", "0") as target:
        target.until("small", lambda states: states.get(V2) == "END")
        error = json.loads(target.ask("GET", f"/v1/models/small/versions/{V2}")[2])["model_version_status"][0]["status"]
    assert error["error_code"] == "FAILED_PRECONDITION" and "does not hold what was released" in error["error_message"]
