"""Options -> a running model server: what is served, its REST and its gRPC, started and ended together."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TypeVar

from waybill.server.config import Model
from waybill.server.core import Core
from waybill.server.errors import ServerError
from waybill.server.grpc_api import Grpc
from waybill.server.loading import Loader
from waybill.server.manager import Manager, Retries
from waybill.server.metrics import Metrics
from waybill.server.rest import Rest
from waybill.server.service import Service
from waybill.server.web import Application, Web

HOST = "127.0.0.1"
REST_PORT, GRPC_PORT = 8501, 8500  # TensorFlow Serving's
LARGEST_BODY = 64 << 20

Door = TypeVar("Door")


@dataclasses.dataclass(frozen=True)
class Options:
    """How to serve.

    Attributes:
      models: What to serve; none where a file says it.
      config_file: A models.config to serve by, looked at as often as the base paths; it may appear later.
      host: Address to listen on.
      rest_port: Port of REST; 0 for any free one.
      grpc_port: Port of gRPC; 0 for any free one.
      any_port: Whether any free port is taken where the wanted one is taken.
      grpc_socket: Path of a Unix socket for gRPC; empty for none.
      poll_seconds: Between two looks at the base paths; 0 for one look only.
      retries: How often a failed load is tried again.
      load_threads: How many versions are loaded at once.
      early_labels: Whether a label that is not in use yet may name a version that is not loaded.
      monitoring: Whether the page for Prometheus is there.
      warm_up: Whether warm-up requests are replayed.
      largest_body: Bytes that a request may have.
      check: Looks at a version's folder before it is loaded; raises RequestError to refuse it.
      example: Gives a tf.Example that belongs to the version in a folder, for its form; empty for none.
    """

    models: tuple[Model, ...] = ()
    config_file: pathlib.Path | None = None
    host: str = HOST
    rest_port: int = REST_PORT
    grpc_port: int = GRPC_PORT
    any_port: bool = False
    grpc_socket: str = ""
    poll_seconds: float = 1.0
    retries: Retries = dataclasses.field(default_factory=Retries)
    load_threads: int = 2
    early_labels: bool = True
    monitoring: bool = True
    warm_up: bool = True
    largest_body: int = LARGEST_BODY
    check: Callable[[pathlib.Path], None] = lambda _: None
    example: Callable[[pathlib.Path], bytes] = lambda _: b""


class Server:
    """A model server in this process.

    Args:
      options: How to serve.
      say: Takes a line for the log.

    Raises:
      ServerError: if a port is taken.
    """

    def __init__(self, options: Options, say: Callable[[str], None]):
        self._options = options
        noted = Metrics()
        loader = Loader(noted, options.check, warm=options.warm_up)
        manager = Manager(loader.load, options.retries, options.load_threads, say)
        self.core = Core(manager, say, early_labels=options.early_labels, example=options.example)
        service = Service(self.core, noted)
        application = Application(Rest(service, monitoring=options.monitoring), self.core, options.largest_body)
        self._web = self._at(options.rest_port, lambda port: Web(application, options.host, port))
        try:
            self._grpc = self._at(
                options.grpc_port, lambda port: Grpc(service, options.host, port, options.grpc_socket, options.largest_body)
            )
        except ServerError:
            self._web.stop()
            raise

    @property
    def rest(self) -> str:
        """Where REST is, as a URL."""
        return f"http://{_in_url(self._options.host)}:{self._web.port}"

    @property
    def grpc(self) -> str:
        """Where gRPC is, as `host:port`."""
        return f"{_in_url(self._options.host)}:{self._grpc.port}"

    def _at(self, port: int, listen: Callable[[int], Door]) -> Door:
        """Listens on a port; where that is taken and any will do, on one that the system chooses while it listens."""
        try:
            return listen(port)
        except ServerError:
            if not self._options.any_port or not port:
                raise
            return listen(0)

    def start(self) -> None:
        """Begins to serve; the ports are open before the models are loaded, so that a client sees them LOADING.

        Raises:
          ServerError: if the file that says what to serve is not accepted; nothing is listened to any more then.
        """
        try:
            self.core.configure(self._options.models)
            self.core.follow(self._options.poll_seconds, self._options.config_file)
        except ServerError:
            self.stop()
            raise
        self._grpc.start()
        self._web.start()

    def stop(self) -> None:
        """Finishes what is being answered, frees all models, and ends."""
        self._web.stop()
        self._grpc.stop()
        self.core.close()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
