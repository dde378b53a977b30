"""What a fork of the warm host does before it has a command: the first steps of every node, on an empty store.

Python's objects are shared with the host until they are touched, and the first look at them copies their pages; libraries, too, take
longest the first time. So a node's first compilation takes twice as long as its second. What is practised leaves nothing behind but memory.
"""

from __future__ import annotations

import contextlib
import functools
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator

from waybill.cli import load, setup
from waybill.launch import identity
from waybill.records import settings as places
from waybill.records.settings import PROJECT
from waybill.store import generations, reads
from waybill.store.connection import Store
from waybill.store.initialise import Types, initialise

Practice = list[Callable[[], object]]
_NOBODY = "nobody"
_PREFIX = "practice-"


def of_deciding() -> Practice:
    """The steps of the half that decides what there is to do."""
    return [_command_line, *(functools.partial(_code, name) for name in load.names()), _look_up]


def of_executing() -> Practice:
    """The steps of the half that executes; TFX must be imported."""
    from waybill.launch.process import compute_with

    return [*(functools.partial(setup.compiled, name) for name in load.names()), functools.partial(compute_with, 0), _record]


def _command_line() -> None:
    from waybill.cli.main import parser

    parser().parse_args(["node", "run", "--spec=sha256:0", "--node=trainer", "--attempt=1", "--ticket=t"])


def _code(pipeline: str) -> None:
    identity.code_digest(PROJECT, pipeline, load.graph_of(pipeline).settings.schema)


def _look_up() -> None:
    with _empty_store() as store:
        _ask(store)


def _ask(store: Store) -> None:
    generations.of_spec(store, _NOBODY, 0, "")
    generations.chain(store, _NOBODY, 0, "")
    reads.executions(store, _NOBODY, "", "")
    reads.inputs(store, 0)
    reads.artifacts_by_id(store, [])


def _record() -> None:
    from tfx.orchestration import metadata

    with _empty_store() as store, metadata.Metadata(store.mlmd_config()) as handle:
        _ask(store)
        handle.store.get_executions_by_id([0])


@contextlib.contextmanager
def _empty_store() -> Iterator[Store]:
    """A store that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_folder()) as folder:
        store = Store(f"sqlite:///{folder}/mlmd.sqlite")
        initialise(store, Types([], [], []))
        yield store


def clear() -> None:
    """Removes what practice left that was killed."""
    for left in _folder().glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def _folder() -> pathlib.Path:
    return places.load().host_socket.parent  # nobody else's, unlike a folder for temporary files
