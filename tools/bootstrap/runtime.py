"""This machine's C library -> whether TFX's Python needs a private one, and that one in place.

ml-metadata 1.21 and tensorflow-data-validation 1.21 have Linux wheels for glibc 2.39 and later only. On an older Debian or Ubuntu
the interpreter of `.venv` is pointed at a newer C runtime unpacked into the project folder; the system is not touched.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping

from tools.bootstrap.errors import SetupError

NEEDED_GLIBC = (2, 39)
PACKAGES = ("libc6", "libstdc++6", "libgcc-s1")
# distribution id in /etc/os-release -> the first release of it whose glibc is new enough, and the keyring that signs it
NEWER_RELEASE = {
    "debian": ("trixie", "/usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": ("noble", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
WAYS_OUT = (
    "Either use a machine whose glibc is 2.39 or later (Debian 13, Ubuntu 24.04, Fedora 40), "
    "or run Waybill in a container built on one of these."
)


class Plan(enum.Enum):
    """What has to happen before TFX's wheels can be installed."""

    SYSTEM = "the system's own C runtime is new enough"
    PRIVATE = "a private C runtime goes into the project folder"


@dataclasses.dataclass(frozen=True)
class Machine:
    """The facts the decision is made from.

    Attributes:
      libc: Name of the C library as Python reports it, `glibc` on most distributions, empty on musl.
      glibc: Its version as (major, minor); (0, 0) when there is none.
      arch: Machine architecture, such as `x86_64`.
      distribution: `ID` of /etc/os-release, such as `debian`.
      has_apt: Whether apt-get and dpkg are there.
    """

    libc: str
    glibc: tuple[int, int]
    arch: str
    distribution: str
    has_apt: bool


def inspect_machine() -> Machine:
    """Reads this machine's facts."""
    libc, version = platform.libc_ver()
    numbers = [int(n) for n in re.findall(r"\d+", version)[:2]]
    return Machine(
        libc=libc,
        glibc=(numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0),
        arch=platform.machine(),
        distribution=_os_release().get("ID", ""),
        has_apt=all(shutil.which(tool) for tool in ("apt-get", "dpkg")),
    )


def decide(machine: Machine) -> Plan:
    """Chooses how TFX's wheels get a C runtime they accept.

    Raises:
      SetupError: if neither the system's nor a private runtime can work.
    """
    if sys.platform != "linux" or machine.arch != "x86_64":
        raise SetupError(
            f"TFX 1.21 has wheels for Linux on x86_64; this machine is {sys.platform} on {machine.arch}. {WAYS_OUT}"
        )
    if machine.libc != "glibc":
        raise SetupError(f"TFX 1.21 needs glibc 2.39 or later; this Python runs on {machine.libc or 'another C library'}. {WAYS_OUT}")
    if machine.glibc >= NEEDED_GLIBC:
        return Plan.SYSTEM
    found = ".".join(map(str, machine.glibc))
    if machine.distribution not in NEWER_RELEASE:
        raise SetupError(
            f"TFX 1.21 needs glibc 2.39 or later; this machine has {found} and is {machine.distribution or 'an unknown distribution'}, "
            f"where a newer one cannot be taken from Debian's or Ubuntu's packages. {WAYS_OUT}"
        )
    if not machine.has_apt:
        raise SetupError(f"TFX 1.21 needs glibc 2.39 or later; this machine has {found} and no apt-get to fetch a newer one with. {WAYS_OUT}")
    return Plan.PRIVATE


def library_folder(root: pathlib.Path) -> pathlib.Path:
    """Where an unpacked runtime under `root` keeps its libraries."""
    return root / "usr/lib/x86_64-linux-gnu"


def fetch_private(root: pathlib.Path, distribution: str, say: Callable[[str], None]) -> None:
    """Unpacks a newer C runtime into `root`, whole or not at all; does nothing when it is there.

    Args:
      root: Folder the runtime's `usr/` goes into.
      distribution: Key of `NEWER_RELEASE`.
      say: Called with one line per step.

    Raises:
      SetupError: if a package cannot be fetched or unpacked.
    """
    if (library_folder(root) / "ld-linux-x86-64.so.2").exists():
        return
    work = root.with_name(root.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    apt = _private_apt(work / "apt", *NEWER_RELEASE[distribution])
    say("reading the package list of " + NEWER_RELEASE[distribution][0])
    _run([*apt, "-qq", "update"], cwd=work)
    say("fetching " + ", ".join(PACKAGES))
    _run([*apt, "-qq", "download", *PACKAGES], cwd=work)
    unpacked = work / "root"
    for package in sorted(work.glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(unpacked)], cwd=work)
    _merge_old_layout(unpacked)
    unpacked.rename(root)
    shutil.rmtree(work, ignore_errors=True)


def adopt(venv: pathlib.Path, root: pathlib.Path, patchelf: pathlib.Path) -> None:
    """Points the interpreters of `venv` at the runtime under `root`.

    Raises:
      SetupError: if patchelf fails or the interpreter still reports an old glibc.
    """
    libraries = library_folder(root)
    for python in sorted((venv / "bin").glob("python*")):
        if python.is_symlink() or not python.is_file() or "config" in python.name:
            continue
        old = _run([str(patchelf), "--print-rpath", str(python)], cwd=venv).strip()
        rpath = ":".join(part for part in (str(libraries), old) if part)
        loader = str(libraries / "ld-linux-x86-64.so.2")
        _run([str(patchelf), "--set-interpreter", loader, "--force-rpath", "--set-rpath", rpath, str(python)], cwd=venv)
        _run([str(patchelf), "--add-needed", "libstdc++.so.6", str(python)], cwd=venv)
    seen = _run([str(venv / "bin/python"), "-c", "import platform; print(platform.libc_ver()[1])"], cwd=venv).strip()
    if tuple(int(n) for n in seen.split(".")[:2]) < NEEDED_GLIBC:
        raise SetupError(f"{venv}/bin/python still runs on glibc {seen} after it was given a private runtime. {WAYS_OUT}")


def archive_uri(distribution: str, environ: Mapping[str, str], sources: str) -> str:
    """The package archive this machine already uses, so that its mirror and proxy settings are kept.

    Args:
      distribution: Key of `NEWER_RELEASE`.
      environ: Environment; `WAYBILL_APT_ARCHIVE` overrides.
      sources: Text of all apt source lists of the machine.

    Raises:
      SetupError: if no archive is configured.
    """
    if environ.get("WAYBILL_APT_ARCHIVE"):
        return environ["WAYBILL_APT_ARCHIVE"]
    lines = [line for line in sources.splitlines() if not line.lstrip().startswith("#")]
    found = re.findall(rf"\b(?:https?|file):\S+/{distribution}/?(?=\s|$)", "\n".join(lines))
    if not found:
        raise SetupError(
            f"no {distribution} archive is configured for apt on this machine; set WAYBILL_APT_ARCHIVE to the address of one. {WAYS_OUT}"
        )
    return found[0]


def _private_apt(folder: pathlib.Path, suite: str, keyring: str) -> list[str]:
    """An apt-get command line with lists, cache and sources of its own."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    places = [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]
    text = "\n".join(p.read_text(errors="replace") for p in places if p.suffix in (".list", ".sources") and p.is_file())
    uri = archive_uri("ubuntu" if "ubuntu" in keyring else "debian", os.environ, text)
    (folder / "sources.list").write_text(f"deb [signed-by={keyring}] {uri} {suite} main\n")
    options = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",
    }
    return ["apt-get", *(f"-o{key}={value}" for key, value in options.items() if value)]


def _merge_old_layout(unpacked: pathlib.Path) -> None:
    """Older package builds put libraries under /lib; the interpreter is pointed at /usr/lib only."""
    old = unpacked / "lib/x86_64-linux-gnu"
    for library in old.glob("*") if old.is_dir() else ():
        target = library_folder(unpacked) / library.name
        if not target.exists():
            library.rename(target)


def _os_release() -> dict[str, str]:
    path = pathlib.Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _run(command: list[str], cwd: pathlib.Path) -> str:
    cwd.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise SetupError(f"`{' '.join(command[:1] + command[-3:])}` ended with status {done.returncode}:\n{tail}\n{WAYS_OUT}")
    return done.stdout


def digest_of(root: pathlib.Path) -> str:
    """A digest of the runtime's C library, part of what an environment was built from."""
    library = library_folder(root) / "libc.so.6"
    return hashlib.sha256(library.read_bytes()).hexdigest()[:16] if library.exists() else "none"
