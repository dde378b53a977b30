"""Steps that may end or hang the process they run in -> what they found, and how that process came to its end.

    ended = run([Step("load", "loads the model", load)], Limits(seconds=120, memory=4 << 30), leave_network)
    ended.found["load"]    # what `load` returned
    ended.problem          # "was killed by SIGSEGV while it loads the model", or nothing

The process is a fork, because to import TensorFlow anew takes longer than all steps; so this one must not have run a TensorFlow op.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from waybill.launch.backends import die_with_parent
from waybill.launch.standby import fork
from waybill.serving.errors import CannotFork
from waybill.serving.watch import Ended, Limits, Watch, last_words

_MAX_WRITTEN = 64 << 20  # bytes that the process may write to one file, what it prints included


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing to do in the process.

    Attributes:
      name: Key of what it finds.
      says: What the process does in it, to complete "while it ...".
      work: Does it; returns plain values, or raises.
    """

    name: str
    says: str
    work: Callable[[], Any]


def run(steps: Sequence[Step], limits: Limits, leave_network: Callable[[], str]) -> Ended:
    """Runs the steps in a process of their own, one after the other, until one fails or the process ends.

    Args:
      steps: What to do.
      limits: What the process may take; it is killed when it takes more.
      leave_network: Called in it first, while it has one thread; cuts it off from the network, or returns why it cannot.

    Raises:
      CannotFork: if this process has run a TensorFlow op, so that the other one would wait for threads it does not have.
      OSError: if there is no memory for a process, or too many of them.
    """
    if not may_fork():
        raise CannotFork("this process has run a TensorFlow op, so that its forks would hang; a fresh one has to try the model")
    here = os.getpid()
    with tempfile.TemporaryFile() as output:
        reader, writer = os.pipe()
        try:
            child = fork(lambda: _live(steps, leave_network, writer, output.fileno(), here))
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        watch = Watch(child, reader, limits)
        try:
            watch.attend()
        finally:
            watch.end()
        return watch.ended([step.says for step in steps], last_words(output))


def may_fork() -> bool:
    """Whether this process has run no TensorFlow op, whose threads a fork would wait for and not have."""
    context = sys.modules.get("tensorflow.python.eager.context")
    made = context.context_safe() if context else None
    return made is None or not made._initialized


def _live(steps: Sequence[Step], leave_network: Callable[[], str], news: int, output: int, parent: int) -> int:
    """The life of the process."""
    os.setpgid(0, 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for stream in (1, 2):
        os.dup2(output, stream)
    _leave_behind()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_WRITTEN, _MAX_WRITTEN))
    _tell(news, {"network": leave_network()})
    die_with_parent()  # not earlier: the kernel forgets it when a process changes its rights
    if os.getppid() != parent:
        return 1
    for place, step in enumerate(steps):
        _tell(news, {"doing": place})
        try:
            found = step.work()
        except Exception as error:  # noqa: BLE001 - a model, and what loads it, may raise anything
            _tell(news, {"failed": f"{type(error).__name__}: {error}"})
            return 0
        _tell(news, {"name": step.name, "found": found})
    _tell(news, {"done": True})
    return 0


def _leave_behind() -> None:
    """Closes the node's files, its lease among them, and its connections; what libraries poll and wake each other by has to stay."""
    for descriptor in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own is closed by now
            target = str(descriptor.readlink())
            if int(descriptor.name) > 2 and (target.startswith("socket:") or (target.startswith("/") and not target.startswith("/dev/"))):
                os.close(int(descriptor.name))


def _tell(descriptor: int, news: Mapping[str, Any]) -> None:
    left = json.dumps(news).encode() + b"\n"
    while left:
        left = left[os.write(descriptor, left) :]
