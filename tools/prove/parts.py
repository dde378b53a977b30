"""The parts of the proof -> each run by pytest in its own Python, and what it counted."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shlex
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence

PROJECT = pathlib.Path(__file__).resolve().parents[2]
TFX, AIRFLOW = ".venv", ".venv-airflow"


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of the proof.

    Attributes:
      name: What it is called for: `make prove PART=<name>`.
      tries: What is tried, for the table.
      python: The environment that it runs in.
      tests: What pytest is told to run.
    """

    name: str
    tries: str
    python: str
    tests: tuple[str, ...]


_KILLS = "tests/test_kills.py::test_"
PARTS = (
    Part("watcher", "the watcher itself: kinds of half-made things that it must see", TFX, ("tests/test_watcher.py",)),
    Part("disk", "a disk that fills up at some byte of a release", TFX, ("tests/test_disk_full.py",)),
    Part("process", "SIGKILL of a node's process, or of a verb's, at a line", TFX, (f"{_KILLS}whose_process", f"{_KILLS}what_comes_by")),
    Part("host", "SIGKILL of the warm host while its node is at a line", TFX, (f"{_KILLS}when_the_warm_host",)),
    Part("histories", "random histories, with kills at random lines in them", TFX, ("tests/test_proof.py",)),
    Part(
        "scheduler", "SIGKILL of Airflow's scheduler while a node is at a line, and of its host", AIRFLOW, ("tests/test_airflow_kills.py",)
    ),
)


@dataclasses.dataclass(frozen=True)
class Tried:
    """What came of one part.

    Attributes:
      part: The part.
      tried: How many cases.
      failed: The commands that run each failed case again.
      seconds: Wall time.
      looks: How often the watcher looked meanwhile.
      versions: How many whole versions it saw in all.
      half_made: How often it saw something half-made.
    """

    part: Part
    tried: int
    failed: tuple[str, ...]
    seconds: float
    looks: int
    versions: int
    half_made: int


def run(part: Part, histories: int, seed: int) -> Tried:
    """Runs a part with its output on this terminal.

    Args:
      part: The part.
      histories: How many random histories.
      seed: What they are drawn from.
    """
    with tempfile.TemporaryDirectory(prefix="waybill-prove-") as name:
        seen, report = pathlib.Path(name, "seen"), pathlib.Path(name, "report.xml")
        settings = {"PROOF_ALL": "1"}
        words = [f"{part.python}/bin/python", "-m", "pytest", "-vv", "--no-header"]
        if part.name == "histories":
            settings["PROOF_EXAMPLES"] = str(histories)
            words.append(f"--hypothesis-seed={seed}")
        began = time.monotonic()
        status = subprocess.run(
            [*words, f"--junitxml={report}", *named(part.tests)],
            cwd=PROJECT, env={**os.environ, **settings, "PROOF_SEEN": str(seen)}, check=False,
        ).returncode  # fmt: skip
        took = time.monotonic() - began
        tried, bad = _counted(report)
        if status and not bad:
            bad = list(part.tests)  # it did not even begin, or was ended
        again = shlex.join([*(f"{key}={value}" for key, value in settings.items()), *words])
        count = histories if part.name == "histories" else tried
        return Tried(part, count, tuple(f"{again} {shlex.quote(case)}" for case in bad), took, *_looked(seen))


def named(tests: Sequence[str]) -> list[str]:
    """The tests by whole names; a part names the beginnings of some.

    Raises:
      LookupError: if there is none of a name, since pytest would then run everything there is.
    """
    found: list[str] = []
    for test in tests:
        path, _, beginning = test.partition("::")
        text = (PROJECT / path).read_text(encoding="utf-8")
        names = [line.removeprefix("def ").partition("(")[0] for line in text.splitlines() if line.startswith(f"def {beginning}")]
        if beginning and not names:
            raise LookupError(f"{path} has no test whose name begins with {beginning}")
        found += [f"{path}::{name}" for name in names] if beginning else [path]
    return found


def _counted(report: pathlib.Path) -> tuple[int, list[str]]:
    """How many cases pytest has run, and which failed."""
    try:
        cases = list(ET.parse(report).iter("testcase"))
    except (OSError, ET.ParseError):
        return 0, []
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    ran = [case for case in cases if case.find("skipped") is None]
    return len(ran), sorted({f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}" for case in bad})


def _looked(seen: pathlib.Path) -> tuple[int, int, int]:
    """What all watchers of a part have seen together: their looks, whole versions, and what was half-made."""
    lines = [json.loads(line) for line in seen.read_text().splitlines()] if seen.exists() else []
    looks, versions, wrong = (sum(line[name] for line in lines) for name in ("looks", "versions", "wrong"))
    return looks, versions, wrong
