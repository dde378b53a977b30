"""Set-up: which machines and interpreters it takes, what it is told by pip and apt, and that an environment is whole or made again."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from tools.bootstrap import __main__ as command
from tools.bootstrap import environments, installers, interpreter, machine, sources
from tools.bootstrap.environments import TOOLS, Builder, Environment
from tools.bootstrap.errors import SetupError

PROJECT = pathlib.Path(__file__).resolve().parents[1]
DEBIAN_12 = machine.Machine("linux", "glibc", (2, 36), "x86_64", "debian", has_apt=True)
PYTHON_312 = interpreter.Interpreter(
    "/usr/bin/python3.12", (3, 12, 1), "CPython", free_threaded=False, can_make_venv=True, can_compile=False
)
SMALL = Environment("small", ".venv-small", "requirements-small.txt", "nothing", 1, project=False, tfx=False)


@pytest.mark.parametrize("glibc, plan", [((2, 36), "private"), ((2, 38), "private"), ((2, 39), "system"), ((3, 0), "system")])
def test_a_private_runtime_is_for_an_older_glibc_only(glibc: tuple[int, int], plan: str) -> None:
    assert machine.decide(dataclasses.replace(DEBIAN_12, glibc=glibc)).value == plan


def test_a_new_enough_glibc_needs_neither_apt_nor_a_known_distribution() -> None:
    fedora = dataclasses.replace(DEBIAN_12, glibc=(2, 40), distribution="fedora", has_apt=False)
    assert machine.decide(fedora) is machine.Plan.SYSTEM


@pytest.mark.parametrize(
    "change, words",
    [
        ({"libc": "", "glibc": (0, 0)}, "another C library"),
        ({"libc": "musl", "glibc": (1, 2)}, "musl"),
        ({"has_apt": False}, "no apt-get"),
        ({"distribution": "rocky"}, "2.36 and is rocky"),
        ({"distribution": ""}, "an unknown distribution"),
        ({"arch": "aarch64", "glibc": (2, 41)}, "linux on aarch64"),
        ({"system": "darwin", "arch": "x86_64"}, "darwin on x86_64"),
    ],
)
def test_a_machine_that_cannot_carry_tfx_is_refused_with_both_ways_out(change: dict[str, object], words: str) -> None:
    with pytest.raises(SetupError, match=words) as refusal:
        machine.decide(dataclasses.replace(DEBIAN_12, **change))
    assert "Debian 13" in str(refusal.value)
    assert "container" in str(refusal.value)


@pytest.mark.parametrize(
    "fields, distribution",
    [
        ({"ID": "debian"}, "debian"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "ubuntu"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "rocky"),
        ({}, ""),
    ],
)
def test_a_descendant_counts_as_the_distribution_it_descends_from(fields: dict[str, str], distribution: str) -> None:
    assert machine.distribution_of(fields) == distribution


ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://shop.example/linux/debian bookworm stable
deb http://mirror.example/debian bookworm main contrib
deb http://mirror.example/debian bookworm-updates main
deb http://mirror.example/debian-security bookworm-security main
"""
DEB822 = """\
Types: deb
URIs: https://shop.example/linux/debian
Suites: bookworm
Components: stable

# the distribution's own
Types: deb deb-src
URIs: http://first.example/debian/ http://second.example/debian
Suites: bookworm
 bookworm-updates
Components: main

Types: deb
URIs: http://third.example/debian
Suites: bookworm bookworm-updates
Enabled: no
"""


@pytest.mark.parametrize(
    "text, uri",
    [
        (ONE_LINE, "http://mirror.example/debian"),
        (DEB822, "http://first.example/debian/"),
        ("deb https://shop.example/linux/debian bookworm stable\n\n" + DEB822, "http://first.example/debian/"),
        ("deb http://plain.example/debian bookworm main", "http://plain.example/debian"),
        ("Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: bookworm", "mirror+file:///etc/apt/mirrors/debian.list"),
    ],
)
def test_the_archive_is_the_one_the_machine_takes_its_own_packages_from(text: str, uri: str) -> None:
    assert sources.archive_uri("debian", {}, text) == uri


def test_an_archive_named_by_hand_wins() -> None:
    assert sources.archive_uri("debian", {"WAYBILL_APT_ARCHIVE": "http://mine/debian"}, ONE_LINE) == "http://mine/debian"


@pytest.mark.parametrize(
    "text", ["", "deb cdrom:[Debian]/ bookworm main", "deb http://mirror.example/ubuntu jammy main", "# " + ONE_LINE[2:70]]
)
def test_without_an_archive_the_refusal_names_the_variable(text: str) -> None:
    with pytest.raises(SetupError, match="WAYBILL_APT_ARCHIVE=http://<mirror>/debian"):
        sources.archive_uri("debian", {}, text)


def test_source_lists_are_read_from_apts_places_and_no_others(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d/old.list.save").write_text(ONE_LINE)
    assert sources.archive_uri("debian", {}, sources.read_machine(tmp_path)) == "http://first.example/debian/"


@pytest.mark.parametrize("version", [(3, 10, 0), (3, 11, 7), (3, 12, 1), (3, 13, 9)])
def test_supported_pythons_are_taken(version: tuple[int, int, int]) -> None:
    interpreter.check(dataclasses.replace(PYTHON_312, version=version))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"version": (3, 9, 18)}, r"is Python 3\.9; .* need 3\.10 to 3\.13"),
        ({"version": (3, 14, 0)}, r"is Python 3\.14"),
        ({"implementation": "PyPy"}, "is PyPy"),
        ({"free_threaded": True}, "free-threaded"),
        ({"can_make_venv": False}, r"apt-get install python3\.12-venv"),
    ],
)
def test_other_pythons_are_refused_with_what_to_do(change: dict[str, object], words: str) -> None:
    with pytest.raises(SetupError, match=words) as refusal:
        interpreter.check(dataclasses.replace(PYTHON_312, **change))
    assert "make PYTHON=" in str(refusal.value)


def test_an_environment_of_older_parts_says_which_python_it_takes(tmp_path: pathlib.Path) -> None:
    builder = Builder(tmp_path, dataclasses.replace(PYTHON_312, version=(3, 13, 0)), print)
    with pytest.raises(SetupError, match=r"is Python 3\.13; TFX and the last Airflow it runs on need 3\.12 or older\. Name another"):
        builder.ensure(environments.PEER)


def test_only_python_310_needs_a_compiler() -> None:
    interpreter.check_can_compile(PYTHON_312)
    interpreter.check_can_compile(dataclasses.replace(PYTHON_312, version=(3, 10, 13), can_compile=True))
    with pytest.raises(SetupError, match=r"g\+\+ python3\.10-dev"):
        interpreter.check_can_compile(dataclasses.replace(PYTHON_312, version=(3, 10, 13)))


def test_uv_is_told_the_mirror_that_pip_uses() -> None:
    settings = "global.index-url='https://mirror/simple'\nglobal.timeout='60'\n"
    assert installers.for_uv(settings, {}) == {"UV_DEFAULT_INDEX": "https://mirror/simple"}
    assert installers.for_uv(settings, {"UV_DEFAULT_INDEX": "https://own"}) == {}


def test_pips_variables_win_over_its_files_and_all_of_its_indexes_count() -> None:
    settings = ":env:.cert='/env.pem'\nglobal.cert='/global.pem'\nglobal.extra-index-url='\\nhttps://a\\nhttps://b'\ninstall.extra-index-url='https://c'"
    assert installers.for_uv(settings, {}) == {
        "SSL_CERT_FILE": "/env.pem",
        "UV_INDEX": "https://c",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A project folder whose environment of tools is complete and holds nothing but pip and a real uv."""
    root = tmp_path_factory.mktemp("project with tools")
    (root / TOOLS.lock).touch()
    Builder(root, interpreter.inspect_interpreter(), print).ensure(TOOLS)
    (root / TOOLS.folder / "bin/uv").symlink_to(PROJECT / TOOLS.folder / "bin/uv")
    return root


@dataclasses.dataclass
class Place:
    """A project folder, its builder, and what was said."""

    root: pathlib.Path
    builder: Builder
    said: list[str]

    @property
    def marker(self) -> pathlib.Path:
        """A file that only a rebuild takes away."""
        return self.root / SMALL.folder / "marker"


@pytest.fixture
def place(tools: pathlib.Path) -> Place:
    (tools / SMALL.lock).write_text(f"# {time.monotonic_ns()}\n")
    said: list[str] = []
    made = Place(tools, Builder(tools, interpreter.inspect_interpreter(), said.append), said)
    made.builder.ensure(SMALL)
    made.marker.touch()
    said.clear()
    return made


def test_a_complete_environment_is_left_alone(place: Place) -> None:
    place.builder.ensure(SMALL)
    assert place.said == []
    assert place.marker.exists()


def test_another_lock_makes_the_environment_anew_and_says_why(place: Place) -> None:
    (place.root / SMALL.lock).write_text("# another\n")
    place.builder.ensure(SMALL)
    assert not place.marker.exists()
    assert "its lock changed" in place.said[0]


def test_an_environment_without_its_stamp_is_made_anew(place: Place) -> None:
    (place.root / SMALL.folder / environments.STAMP).unlink()
    place.builder.ensure(SMALL)
    assert not place.marker.exists()
    assert "not complete" in place.said[0]


@pytest.mark.parametrize("damage", ["", "{", "[]", "null"])
def test_a_damaged_stamp_counts_as_none(place: Place, damage: str) -> None:
    (place.root / SMALL.folder / environments.STAMP).write_text(damage)
    assert place.builder.built_from(SMALL) == {}


def test_an_environment_is_not_current_for_another_python_or_folder(place: Place, tmp_path: pathlib.Path) -> None:
    built = place.builder.built_from(SMALL)
    (tmp_path / SMALL.lock).write_bytes((place.root / SMALL.lock).read_bytes())
    moved = Builder(tmp_path, interpreter.inspect_interpreter(), print).wanted(SMALL)
    upgraded = Builder(place.root, dataclasses.replace(interpreter.inspect_interpreter(), version=(3, 12, 99)), print).wanted(SMALL)
    assert {part for part in built if built[part] != moved[part]} == {"folder"}
    assert {part for part in built if built[part] != upgraded[part]} == {"Python"}


def test_a_lost_private_runtime_makes_the_environment_incomplete(place: Place) -> None:
    stamp = place.root / SMALL.folder / environments.STAMP
    stamp.write_text(json.dumps({**place.builder.built_from(SMALL), "C runtime": "private"}))
    assert place.builder.built_from(SMALL) == {}


def test_a_change_of_setup_py_alone_keeps_what_is_installed(place: Place) -> None:
    small = dataclasses.replace(SMALL, project=True)
    (place.root / "setup.py").write_text("raise SystemExit('this project cannot be built')\n")
    (place.root / small.folder / environments.STAMP).write_text(json.dumps({**place.builder.wanted(small), "project": "older"}))
    with pytest.raises(SetupError):
        place.builder.ensure(small)
    assert place.marker.exists()
    assert place.builder.built_from(small) == {}


def test_a_failed_install_says_what_to_do_and_leaves_no_stamp(place: Place) -> None:
    (place.root / SMALL.lock).write_text("./missing-1.0-py3-none-any.whl\n")
    with pytest.raises(SetupError, match="run the same make target again"):
        place.builder.ensure(SMALL)
    assert place.builder.built_from(SMALL) == {}


def test_too_little_room_is_said_before_anything_is_fetched(place: Place) -> None:
    (place.root / SMALL.lock).write_text("# another\n")
    with pytest.raises(SetupError, match="Make room"):
        place.builder.ensure(dataclasses.replace(SMALL, megabytes=1 << 40))


def test_a_folder_with_a_colon_is_refused(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "a:b"
    root.mkdir()
    (root / SMALL.lock).touch()
    with pytest.raises(SetupError, match="colon"):
        Builder(root, interpreter.inspect_interpreter(), print).ensure(SMALL)


ENSURE_TOOLS = """
import pathlib, sys
from tools.bootstrap import environments, interpreter
environments.Builder(pathlib.Path(sys.argv[1]), interpreter.inspect_interpreter(), print).ensure(environments.TOOLS)
"""


def test_a_set_up_killed_half_way_is_made_anew_after_its_orphans_are_gone(tmp_path: pathlib.Path) -> None:
    (tmp_path / TOOLS.lock).touch()
    first = subprocess.Popen([sys.executable, "-c", ENSURE_TOOLS, str(tmp_path)], cwd=PROJECT, stdout=subprocess.DEVNULL)
    wait_for(tmp_path / TOOLS.folder / "bin/python")
    first.kill()
    first.wait()
    said: list[str] = []
    builder = Builder(tmp_path, interpreter.inspect_interpreter(), said.append)
    assert builder.built_from(TOOLS) == {}

    builder.ensure(TOOLS)

    assert "waiting" in said[0]
    assert "not complete" in said[1]
    assert builder.built_from(TOOLS) == builder.wanted(TOOLS)
    subprocess.run([tmp_path / TOOLS.folder / "bin/python", "-m", "pip", "--version"], check=True, stdout=subprocess.DEVNULL)


def wait_for(path: pathlib.Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


@pytest.mark.parametrize("names", [[], ["everything"], ["tools", "spaceship"]])
def test_an_unknown_environment_is_refused_with_the_names_there_are(names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(names) == 2
    assert "tools, tfx, airflow" in capsys.readouterr().err


def make(*arguments: str, cwd: pathlib.Path = PROJECT) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "PYTHON"}
    return subprocess.run(["make", *arguments], cwd=cwd, env=environ, capture_output=True, text=True, check=False)


def test_bare_make_lists_the_verbs_one_line_each() -> None:
    listed = [line.split()[0] for line in make().stdout.splitlines()[1:]]
    assert listed == ["demo", "test", "prove", "lint", "graph", "up", "down", "bench", "bench-peer", "board", "clean", "lock"]


@pytest.mark.parametrize("verb", ["demo", "test", "prove", "lint", "graph", "up", "down", "bench", "bench-peer", "board", "lock"])
def test_every_verb_completes_its_environments_first(verb: str) -> None:
    assert "-m tools.bootstrap tools" in make("-n", verb).stdout.splitlines()[0]


def test_make_without_a_supported_python_says_how_to_name_one() -> None:
    done = make("-n", "demo", "PYTHON=")
    assert done.returncode == 2
    assert "make PYTHON=/path/to/python3.11 demo" in done.stderr


@pytest.mark.parametrize(
    "tfx, airflow, words", [(0, 0, "all passed"), (1, 0, "FAILED in .venv .venv .venv\n"), (0, 5, "FAILED in .venv-airflow\n")]
)
def test_make_test_runs_both_environments_and_each_counts(tmp_path: pathlib.Path, tfx: int, airflow: int, words: str) -> None:
    (tmp_path / "Makefile").write_bytes((PROJECT / "Makefile").read_bytes())
    for folder, status in ((".venv", tfx), (".venv-airflow", airflow)):
        python = tmp_path / folder / "bin/python"
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\necho ran $0 $*\nexit {status}\n")
        python.chmod(0o755)
    done = make("test", "PYTHON=true", cwd=tmp_path)
    assert "ran .venv/bin/python -m pytest" in done.stdout
    assert "ran .venv-airflow/bin/python -m pytest" in done.stdout
    assert words in done.stdout + done.stderr
    assert (done.returncode != 0) == bool(tfx or airflow)
