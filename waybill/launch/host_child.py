"""A fork of the warm host -> an ordinary process that runs one command: own session, environment, folder, log; nothing of the host's."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence

from waybill.launch.backends import die_with_parent

_PR_SET_CHILD_SUBREAPER = 36
_FIRST_TO_GO = "500"  # of -1000 to 1000: when memory runs out the kernel takes nodes, not the host


def fork(words: Sequence[str], environment: Mapping[str, str], folder: str, log: int, run: Callable[[list[str]], int]) -> int:
    """Forks a process that runs a command; returns its id, which is also that of its process group.

    Args:
      words: The command's arguments.
      environment: All of its environment.
      folder: Its working folder.
      log: File descriptor that its output goes to.
      run: Runs the command and returns its exit status.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        _become(environment, folder, log)
        status = run(list(words))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - the child must end here whatever happened
        traceback.print_exc()  # os._exit below would swallow it
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # never run the host's clean-up in the child


def adopt_orphans() -> None:
    """Asks the kernel for the children of this process's descendants, should those die before them."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _become(environment: Mapping[str, str], folder: str, log: int) -> None:
    """Leaves everything of the host behind but what it has imported."""
    die_with_parent()
    os.setsid()
    adopt_orphans()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for wanted, descriptor in enumerate((nothing, log, log)):
        os.dup2(descriptor, wanted)
    for descriptor in [int(entry.name) for entry in pathlib.Path("/proc/self/fd").iterdir()]:
        if descriptor > 2:
            with contextlib.suppress(OSError):  # the one that listed them
                os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write(_FIRST_TO_GO)
