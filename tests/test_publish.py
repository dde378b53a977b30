"""Publishing: a release appears whole or not at all, whatever happens while it is made."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pathlib
import random
import resource
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

import pytest

from waybill.records import digest
from waybill.serving import publish as module
from waybill.serving import rename
from waybill.serving.errors import DigestMismatch, ServingError, UnsafeRelease, VersionTaken
from waybill.serving.publish import publish

VERSION = 20130401000001
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def model(tmp_path):
    """A folder like a SavedModel's, with a nested file that bears the top file's name."""
    return _model(tmp_path / "model", size=1 << 16)


@pytest.fixture
def base(tmp_path):
    return tmp_path / "serving"


def test_release_has_the_models_bytes_and_is_read_only(model, base):
    published = publish(model, base, VERSION, digest.of_tree(model))
    assert published.path == base / str(VERSION)
    assert published.fresh
    assert published.digest == digest.of_tree(published.path) == digest.of_tree(model)
    assert (published.path / "assets/saved_model.pb").read_bytes() == b"nested"
    modes = {stat.S_IMODE(p.stat().st_mode) for p in published.path.rglob("*") if p.is_file()}
    folders = {stat.S_IMODE(p.stat().st_mode) for p in (published.path, *published.path.rglob("*")) if p.is_dir()}
    assert (modes, folders) == ({0o444}, {0o555})
    assert _visible(base) == [str(VERSION)]


def test_publishing_again_does_nothing(model, base):
    first = publish(model, base, VERSION, None)
    inode = first.path.stat().st_ino
    again = publish(model, base, VERSION, None)
    assert (again.fresh, again.digest) == (False, first.digest)
    assert again.path.stat().st_ino == inode


def test_taken_version_is_refused_and_kept(model, base):
    first = publish(model, base, VERSION, None)
    (model / "saved_model.pb").write_bytes(b"another graph")
    with pytest.raises(VersionTaken, match="make a new generation") as caught:
        publish(model, base, VERSION, None)
    assert (caught.value.found, caught.value.given) == (first.digest, digest.of_tree(model))
    assert digest.of_tree(first.path) == first.digest


@pytest.mark.parametrize("squatter", ["file", "empty folder", "link"])
def test_anything_under_the_versions_name_is_left_alone(model, base, squatter):
    base.mkdir()
    target = base / str(VERSION)
    {"file": target.touch, "empty folder": target.mkdir, "link": lambda: target.symlink_to(model)}[squatter]()
    before = os.lstat(target).st_ino
    with pytest.raises(VersionTaken):
        publish(model, base, VERSION, None)
    assert os.lstat(target).st_ino == before


def test_bytes_that_were_not_judged_are_refused(model, base):
    with pytest.raises(DigestMismatch, match="what was judged is not what is here"):
        publish(model, base, VERSION, digest.of_bytes(b"another"))
    assert _visible(base) == []


def test_bytes_that_change_while_they_are_copied_are_refused(model, base, monkeypatch):
    copy = module._copy_bytes

    def copy_and_meddle(source: str, target: str) -> str:
        pathlib.Path(source).write_bytes(b"meddled")
        return copy(source, target)

    monkeypatch.setattr(module, "_copy_bytes", copy_and_meddle)
    with pytest.raises(DigestMismatch, match="the copy of"):
        publish(model, base, VERSION, None)
    assert _visible(base) == []
    assert not list(base.glob(".staging-*"))


@pytest.mark.parametrize("kind", ["link", "link to a folder", "pipe", "socket"])
def test_links_and_special_files_are_refused(model, base, kind, tmp_path):
    stranger = model / "variables/stranger"
    listener = socket.socket(socket.AF_UNIX)
    {
        "link": lambda: stranger.symlink_to("/etc/hostname"),
        "link to a folder": lambda: stranger.symlink_to(tmp_path),
        "pipe": lambda: os.mkfifo(stranger),
        "socket": lambda: listener.bind(str(stranger)),
    }[kind]()
    with pytest.raises(UnsafeRelease, match="stranger"):
        publish(model, base, VERSION, None)
    listener.close()
    assert _visible(base) == []


@pytest.mark.parametrize("version", [0, -1, 2**63, True, "../escape", "7", 1.0])
def test_what_is_no_version_is_refused(model, base, version):
    with pytest.raises(UnsafeRelease, match="expected an integer"):
        publish(model, base, version, None)
    assert not base.exists()


def test_what_is_no_model_is_refused(model, base, tmp_path):
    (model / "saved_model.pb").unlink()
    (tmp_path / "link").symlink_to(model)
    for source in (tmp_path / "absent", tmp_path / "link", model):
        with pytest.raises(UnsafeRelease):
            publish(source, base, VERSION, None)


def test_hostile_file_names_are_published_as_they_are(model, base):
    for name in (b"-rf", b"a\nb", b"\xff\xfe", "trip ünïcode".encode(), b"x" * 255):
        pathlib.Path(os.fsdecode(os.fsencode(model) + b"/" + name)).write_bytes(name)
    published = publish(model, base, VERSION, None)
    assert sorted(os.listdir(os.fsencode(published.path))) == sorted(os.listdir(os.fsencode(model)))


def test_killed_at_any_moment_nothing_half_made_is_visible_and_the_retry_ends_well(tmp_path):
    model = _model(tmp_path / "model", size=2 << 20, files=4)
    wanted = digest.of_tree(model)
    started = time.monotonic()
    publish(model, tmp_path / "timing", VERSION, None)
    whole, seen, dice = time.monotonic() - started, set(), random.Random(7)
    for attempt in range(25):
        base = tmp_path / f"serving{attempt}"
        child = FORK.Process(target=publish, args=(model, base, VERSION, wanted))
        child.start()
        time.sleep(dice.random() * whole * 1.2)
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        visible = _visible(base) if base.exists() else []
        seen.add((bool(visible), bool(list(base.glob(".staging-*")))))
        assert visible in ([], [str(VERSION)])
        assert not visible or digest.of_tree(base / str(VERSION)) == wanted
        again = publish(model, base, VERSION, wanted)
        assert digest.of_tree(again.path) == wanted
        assert stat.S_IMODE(again.path.stat().st_mode) == 0o555
        assert sorted(p.name for p in base.iterdir()) == [".publish.lock", str(VERSION)]
    assert (False, True) in seen, "no child was killed while it copied, so the test has shown nothing"


def test_two_publishers_at_once_make_one_release(model, base):
    answers = FORK.Queue()
    children = [FORK.Process(target=_publish_and_tell, args=(model, base, answers)) for _ in range(6)]
    for child in children:
        child.start()
    fresh = [answers.get(timeout=30) for _ in children]
    for child in children:
        child.join()
    assert sorted(fresh) == [False] * 5 + [True]
    assert _visible(base) == [str(VERSION)]


def test_publisher_waits_for_a_living_one_and_leaves_its_staging_alone(model, base):
    base.mkdir()
    go = FORK.Event()  # the child must not inherit the lock with its parent's open files
    child = FORK.Process(target=_publish_when_told, args=(go, model, base), daemon=True)
    child.start()
    with module.locked(base):
        (base / ".staging-1-living").mkdir()
        go.set()
        child.join(0.5)
        assert child.is_alive()
        assert (base / ".staging-1-living").is_dir()
    child.join(30)
    assert child.exitcode == 0
    assert sorted(p.name for p in base.iterdir()) == [".publish.lock", str(VERSION)]


def test_file_that_cannot_be_written_whole_leaves_nothing(tmp_path, base):
    model = _model(tmp_path / "model", size=1 << 20)
    child = FORK.Process(target=_publish_with_small_files_only, args=(model, base))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert [p.name for p in base.iterdir()] == [".publish.lock"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_disk_leaves_nothing_and_says_so(tmp_path):
    model, disk = _model(tmp_path / "model", size=2 << 20), tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode().strip()}")
    try:
        with pytest.raises(ServingError, match="No space left.*nothing of it is visible"):
            publish(model, disk / "serving", VERSION, None)
        assert [p.name for p in (disk / "serving").iterdir()] == [".publish.lock"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_publisher_without_privileges_can_move_what_it_made_read_only():
    with tempfile.TemporaryDirectory() as folder:  # another user cannot reach pytest's own folders
        root = pathlib.Path(folder)
        root.chmod(0o777)
        child = FORK.Process(target=_publish_as_nobody, args=(_model(root / "model", size=1 << 10), root / "serving"))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert stat.S_IMODE((root / "serving" / str(VERSION)).stat().st_mode) == 0o555


def test_file_system_without_the_safe_rename_still_never_replaces(model, base, monkeypatch):
    monkeypatch.setattr(rename, "_renameat2", lambda source, target: errno.EINVAL)
    publish(model, base, VERSION, None)
    (base / "2").mkdir()
    with pytest.raises(FileExistsError):
        rename.rename_new(model, base / "2")
    assert _visible(base) == ["2", str(VERSION)]


def test_safe_rename_does_not_replace_an_empty_folder(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileExistsError):
        rename.rename_new(tmp_path / "new", tmp_path / "taken")
    assert (tmp_path / "new").is_dir()


def test_everything_is_forced_to_disk_before_it_is_visible(model, base, monkeypatch):
    events = []
    monkeypatch.setattr(module, "fsync", lambda path: events.append(("fsync", path)))
    monkeypatch.setattr(module, "rename_new", lambda source, target: (events.append(("rename", source)), rename.rename_new(source, target)))
    publish(model, base, VERSION, None)
    moved = next(i for i, (what, _) in enumerate(events) if what == "rename")
    staging = events[moved][1]
    before = [path.relative_to(staging).as_posix() for _, path in events[:moved]]
    contents = {p.relative_to(model).as_posix() for p in model.rglob("*")} | {"."}
    assert set(before) == contents
    assert before[-1] == "."
    assert events[-1] == ("fsync", base)


def test_publishing_needs_the_standard_library_only():
    code = "import sys, waybill.serving.publish; print(sorted({m.split('.')[0] for m in sys.modules} & {'tensorflow', 'tfx', 'numpy'}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _model(folder: pathlib.Path, size: int, files: int = 1) -> pathlib.Path:
    for part in ("variables", "assets"):
        (folder / part).mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"graph")
    (folder / "assets/saved_model.pb").write_bytes(b"nested")
    for index in range(files):
        (folder / f"variables/variables.data-{index}").write_bytes(random.Random(index).randbytes(size))
    return folder


def _visible(base: pathlib.Path) -> list[str]:
    """What TensorFlow Serving would take for versions."""
    return sorted((p.name for p in base.iterdir() if p.name.isdigit()), key=int)


def _publish_and_tell(model: pathlib.Path, base: pathlib.Path, answers) -> None:
    answers.put(publish(model, base, VERSION, None).fresh)


def _publish_when_told(go, model: pathlib.Path, base: pathlib.Path) -> None:
    go.wait(30)
    publish(model, base, VERSION, None)


def _publish_with_small_files_only(model: pathlib.Path, base: pathlib.Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        publish(model, base, VERSION, None)
    except ServingError as error:
        os._exit(0 if "File too large" in str(error) else 3)
    os._exit(4)


def _publish_as_nobody(model: pathlib.Path, base: pathlib.Path) -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    publish(model, base, VERSION, None)
