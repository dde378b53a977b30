"""The model server of a local service: a process beside Airflow's, which says itself where it listens."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Callable

from waybill.cli import serve_address
from waybill.cli.airflow_environment import host_environment
from waybill.cli.components import Components, ServiceError
from waybill.cli.serve_address import Address
from waybill.cli.service_record import Record
from waybill.records.settings import Settings

SERVER = "model-server"
_PORTS = (8501, 8500)  # of REST and gRPC, as everywhere
_SECONDS = 180  # it imports TensorFlow, on a machine that may be busy


class ModelServer:
    """`waybill serve` as a component. It listens before it says where, so that two that start at once never mean the same port.

    Args:
      settings: The installation.
      components: Starts it.
      file: Where it writes its address.
    """

    def __init__(self, settings: Settings, components: Components, file: pathlib.Path):
        self._settings = settings
        self._components = components
        self._file = file

    def spawn(self, mark: str) -> tuple[int, str]:
        """Starts it, at the ports it had before if they are free; it is not waited for."""
        before = serve_address.read(self._file)
        rest, grpc = before.ports if before else _PORTS
        where = ["--rest-port", str(rest), "--grpc-port", str(grpc), "--any-port", "--address-file", str(self._file)]
        words = [str(self._settings.tfx_python), "-m", "waybill.cli.main", "serve", *where]
        return self._components.spawn(SERVER, words, host_environment(self._settings, mark, os.environ))

    def address(self, record: Record | None) -> Address | None:
        """Where it answers; None where it does not run, or does not listen yet."""
        found = serve_address.read(self._file)
        runs = record is not None and SERVER in record.processes and SERVER not in record.dead()
        return found if found and record and runs and record.processes[SERVER][0] == found.pid else None

    def await_address(self, record: Callable[[], Record | None]) -> Address:
        """Waits until it listens.

        Raises:
          ServiceError: if it has ended, or does not listen in time.
        """
        deadline = time.monotonic() + _SECONDS
        while (found := self.address(now := record())) is None:
            if now is None or SERVER not in now.processes:
                raise ServiceError("no model server runs here; start one with `make up`, unless WAYBILL_SERVE is 0")
            if SERVER in now.dead():
                raise ServiceError(f"the model server ended while starting:\n{self._components.tail(SERVER)}")
            if time.monotonic() > deadline:
                raise ServiceError(f"the model server does not listen after {_SECONDS} s:\n{self._components.tail(SERVER)}")
            time.sleep(0.1)
        return found

    def forget(self) -> None:
        """Removes what it wrote, once it has ended."""
        self._file.unlink(missing_ok=True)
