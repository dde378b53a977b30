"""The lines between two things that last: where a process that dies leaves the one done and the other not.

Each is declared here, and the code says when it has come there. A proof holds a process still at one of them, looks at what the world sees
meanwhile, and kills whom it likes (docs/proof.md). Nothing happens at them anywhere else: the environment must name a folder for that, and
the folder must say that it is for this very installation.
"""

from __future__ import annotations

import json
import os
import pathlib
import time

from waybill.records import settings
from waybill.records.errors import RecordError

_PATIENCE = 120.0  # seconds; who forgot a process that is held must not have it for ever
_LOOK_EVERY = 0.002
_doing = ""

# What is done when a process is there, in the order in which a run comes by.
POINTS = {
    "freeze.allocated": "a run has its generation, and no spec yet",
    "freeze.saved": "its spec is a file, and MLMD does not know it",
    "freeze.recorded": "MLMD knows the spec, and the generation does not",
    "freeze.settled": "all three know it, and nobody was told",
    "node.leased": "an attempt has the lease, and has looked at nothing",
    "repair.dead_closed": "what an attempt before left open in MLMD is closed, and its output not put aside",
    "node.cleared": "the ground is clear, and nobody works yet",
    "execute.begun": "the process that executes has its work",
    "execute.resolved": "inputs are resolved, work of earlier generations is referred to, and nothing says that this node runs",
    "launch.registered": "MLMD has the execution as RUNNING",
    "launch.prepared": "the folders for its outputs are there",
    "launch.executed": "the executor has returned, and nothing is published",
    "launch.stamped": "outputs have their digests, in memory",
    "launch.published": "MLMD has the execution as COMPLETE, with its outputs",
    "execute.finished": "the result is read back, and nobody was told",
    "node.worked": "who decides has the result, and the orchestrator does not",
    "publish.copying": "one file of a version is copied, others are not",
    "publish.copied": "all files are copied, none is forced to disk",
    "publish.sealed": "everything is on disk, under a name that is no version",
    "publish.renamed": "the version is there, its folder still writable, the name not forced to disk",
    "publish.closed": "the version's folder is read-only, the name not forced to disk",
    "publish.published": "the version is there to stay, and nobody was told",
    "journal.written": "a decision is written, and not committed",
    "journal.committed": "it is decided, and what is served is as it was",
    "base_path.changed_aside": "a version with other bytes than its release bears another name, and nothing is in its place",
    "base_path.brought_in": "what is to be served is in the base path, what is to go is there too, models.config is as it was",
    "base_path.config_staged": "models.config is written anew beside the one in force",
    "base_path.config_written": "the new models.config is in force, the name not forced to disk, what is to go still there",
    "base_path.set_aside": "a version that is to go bears another name",
    "base_path.taken_out": "a version is gone, and nobody was told",
    "retention.set_aside": "a release that was decided to go bears another name, with its bytes there",
}


def work_on(what: str) -> None:
    """Says what this process works on from here: a node's id, or a verb of the command line."""
    global _doing
    _doing = what


def reached(point: str) -> None:
    """Says that this process has come to a declared line; returns at once, unless a proof has armed just this one.

    Raises:
      RecordError: if the line is not declared, or a folder is named that is not for this installation.
    """
    if point not in POINTS:
        raise RecordError(f"fault point {point!r} is not declared; waybill.records.fault_points has {', '.join(POINTS)}")
    folder = settings.faults()
    if folder is not None:
        _note(folder, point)


def _note(folder: pathlib.Path, point: str) -> None:
    """Writes down that the line was reached, and stays there for as long as the proof wants."""
    here = {"doing": _doing, "point": point}
    with (folder / "reached").open("a", encoding="utf-8") as log:
        log.write(json.dumps({**here, "pid": os.getpid()}) + "\n")
    try:
        armed = json.loads((folder / "armed").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    if armed != here:
        return
    held, part = folder / f"held-{os.getpid()}", folder / f".held-{os.getpid()}"
    part.write_text(json.dumps(here), encoding="utf-8")
    part.rename(held)
    deadline = time.monotonic() + _PATIENCE
    while held.exists() and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
