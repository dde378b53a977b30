"""A locked requirements file -> packages in an environment, by pip or by uv."""

from __future__ import annotations

import ast
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tools.bootstrap.errors import SetupError

# What would lead an environment's Python, or pip, to other places than the environment.
_ASTRAY = ("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX")
_SECTIONS = (":env:", "install", "global")  # of pip's configuration, the strongest first
# pip's option -> the variable that tells uv the same
_FOR_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "proxy": "ALL_PROXY", "cert": "SSL_CERT_FILE"}


class Installer:
    """Runs the commands that fill environments.

    Args:
      root: The project folder, where they run.
      tools: The environment that holds pip and uv.
      turn: File descriptor of the set-up lock; every command inherits it, so that the lock outlives a killed set-up for as long as
        its commands live.
    """

    def __init__(self, root: pathlib.Path, tools: pathlib.Path, turn: int):
        self._root = root
        self._tools = tools
        self._turn = turn

    def make_venv(self, folder: pathlib.Path, *, pip: bool = False, copies: bool = False) -> None:
        """Makes an empty environment of the running interpreter.

        Raises:
          SetupError: if that fails, as all methods here.
        """
        options = [*([] if pip else ["--without-pip"]), *(["--copies"] if copies else [])]
        self._run([sys.executable, "-m", "venv", *options, str(folder)])

    def pip_install(self, lock: str) -> None:
        """Installs the locked packages into the environment of the tools."""
        self._run([*self._pip(), "install", "--quiet", "--require-hashes", "--requirement", lock])

    def uv_install(self, folder: pathlib.Path, lock: str) -> None:
        """Installs the locked packages into another environment.

        The lock is complete, so nothing is resolved again; packages that come as source are built with the lock's setuptools.
        """
        self._uv(folder, "--require-hashes", "--no-deps", "--build-constraints", lock, "--requirement", lock)

    def install_project(self, folder: pathlib.Path) -> None:
        """Installs the project itself, in place, with what the environment holds."""
        self._uv(folder, "--no-deps", "--no-build-isolation", "--editable", ".")

    def _uv(self, folder: pathlib.Path, *arguments: str) -> None:
        quiet = [] if sys.stderr.isatty() else ["--quiet"]
        command = [str(self._tools / "bin/uv"), "pip", "install", *quiet, "--no-config", "--python", str(folder / "bin/python")]
        self._run([*command, *arguments], for_uv(self._pip_settings(), os.environ))

    def _pip(self) -> list[str]:
        return [str(self._tools / "bin/python"), "-m", "pip"]

    def _pip_settings(self) -> str:
        done = subprocess.run([*self._pip(), "config", "list"], env=_environ(), capture_output=True, text=True, check=False)
        return done.stdout

    def _run(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(command, cwd=self._root, env={**_environ(), **(more or {})}, pass_fds=[self._turn], check=False)
        if done.returncode:
            said = " ".join([pathlib.Path(command[0]).name, *command[1:4]])
            raise SetupError(
                f"`{said} ...` ended with status {done.returncode}; what it said is above. "
                "If it could not connect: pip's settings for index, proxy and certificates apply here. "
                "Mend that and run the same make target again: it starts this environment over."
            )


def for_uv(pip_settings: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What `pip config list` prints -> the same settings for uv, which reads none of pip's.

    Args:
      pip_settings: Lines such as `global.index-url='https://mirror/simple'`, or `:env:.index-url=...` for a variable.
      environ: Environment; what it tells uv already stays as it is.
    """
    given = dict(line.split("=", 1) for line in pip_settings.splitlines() if "=" in line)
    settings = {}
    for option, variable in _FOR_UV.items():
        values = [given[name] for name in (f"{section}.{option}" for section in _SECTIONS) if name in given]
        if values and variable not in environ:
            settings[variable] = " ".join(ast.literal_eval(values[0]).split())
    if "UV_INDEX" in settings:
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip looks at all indexes; the hashes decide what is taken
    return settings


def _environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _ASTRAY}
    return {**kept, "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
