"""A command -> its output, line by line, and the result it ends with. Nothing of it outlives the process that started it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Protocol, cast

from waybill.records.errors import RecordError
from waybill.records.node import NodeResult, Outcome

MAX_LOG_LINE = 2000  # characters; a page of one line is of no use to anybody
_MAX_LINE = 1 << 23  # bytes; a result names every output of its node, and may be long
_PASSWORD = re.compile(r"://[^/@\s]*:[^@\s]*@|password=")  # of a URL such as postgresql://user:password@host/db
KEY, LOGIN = "WAYBILL_ORCHESTRATOR_KEY", "WAYBILL_AIRFLOW_LOGIN"
SECRETS = (KEY, LOGIN)  # for the commands that need them, and no node
_FOREIGN = (
    "AIRFLOW",
    "_AIRFLOW",
    "PYTHON",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "SPT_",
    "WAYBILL_NOTIFIER",  # may hold an address with a secret in it
    *SECRETS,
)


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
      status: Exit status; the negative number of a signal that ended it.
      cause: Why, where the status alone does not say.
    """

    status: int
    cause: str = ""


class Command(Protocol):
    """A command that runs, in one way or the other."""

    @property
    def output(self) -> IO[bytes]:
        """What it writes."""

    def kill(self) -> None:
        """Kills it and everything it started, at once; returns immediately. May be called from a signal handler."""

    def wait(self) -> Ending:
        """Waits until nothing of it is left."""


class ColdCommand:
    """One command of the launcher in an interpreter and a session of its own.

    The command's standard input is a pipe whose other end only this process holds. When this process ends, however it ends, the command
    sees the end of its input and kills its own group (that is what `--lifeline` asks it to do).

    Args:
      arguments: The command.
      environment: Its environment.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]):
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            [*arguments, "--lifeline"],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.output = cast(IO[bytes], self._process.stdout)  # a pipe was asked for
        self._ended = False
        self._sweeper = threading.Thread(target=_sweep, args=(self._process.pid,), name="sweeper", daemon=True)
        self._sweeper.start()

    def kill(self) -> None:
        """See `Command`."""
        if not self._ended:
            kill_group(self._process.pid)

    def wait(self) -> Ending:
        """See `Command`."""
        self._sweeper.join()
        self._ended = True  # from here on its number may become another's
        with self._process:
            return Ending(self._process.wait())


class NodeProcess:
    """One command of the launcher, watched to its end.

    Args:
      node: Id of the node, for the result of a command that reports none.
      start: Starts the command.
      tell: Takes each line of its output.
    """

    def __init__(self, node: str, start: Callable[[], Command], tell: Callable[[str], None]):
        self._node = node
        self._start = start
        self._tell = tell
        self._command: Command | None = None
        self._killed = False

    def run(self) -> NodeResult:
        """Runs the command to its end and returns its result."""
        self._command = command = self._start()
        if self._killed:  # asked for before there was anything to kill
            command.kill()
        try:
            result, problem = read(_lines(command.output), self._tell)
        except BaseException:
            command.kill()
            raise
        finally:
            ending = command.wait()
            self._command = None
        ended = judge(self._node, ending, result, problem)
        if self._killed and ended is not result:
            return NodeResult(self._node, Outcome.KILLED, f"{self._node} was stopped because Airflow ended its task")
        return ended

    def kill(self) -> None:
        """Kills the command and everything it started, at once; returns immediately. May be called from a signal handler."""
        self._killed = True
        if self._command is not None:
            self._command.kill()


def read(lines: Iterable[str], tell: Callable[[str], None]) -> tuple[NodeResult | None, str]:
    """Tells every line of a command's output but its result.

    Returns:
      The last result, or None, and what is wrong with it if something is.
    """
    result, problem = None, ""
    for line in lines:
        try:
            found = NodeResult.from_line(line)
        except RecordError as error:
            found, problem = None, f"; {error}"
        if found is not None:
            result = found
        elif line:
            rest = len(line) - MAX_LOG_LINE
            tell(line if rest <= 0 else f"{line[:MAX_LOG_LINE]} ... and {rest} characters more")
    return result, problem


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a command of the other Python inherits: everything but what belongs to this Python and to Airflow, its secrets included."""
    return {**{k: v for k, v in environ.items() if not k.startswith(_FOREIGN)}, "PYTHONUNBUFFERED": "1"}


def lent(environ: Mapping[str, str], secret: str) -> dict[str, str]:
    """One of the secrets, and what says where it is, for a command that needs it; not for its line in the log."""
    return {name: value for name, value in environ.items() if name.startswith(secret)}


def pasteable(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """The command as a line that a person can paste into a shell on this machine.

    A setting that holds a password is left out, since this line goes into a log; whoever pastes it has the password, or should not run it.
    """
    shown = [name for name in sorted(environ) if name.startswith("WAYBILL_") and environ[name] and not _PASSWORD.search(environ[name])]
    settings = [f"{name}={environ[name]}" for name in shown]
    return shlex.join([*(["env", *settings] if settings else []), *arguments])


def shown(raw: bytes) -> str:
    """A line as a terminal would show it: what follows the last carriage return."""
    return raw.decode(errors="replace").rstrip("\r\n").rsplit("\r", 1)[-1].rstrip()


def _lines(stream: IO[bytes]) -> Iterator[str]:
    while raw := stream.readline(_MAX_LINE):
        yield shown(raw)


def _sweep(leader: int) -> None:
    """Waits for a group's leader to end and kills what it left behind; until the leader is reaped its number cannot be another's."""
    os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT)
    kill_group(leader)


def kill_group(leader: int) -> None:
    """Kills every process of a group; there may be none left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def judge(node: str, ending: Ending, result: NodeResult | None, problem: str) -> NodeResult:
    """The reported result when the exit status agrees with it; else one that says how the command ended.

    Args:
      node: Id of the node.
      ending: How the command ended.
      result: What it reported, or None.
      problem: What is wrong with its report, or an empty text.
    """
    status = ending.status
    if result is not None and result.node == node and status == (0 if result.successful else 1):
        return result
    if ending.cause:
        return NodeResult(node, Outcome.KILLED, ending.cause)
    if status < 0:
        name, hint = (
            signal.Signals(-status).name,
            " (out of memory, see dmesg; an eviction; or a person)" if status == -signal.SIGKILL else "",
        )
        return NodeResult(node, Outcome.KILLED, f"{node} was killed by {name}{hint} before it reported a result{problem}")
    told = "no result" if result is None else f"a result for {result.node} ({result.outcome.value}) that does not go with it"
    return NodeResult(node, Outcome.KILLED, f"{node} ended with status {status} and {told}{problem}; its last lines above say more")
