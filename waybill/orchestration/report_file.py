"""What a task left of its verdict -> the bytes of the report beside it, and of nothing else.

A person who may edit XComs could name any file there. So only one shape of path is followed, that of the task's own artifacts, and it is
walked folder by folder without following a link.
"""

from __future__ import annotations

import os
import pathlib
import stat
from collections.abc import Sequence
from typing import Any

FILE_NAME = "report.html"
MAX_BYTES = 1 << 24  # more than the largest page there can be; most have a hundredth of it
_SHAPE = 6  # <pipeline>/<unit>/<node>/<key>/<execution>/report.html below the root of artifacts


class NoReport(Exception):
    """There is no report to show; the message says why, to a person who may know."""


def read(root: pathlib.Path, dag_id: str, task_id: str, left: Any) -> bytes:
    """Reads the report of a task.

    Args:
      root: Root of all artifacts.
      dag_id: The DAG, which is named for its pipeline.
      task_id: The task, which is named for its node.
      left: What the task left in XCom of its verdict: `{"uri": folder}` with more.

    Raises:
      NoReport: if it left nothing, something else, or its report is gone.
    """
    uri = left.get("uri") if isinstance(left, dict) else None
    if not isinstance(uri, str):
        raise NoReport("This task has left no verdict. Gates do, when they have judged.")
    parts = pathlib.PurePath(uri, FILE_NAME).parts
    top = pathlib.PurePath(os.path.normpath(root)).parts
    inner = parts[len(top) :]
    if parts[: len(top)] != top or len(inner) != _SHAPE or ".." in inner or "\0" in uri or (inner[0], inner[2]) != (dag_id, task_id):
        raise NoReport("What this task has left of its verdict names no folder of its own; clear the task to have it judge again.")
    try:
        return _read(root, inner)
    except OSError as error:
        raise NoReport(f"The report beside the verdict cannot be read: {error.strerror}. The verdict is in the task's log.") from error


def _read(root: pathlib.Path, parts: Sequence[str]) -> bytes:
    """Reads a regular file below `root`; no part of the path may be a link."""
    here = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = inner
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    finally:
        os.close(here)
    with os.fdopen(file, "rb") as handle:
        found = os.fstat(handle.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            raise OSError(0, "it is no file, or larger than a report can be")
        return handle.read(MAX_BYTES)
