"""`waybill tensorboard`: what a run's training logged, in the browser; of one that still runs, what it has logged so far."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys

from waybill.cli import load
from waybill.launch.graph import MODEL_RUN
from waybill.records import settings as places
from waybill.records.errors import RecordError
from waybill.records.settings import PROJECT, Settings
from waybill.store import reads
from waybill.store.connection import Store

_BOARD = PROJECT / ".venv-board" / "bin" / "python"


def tensorboard(args: argparse.Namespace) -> int:
    """Becomes TensorBoard on the logs of a run.

    Raises:
      RecordError: if the run has none.
    """
    folder = logs_of(args.run, places.load())
    python = _BOARD if _BOARD.is_file() else pathlib.Path(sys.executable)
    if python != _BOARD:
        print("without the page for profiles; `make board` installs the TensorBoard that has it")
    print(f"logs: {folder}", flush=True)
    os.execv(python, [str(python), "-m", "tensorboard.main", "--logdir", str(folder), "--host", "127.0.0.1", "--port", str(args.port)])


def logs_of(run: str, settings: Settings) -> pathlib.Path:
    """Where a run's training logged to.

    Args:
      run: A run's name, such as `orders.201307010000.g1`.
      settings: Where things are.

    Raises:
      RecordError: if there is no such run, or it has not begun to train.
    """
    pipeline = load.check_name(run.split(".")[0])
    store = Store(settings.store_url)
    trainers = [node.id for node in load.graph_of(pipeline).nodes if node.trains]
    for node in trainers:
        done = reads.successful_execution(store, pipeline, run, node)
        found = [a.uri for group in reads.outputs(store, done.id).values() for a in group if a.type == MODEL_RUN] if done else []
        if found:
            return pathlib.Path(found[0])
        running = settings.scratch / pipeline / pathlib.PurePath(run).name / node / "logs"
        if running.is_dir():
            return running
    raise RecordError(
        f"run {run!r} has no training logs: {' and '.join(trainers)} neither finished nor began there. The log of each task names its run, "
        f"such as {pipeline}.201307010000.g1"
    )
