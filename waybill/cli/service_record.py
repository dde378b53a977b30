"""A service that was started -> a small file that says how to find its processes, and back."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Mapping

from waybill.cli import marked


@dataclasses.dataclass(frozen=True)
class Record:
    """What `service.json` says of a service.

    Attributes:
      mark: Value of the variable that all of its processes carry.
      port: Loopback port of its API server.
      processes: Process id and start of each component; empty while the service is starting.
    """

    mark: str
    port: int
    processes: Mapping[str, tuple[int, str]] = dataclasses.field(default_factory=dict)

    def dead(self) -> list[str]:
        """Names of the components that do not run any more."""
        return [name for name, (pid, start) in self.processes.items() if not marked.running(pid) or marked.started(pid) != start]

    def write(self, file: pathlib.Path) -> None:
        """Replaces the file; a reader sees the old text or the new one."""
        part = file.with_name(f".{file.name}")
        part.write_text(json.dumps(dataclasses.asdict(self), indent=1))
        part.rename(file)

    @classmethod
    def read(cls, file: pathlib.Path) -> Record | None:
        """The record in a file, or None when there is no file."""
        with contextlib.suppress(FileNotFoundError):
            value = json.loads(file.read_text())
            return cls(value["mark"], value["port"], {name: (pid, start) for name, (pid, start) in value["processes"].items()})
        return None

    @property
    def address(self) -> str:
        """Where its UI is."""
        return f"http://127.0.0.1:{self.port}"
