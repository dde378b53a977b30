"""Names and command lines -> processes of a local service, each in a session of its own, with a log file."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Mapping, Sequence

from waybill.cli import marked

_TAIL = 25


class ServiceError(Exception):
    """A service could not be started or stopped; the message says why and what to do."""


class Components:
    """The processes that one service is made of.

    Args:
      home: The service's folder; logs are in `logs/components/` there.
    """

    def __init__(self, home: pathlib.Path):
        self._home = home
        self._logs = home / "logs" / "components"

    def spawn(self, name: str, words: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """Starts a component, which outlives this process; its output goes to a log file. Returns its id and when it started."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                words,
                env=dict(environment), cwd=self._home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        process.returncode = 0  # it is meant to outlive this process; Popen would warn of that
        return process.pid, marked.started(process.pid)

    def tail(self, name: str) -> str:
        """The end of a component's log, for whoever has to find out why it ended."""
        file = self._logs / f"{name}.log"
        lines = file.read_text(errors="replace").splitlines() if file.exists() else []
        return "\n".join([*(f"  {line}" for line in lines[-_TAIL:]), f"The whole log: {file}"])
