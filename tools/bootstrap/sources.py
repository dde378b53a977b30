"""apt's source lists -> the package archive this machine already uses, so that its mirror and proxy settings are kept."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping

from tools.bootstrap.errors import SetupError

OVERRIDE = "WAYBILL_APT_ARCHIVE"


@dataclasses.dataclass(frozen=True)
class Source:
    """One enabled source of packages: where it is and the suites asked of it, such as `bookworm` and `bookworm-updates`."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]


def archive_uri(distribution: str, environ: Mapping[str, str], sources: str) -> str:
    """The address of the distribution's own archive.

    Third parties name theirs alike (`https://example.org/linux/debian`), but only the distribution's own has an `-updates` suite.

    Args:
      distribution: Last part of the archive's path, `debian` or `ubuntu`.
      environ: Environment; `WAYBILL_APT_ARCHIVE` overrides.
      sources: Text of all apt source lists of the machine.

    Raises:
      SetupError: if no archive is configured.
    """
    if environ.get(OVERRIDE):
        return environ[OVERRIDE]
    found = [
        (any(suite.endswith("-updates") for suite in source.suites), uri)
        for source in parse(sources)
        for uri in source.uris
        if re.fullmatch(rf"(?:https?|file|mirror\+file):.*/{distribution}(?:\.list)?/?", uri)
    ]
    if not found:
        raise SetupError(
            f"no {distribution} archive is configured for apt on this machine, and TFX needs a newer C library from one; "
            f"name its address: {OVERRIDE}=http://<mirror>/{distribution}"
        )
    return next((uri for own, uri in found if own), found[0][1])


def parse(text: str) -> Iterator[Source]:
    """Reads one-line entries (`deb [options] uri suite component ...`) and deb822 stanzas alike."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in lines:
        if entry := re.match(r"\s*deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+(\S+)", line):
            yield Source((entry[1],), (entry[2],))
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {name.lower(): value.split() for name, value in re.findall(r"(?m)^([A-Za-z-]+):(.*(?:\n[ \t].*)*)", stanza)}
        if "deb" in fields.get("types", ()) and fields.get("enabled", ["yes"]) != ["no"]:
            yield Source(tuple(fields.get("uris", ())), tuple(fields.get("suites", ())))


def read_machine(etc: pathlib.Path = pathlib.Path("/etc/apt")) -> str:
    """The text of all source lists apt reads on this machine, a blank line between two."""
    places = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]
    return "\n\n".join(p.read_text(errors="replace") for p in places if p.suffix in (".list", ".sources") and p.is_file())
