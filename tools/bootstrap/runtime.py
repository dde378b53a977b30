"""A newer C runtime from the distribution's packages -> in the project folder, and TFX's Python running on it.

On an older Debian or Ubuntu the interpreter of `.venv` is pointed at a C runtime of the next release, unpacked into the project folder;
the system is not touched.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable

from tools.bootstrap import sources
from tools.bootstrap.errors import SetupError
from tools.bootstrap.machine import NEEDED_GLIBC, NEWER_RELEASE, WAYS_OUT

PACKAGES = ("libc6", "libstdc++6", "libgcc-s1")


def library_folder(root: pathlib.Path) -> pathlib.Path:
    """Where an unpacked runtime under `root` keeps its libraries."""
    return root / "usr/lib/x86_64-linux-gnu"


def is_there(root: pathlib.Path) -> bool:
    """Whether a runtime is unpacked under `root`."""
    return (library_folder(root) / "ld-linux-x86-64.so.2").exists()


def fetch_private(root: pathlib.Path, distribution: str, say: Callable[[str], None]) -> None:
    """Unpacks a newer C runtime into `root`, whole or not at all; does nothing when it is there.

    Args:
      root: Folder the runtime's `usr/` goes into.
      distribution: Key of `NEWER_RELEASE`.
      say: Called with one line per step.

    Raises:
      SetupError: if a package cannot be fetched or unpacked.
    """
    if is_there(root):
        return
    work = root.with_name(root.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    apt = _private_apt(work / "apt", distribution)
    say("reading the package list of " + NEWER_RELEASE[distribution][0])
    _run([*apt, "-qq", "update"], cwd=work)
    say("fetching " + ", ".join(PACKAGES))
    _run([*apt, "-qq", "download", *PACKAGES], cwd=work)
    unpacked = work / "root"
    for package in sorted(work.glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(unpacked)], cwd=work)
    _merge_old_layout(unpacked)
    shutil.rmtree(root, ignore_errors=True)
    unpacked.rename(root)
    shutil.rmtree(work, ignore_errors=True)


def adopt(venv: pathlib.Path, origin: pathlib.Path, root: pathlib.Path, patchelf: pathlib.Path) -> None:
    """Points the interpreters of `venv` at the runtime under `root`.

    Args:
      venv: A virtual environment made with copies.
      origin: Folder of the interpreter they are copies of; libraries that it finds beside itself are found there.
      root: Folder the runtime was fetched into.
      patchelf: The program that changes them.

    Raises:
      SetupError: if patchelf fails or the interpreter still reports an old glibc.
    """
    libraries = library_folder(root)
    for python in sorted((venv / "bin").glob("python*")):
        if python.is_symlink() or not python.is_file() or "config" in python.name:
            continue
        old = _run([str(patchelf), "--print-rpath", str(python)], cwd=venv).strip().replace("$ORIGIN", str(origin))
        rpath = ":".join(part for part in (str(libraries), old) if part)
        loader = str(libraries / "ld-linux-x86-64.so.2")
        _run([str(patchelf), "--set-interpreter", loader, "--force-rpath", "--set-rpath", rpath, str(python)], cwd=venv)
        _run([str(patchelf), "--add-needed", "libstdc++.so.6", str(python)], cwd=venv)
    seen = _run([str(venv / "bin/python"), "-c", "import platform; print(platform.libc_ver()[1])"], cwd=venv).strip()
    if tuple(int(n) for n in seen.split(".")[:2]) < NEEDED_GLIBC:
        raise SetupError(f"{venv}/bin/python still runs on glibc {seen} after it was given a private runtime. {WAYS_OUT}")


def _private_apt(folder: pathlib.Path, distribution: str) -> list[str]:
    """An apt-get command line with lists, cache and sources of its own."""
    suite, keyring = NEWER_RELEASE[distribution]
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    uri = sources.archive_uri(distribution, os.environ, sources.read_machine())
    (folder / "sources.list").write_text(f"deb [signed-by={keyring}] {uri} {suite} main\n")
    options = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "APT::Update::Error-Mode": "any",
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
    }
    return ["apt-get", *(f"-o{key}={value}" for key, value in options.items() if value)]


def _merge_old_layout(unpacked: pathlib.Path) -> None:
    """Older package builds put libraries under /lib; the interpreter is pointed at /usr/lib only."""
    library_folder(unpacked).mkdir(parents=True, exist_ok=True)
    for library in (unpacked / "lib/x86_64-linux-gnu").glob("*"):
        target = library_folder(unpacked) / library.name
        if not target.exists():
            library.rename(target)


def _run(command: list[str], cwd: pathlib.Path) -> str:
    cwd.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise SetupError(f"`{' '.join(command[:1] + command[-3:])}` ended with status {done.returncode}:\n{tail}\n{WAYS_OUT}")
    return done.stdout
