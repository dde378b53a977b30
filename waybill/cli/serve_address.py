"""A model server that listens -> a small file that says where, and back. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import urllib.parse


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a model server answers.

    Attributes:
      pid: Its process.
      rest: URL of its REST API, and of its page.
      grpc: `host:port` of its gRPC.
    """

    pid: int
    rest: str
    grpc: str

    @property
    def ports(self) -> tuple[int, int]:
        """Of REST and of gRPC."""
        return urllib.parse.urlsplit(self.rest).port or 80, int(self.grpc.rpartition(":")[2])


def write(file: pathlib.Path, address: Address) -> None:
    """Replaces the file; a reader sees the old text or the new one."""
    part = file.with_name(f".{file.name}.{address.pid}")
    part.write_text(json.dumps(dataclasses.asdict(address)))
    part.replace(file)


def read(file: pathlib.Path) -> Address | None:
    """The address in a file, or None when there is no file."""
    with contextlib.suppress(FileNotFoundError):
        return Address(**json.loads(file.read_text()))
    return None
