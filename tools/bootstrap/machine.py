"""This machine's C library -> whether TFX's Python needs a private one.

ml-metadata 1.21 and tensorflow-data-validation 1.21 have Linux wheels for glibc 2.39 and later only.
"""

from __future__ import annotations

import dataclasses
import enum
import pathlib
import platform
import re
import shutil
import sys
from collections.abc import Mapping

from tools.bootstrap.errors import SetupError

NEEDED_GLIBC = (2, 39)
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
    """The C runtime that TFX's Python gets: the system's own, or a private one in the project folder."""

    SYSTEM = "system"
    PRIVATE = "private"


@dataclasses.dataclass(frozen=True)
class Machine:
    """The facts the decision is made from.

    Attributes:
      system: `sys.platform`, such as `linux`.
      libc: Name of the C library as Python reports it, `glibc` on most distributions, empty on musl.
      glibc: Its version as (major, minor); (0, 0) when there is none.
      arch: Machine architecture, such as `x86_64`.
      distribution: The one of `NEWER_RELEASE` that /etc/os-release says this is or descends from, or else its `ID`.
      has_apt: Whether apt-get and dpkg are there.
    """

    system: str
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
        system=sys.platform,
        libc=libc,
        glibc=(numbers[0], numbers[1]) if len(numbers) == 2 else (0, 0),
        arch=platform.machine(),
        distribution=distribution_of(_os_release()),
        has_apt=all(shutil.which(tool) for tool in ("apt-get", "dpkg")),
    )


def distribution_of(os_release: Mapping[str, str]) -> str:
    """The known distribution that the fields of /etc/os-release name or say they descend from; else what they name."""
    names = [os_release.get("ID", ""), *os_release.get("ID_LIKE", "").split()]
    return next((name for name in names if name in NEWER_RELEASE), names[0])


def decide(machine: Machine) -> Plan:
    """Chooses how TFX's wheels get a C runtime they accept.

    Raises:
      SetupError: if neither the system's nor a private runtime can work.
    """
    if machine.system != "linux" or machine.arch != "x86_64":
        raise SetupError(f"TFX 1.21 has wheels for Linux on x86_64; this machine is {machine.system} on {machine.arch}. {WAYS_OUT}")
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
        raise SetupError(
            f"TFX 1.21 needs glibc 2.39 or later; this machine has {found} and no apt-get to fetch a newer one with. {WAYS_OUT}"
        )
    return Plan.PRIVATE


def _os_release() -> dict[str, str]:
    path = pathlib.Path("/etc/os-release")
    lines = path.read_text().splitlines() if path.exists() else []
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
