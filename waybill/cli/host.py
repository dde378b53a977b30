"""`waybill host`: the service that has TFX imported for every node of this machine, and what it says of itself."""

from __future__ import annotations

import argparse
import fcntl
import gc
import importlib
import json
import logging
import os
import pathlib
import pkgutil
import time
from collections.abc import Callable

from waybill.cli import host_status, load, nodes, practice
from waybill.launch import host_child
from waybill.launch.host import Host, HostError, again
from waybill.launch.process import find_thread_pools, prepare
from waybill.records import digest, wire
from waybill.records import settings as places
from waybill.records.settings import PROJECT, Settings

_LOCK = "requirements.txt"
_OURS = ("waybill", "components", "pipelines")
# What libraries import when they are first used, so that each child would do it anew; setuptools alone, of which TFX asks whether it is
# there, is 0.1 s.
_LAZY = (
    "apache_beam.typehints.intrinsic_one_ops", "configparser", "google_crc32c", "grpc._server", "grpc._utilities", "pyarrow.pandas_compat",
    "setuptools", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite", "tensorboard.plugins.projector",
    "tensorboard.summary", "tensorflow.python.data.ops.cache_op", "tensorflow.python.data.ops.flat_map_op", "tf_keras.src.callbacks_v1",
    "tf_keras.src.engine.base_layer_v1", "tfx.extensions", "waybill.gates.eval_config",
)  # fmt: skip


def host(args: argparse.Namespace) -> int:
    """Serves, or with `status` shows what a serving host says of itself."""
    settings = places.load()
    if args.host_verb != "status":
        return _serve(settings)
    found = host_status.ask(settings)
    print(json.dumps(found, indent=1) if args.json else "\n".join(host_status.show(found)))
    return 0


def _serve(settings: Settings) -> int:
    settings.host_socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(settings.host_socket.with_name("host.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise HostError(f"a host serves {settings.home} already; `waybill host status` shows it") from None
    practice.clear()
    stale, took = staleness(), import_everything()
    with wire.listen(settings.host_socket) as server:
        say(f"host {os.getpid()}: imported TFX in {took:.1f} s, listens at {settings.host_socket}")
        served = Host(server, lambda: host_child.standby(nodes.ready, practice.of_deciding()), stale, took, say)
        changed = served.serve()
        settings.host_socket.unlink(missing_ok=True)
    if changed:
        say(f"{changed}; starting anew")
        again()
    say("ended")
    return 0


def import_everything() -> float:
    """Imports what every node of every pipeline needs; returns how many seconds that took.

    Raises:
      HostError: if a module runs a TensorFlow op when it is imported: forks of such a process hang.
    """
    began = time.monotonic()
    # The fewer threads before a fork, the better; a node has the environment of who asks for it.
    os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    prepare(logging.INFO)
    from waybill.launch.execute import adapt_libraries

    adapt_libraries()
    for name in _LAZY:
        importlib.import_module(name)
    for name in load.names():
        load.create_pipeline_of(name)
        package = importlib.import_module(f"pipelines.{name}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    if runs_tensorflow():
        raise HostError(
            "a module of a pipeline runs a TensorFlow op when it is imported; move it into a function, since its forks would hang"
        )
    find_thread_pools()
    gc.collect()
    gc.freeze()  # what is never collected is never written to, and stays shared with every child
    return time.monotonic() - began


def runs_tensorflow() -> bool:
    """Whether TensorFlow's runtime, and with it its threads, has been started in this process."""
    from tensorflow.python.eager import context

    made = context.context_safe()
    return made is not None and made._initialized


def staleness() -> Callable[[], str]:
    """A function that says what has changed on disk since now; empty when nothing has.

    Files are read only when something about them is not as it was: number, size or one of their times, of which nobody can set the last.
    """
    seen = _outside()  # first: what changes while the files are read is then looked at again
    then = _identity()

    def changed() -> str:
        nonlocal seen
        try:
            outside = _outside()
            now = then if outside == seen else _identity()
        except OSError as error:  # files come and go while somebody checks out another commit
            return f"the code is being changed ({error})"
        seen = outside
        return "; ".join(f"{what} has changed since the host imported it" for what in then if now[what] != then[what])

    return changed


def _files() -> list[pathlib.Path]:
    """Everything that a host may have imported of the project's own."""
    return [path for folder in _OURS for path in (PROJECT / folder).rglob("*.py") if "__pycache__" not in path.parts]


def _outside() -> dict[str, tuple[int, ...]]:
    """What the file system says of the files, without reading them."""
    stats = {str(path): path.stat() for path in (*_files(), PROJECT / _LOCK)}
    return {path: (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in stats.items()}


def _identity() -> dict[str, str]:
    """Digests of everything that a host has imported or that was installed for it."""
    return {"the code": digest.of_files(PROJECT, _files()), "the lock": digest.of_file(PROJECT / _LOCK)}


def say(line: str) -> None:
    """A line for the host's own log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)
