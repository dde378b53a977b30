"""A command -> its output, line by line, and the result it ends with. Nothing of it outlives the process that started it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

from waybill.records.errors import RecordError
from waybill.records.node import NodeResult, Outcome

MAX_LOG_LINE = 2000  # characters; a page of one line is of no use to anybody
_MAX_LINE = 1 << 23  # bytes; a result names every output of its node, and may be long
_FOREIGN = ("AIRFLOW", "_AIRFLOW", "PYTHON", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD", "SPT_")


class NodeProcess:
    """One command of the launcher, in a session of its own.

    The command's standard input is a pipe whose other end only this process holds. When this process ends, however it ends, the command
    sees the end of its input and kills its own group (that is what `--lifeline` asks it to do).

    Args:
      node: Id of the node, for the result of a command that reports none.
      arguments: The command.
      environment: Its environment.
      tell: Takes each line of its output.
    """

    def __init__(self, node: str, arguments: Sequence[str], environment: Mapping[str, str], tell: Callable[[str], None]):
        self._node = node
        self._arguments = [*arguments, "--lifeline"]
        self._environment = dict(environment)
        self._tell = tell
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False

    def run(self) -> NodeResult:
        """Runs the command to its end and returns its result."""
        self._process = subprocess.Popen(
            self._arguments,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        if self._killed:  # asked for before there was anything to kill
            self.kill()
        sweeper = threading.Thread(target=_sweep, args=(self._process.pid,), name="sweeper", daemon=True)
        sweeper.start()
        try:
            result, problem = self._read()
        except BaseException:
            self.kill()
            raise
        finally:
            sweeper.join()
            process, self._process = self._process, None  # from here on its number may become another's
            with process:
                process.wait()
        ended = _judge(self._node, process.returncode, result, problem)
        if self._killed and ended is not result:
            return NodeResult(self._node, Outcome.KILLED, f"{self._node} was stopped because Airflow ended its task")
        return ended

    def kill(self) -> None:
        """Kills the command and everything it started, at once; returns immediately. May be called from a signal handler."""
        self._killed = True
        if self._process is not None:
            _kill_group(self._process.pid)

    def _read(self) -> tuple[NodeResult | None, str]:
        """Tells every line but the result; returns the last result, and what is wrong with it if something is."""
        result, problem = None, ""
        for line in _lines(self._process.stdout if self._process else None):
            try:
                found = NodeResult.from_line(line)
            except RecordError as error:
                found, problem = None, f"; {error}"
            if found is not None:
                result = found
            elif line:
                rest = len(line) - MAX_LOG_LINE
                self._tell(line if rest <= 0 else f"{line[:MAX_LOG_LINE]} ... and {rest} characters more")
        return result, problem


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a command of the other Python inherits: everything but what belongs to this Python and to Airflow, its secrets included."""
    return {**{k: v for k, v in environ.items() if not k.startswith(_FOREIGN)}, "PYTHONUNBUFFERED": "1"}


def pasteable(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """The command as a line that a person can paste into a shell on this machine."""
    settings = [f"{name}={environ[name]}" for name in sorted(environ) if name.startswith("WAYBILL_") and environ[name]]
    return shlex.join([*(["env", *settings] if settings else []), *arguments])


def _lines(stream: IO[bytes] | None) -> Iterator[str]:
    """The stream's lines as a terminal would show them: what follows the last carriage return."""
    while stream is not None and (raw := stream.readline(_MAX_LINE)):
        yield raw.decode(errors="replace").rstrip("\r\n").rsplit("\r", 1)[-1].rstrip()


def _sweep(leader: int) -> None:
    """Waits for a group's leader to end and kills what it left behind; until the leader is reaped its number cannot be another's."""
    os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT)
    _kill_group(leader)


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _judge(node: str, status: int, result: NodeResult | None, problem: str) -> NodeResult:
    """The reported result when the exit status agrees with it; else one that says how the command ended."""
    if result is not None and result.node == node and status == (0 if result.successful else 1):
        return result
    if status < 0:
        name, hint = (
            signal.Signals(-status).name,
            " (out of memory, see dmesg; an eviction; or a person)" if status == -signal.SIGKILL else "",
        )
        return NodeResult(node, Outcome.KILLED, f"{node} was killed by {name}{hint} before it reported a result{problem}")
    told = "no result" if result is None else f"a result for {result.node} ({result.outcome.value}) that does not go with it"
    return NodeResult(node, Outcome.KILLED, f"{node} ended with status {status} and {told}{problem}; its last lines above say more")
