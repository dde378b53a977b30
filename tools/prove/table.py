"""What came of the parts -> the table in docs/proof.md; the row of a part that was not run stays as it is."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping, Sequence

from tools.prove.parts import PARTS, PROJECT, Tried

DOCUMENT = PROJECT / "docs" / "proof.md"
BEGIN, END = "<!-- written by make prove: begin -->", "<!-- written by make prove: end -->"
_COLUMNS = ("part", "tried", "failed", "seconds", "the watcher's looks", "whole versions in them", "half-made ones", "when, what, where")


def write(tried: Sequence[Tried], document: pathlib.Path = DOCUMENT) -> None:
    """Writes the rows of what was run."""
    before, _, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = {**_rows(table), **{one.part.name: _row(one) for one in tried}}
    document.write_text(f"{before}{BEGIN}\n{_text(rows)}{END}{after}", encoding="utf-8")


def _text(rows: Mapping[str, str]) -> str:
    known = [rows[part.name] for part in PARTS if part.name in rows]
    head = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"
    return "\n".join([head, *known]) + "\n"


def _rows(table: str) -> dict[str, str]:
    """The rows of a table by their part."""
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return {row.split("`")[1]: row for row in rows}


def _row(one: Tried) -> str:
    watched = [f"{count:,}" if one.looks else "-" for count in (one.looks, one.versions, one.half_made)]
    cells = [f"`{one.part.name}`: {one.part.tries}", f"{one.tried}", f"{len(one.failed)}", f"{one.seconds:.0f}", *watched, _where()]
    return f"| {' | '.join(cells)} |"


def _where() -> str:
    """Date, code and machine."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False
    ).stdout.strip()
    day = dt.datetime.now(dt.timezone.utc).date().isoformat()
    return f"{day}, {commit or 'no commit'}, {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
