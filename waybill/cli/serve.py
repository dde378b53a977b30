"""`waybill serve`: the model server on this machine, until it is ended."""

from __future__ import annotations

import argparse
import functools
import os
import pathlib
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from waybill.cli import serve_address
from waybill.cli.serve_address import Address
from waybill.records import settings as places

if TYPE_CHECKING:
    from waybill.server.server import Options


def serve(args: argparse.Namespace) -> int:
    """Serves until SIGTERM or Ctrl-C."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow's library is loaded
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # it asks no Keras; TensorFlow imports one, and this one is 2 s and 50 MB less
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    say("importing TensorFlow's library ...")
    from waybill.server.server import Server

    server = Server(options(args), say)
    server.start()
    try:
        if args.address_file:
            serve_address.write(pathlib.Path(args.address_file), Address(os.getpid(), server.rest, server.grpc))
        say(f"serving: REST {server.rest}, gRPC {server.grpc}; for laptops and tests, production runs TensorFlow Serving")
        ended.wait()
        say("ending")
    finally:
        server.stop()
    return 0


def options(args: argparse.Namespace) -> Options:
    """How to serve, by the words of the command line.

    Raises:
      ServerError: if they do not fit together.
    """
    from waybill.server import config, promoted
    from waybill.server.checks import check
    from waybill.server.errors import ServerError
    from waybill.server.evaluated import EvaluatedRows
    from waybill.server.manager import Retries
    from waybill.server.server import Options
    from waybill.store.connection import Store

    if args.model and args.models_config:
        raise ServerError("--model and --models-config both say what to serve; give one of them")
    file = pathlib.Path(args.models_config).absolute() if args.models_config else None
    if file and not file.is_file():
        raise ServerError(f"there is no {str(file)!r}; without --models-config the server waits for the one that promotions write")
    checks, options = [] if args.no_checks else [check], dict[str, Any]()
    if not args.model and not file:
        settings = places.load()
        file = settings.serving / "models.config"
        store = Store(settings.store_url)
        checks = checks and [functools.partial(promoted.check, store), *checks]
        options["example"] = EvaluatedRows(store).of
    return Options(
        models=config.named(args.model),
        config_file=file,
        host=args.host,
        rest_port=args.rest_port,
        grpc_port=args.grpc_port,
        any_port=args.any_port,
        grpc_socket=args.grpc_socket_path,
        poll_seconds=args.poll_seconds,
        retries=Retries(args.load_retries, args.load_retry_seconds),
        load_threads=args.load_threads,
        early_labels=not args.strict_labels,
        monitoring=not args.no_monitoring,
        warm_up=not args.no_warm_up,
        largest_body=args.max_body << 20,
        check=functools.partial(_all, checks),
        **options,
    )


def _all(checks: Sequence[Callable[[pathlib.Path], None]], folder: pathlib.Path) -> None:
    """Looks at a version's folder in every way that there is."""
    for check in checks:
        check(folder)


def say(line: str) -> None:
    """A line for the log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)
