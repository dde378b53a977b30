"""The processes of a training on this machine, from their start to their end: all of them do their work, or none survives.

Each is a fork of this process, which must not have run a TensorFlow op, in a process group of its own and in a network that nobody else is
in. They find each other by `TF_CONFIG`. What they print comes out here, each line with its process's name before it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Sequence

from waybill.launch.backends import be_called, die_with_parent
from waybill.launch.errors import LaunchError
from waybill.launch.memory import MemoryWatch
from waybill.launch.standby import fork
from waybill.records.distribution import Place
from waybill.training.network import Network
from waybill.training.seat import Beat

_LINE_EVERY = 5.0
_LOOK_EVERY = 0.2
_CHUNK = 1 << 16
_HELD_UP = {"T": "a signal has stopped", "t": "a debugger has stopped", "D": "waits for a disk or a file system"}

Report = Callable[[Beat], None]


class WorkerFailed(LaunchError):
    """A worker of a training ended before its work was done, or stopped moving; the others were ended with it."""


@dataclasses.dataclass
class _Member:
    """One process, as the one that started it sees it."""

    place: Place
    pid: int
    output: int
    beats: int
    moved: float
    beat: Beat | None = None
    status: int | None = None
    line: bytes = b""
    news: bytes = b""


def run(
    places: Sequence[Place],
    work: Callable[[Place, Report], None],
    stall_seconds: float,
    network: Network,
    say: Callable[[str], None],
    *,
    here: Sequence[Place] | None = None,
    until: Callable[[], bool] | None = None,
) -> None:
    """Runs processes of a training to their end: that of the chief if there is one, else that of all.

    Args:
      places: Which processes; the first is the one that saves the state.
      work: What each does, given its place and what takes its signs of life.
      stall_seconds: How long no step may be done before all are ended.
      network: Where they find each other.
      say: Takes lines for the log.
      here: Those of the places whose processes this one starts; all unless others start the rest.
      until: Ends processes that have no end of their own.

    Raises:
      WorkerFailed: if one of them ended early, or stopped moving; none of them runs any more then.
    """
    crew: list[_Member] = []
    with contextlib.ExitStack() as stack:
        stack.callback(_end, crew)
        where = iter(network.addresses(len(places)))
        cluster: dict[str, list[str]] = {}
        for place in places:
            cluster.setdefault(place.job, []).append(next(where))
        watch = stack.enter_context(MemoryWatch(os.getpid(), 0))
        asked = stack.enter_context(_passes_sigterm_on(crew))
        crew.extend(_start(place, cluster, network, work) for place in here or places)
        names = ", ".join(f"{member.place} {member.pid}" for member in crew)
        say(f"{len(crew)} processes train together on this machine: {names}")
        _attend(crew, stall_seconds, say, watch, asked, until or (lambda: False))


def _start(place: Place, cluster: dict[str, list[str]], network: Network, work: Callable[[Place, Report], None]) -> _Member:
    output, its_output = os.pipe()
    beats, its_beats = os.pipe()

    def live() -> int:
        os.setpgid(0, 0)
        be_called(str(place))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for stream in (1, 2):
            os.dup2(its_output, stream)
        network.enter()
        die_with_parent()  # last: the kernel forgets it when a process changes its rights
        os.environ["TF_CONFIG"] = json.dumps({"cluster": cluster, "task": {"type": place.job, "index": place.index}})
        work(place, lambda beat: _tell(its_beats, beat))
        return 0

    try:
        pid = fork(live)
    finally:
        os.close(its_output)
        os.close(its_beats)
    return _Member(place, pid, output, beats, time.monotonic())


def _tell(descriptor: int, beat: Beat) -> None:
    os.write(descriptor, json.dumps(dataclasses.asdict(beat)).encode() + b"\n")


def _attend(
    crew: list[_Member],
    stall_seconds: float,
    say: Callable[[str], None],
    watch: MemoryWatch,
    asked: list[int],
    until: Callable[[], bool],
) -> None:
    """Passes on what they print, until the work is done."""
    said = time.monotonic()
    led = crew[0].place.job == "chief"
    moving = crew[:1] if led else crew
    with selectors.DefaultSelector() as selector:
        for member in crew:
            selector.register(member.output, selectors.EVENT_READ, member)
            selector.register(member.beats, selectors.EVENT_READ, member)
        while any(member.status is None for member in moving):
            for key, _ in selector.select(_LOOK_EVERY):
                _read(key.data, key.fd, selector, say)
            if until():
                return
            for member in crew:
                _look_after(member)
            if failed := _first_to_fail(crew, moving):
                _drain(crew, say)
                if asked:
                    return  # the process dies of the signal that its chief has died of
                raise WorkerFailed(_how_it_ended(failed, crew, watch))
            still = [member for member in moving if member.status is None and time.monotonic() - member.moved > stall_seconds]
            if still:
                stuck = " and ".join([*map(_stuck, still), *_held_up(crew)])
                raise WorkerFailed(f"no step for {stall_seconds:.0f} s: {stuck}; all {len(crew)} were ended")
            if time.monotonic() - said > _LINE_EVERY and all(member.beat for member in moving):
                said = time.monotonic()
                say(_progress(moving))
    _drain(crew, say)


def _first_to_fail(crew: list[_Member], moving: list[_Member]) -> _Member | None:
    """Who ended before the work was done; of several, one that was killed, by SIGKILL first: the others may have ended for want of it."""
    if all(member.status == 0 for member in moving):
        return None
    failed = [member for member in crew if member.status or (member.status == 0 and member not in moving)]
    return min(failed, key=lambda member: (member.status != -signal.SIGKILL, member.status or 0), default=None)


def _read(member: _Member, descriptor: int, selector: selectors.BaseSelector, say: Callable[[str], None]) -> None:
    chunk = os.read(descriptor, _CHUNK)
    if not chunk:
        selector.unregister(descriptor)
        return
    if descriptor == member.beats:
        *lines, member.news = (member.news + chunk).split(b"\n")
        if lines:
            raw = json.loads(lines[-1])
            beat = Beat(raw["step"], raw["loss"], {int(worker): rate for worker, rate in raw["rates"].items()}, raw["waits_for"])
            if member.beat is None or beat.step != member.beat.step:
                member.moved = time.monotonic()
            member.beat = beat
        return
    *lines, member.line = (member.line + chunk).split(b"\n")
    for line in lines:
        _say_of(member, line, say)
    if len(member.line) > _CHUNK:  # one that never ends its line
        _say_of(member, member.line, say)
        member.line = b""


def _drain(crew: list[_Member], say: Callable[[str], None]) -> None:
    """Passes on what is left in the pipes."""
    for member in crew:
        os.set_blocking(member.output, False)
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(member.output, _CHUNK):
                member.line += chunk
        for line in member.line.splitlines():
            _say_of(member, line, say)
        member.line = b""


def _say_of(member: _Member, line: bytes, say: Callable[[str], None]) -> None:
    say(f"[{member.place}] {line.decode(errors='replace')}")


def _look_after(member: _Member) -> None:
    if member.status is None:
        pid, status = os.waitpid(member.pid, os.WNOHANG)
        if pid:
            member.status = os.waitstatus_to_exitcode(status)


def _how_it_ended(member: _Member, crew: list[_Member], watch: MemoryWatch) -> str:
    status, where = member.status or 0, _where(member if member.beat else crew[0])
    if status >= 0:
        how = f"ended with status {status} {where}; its lines above say why"
    else:
        why = watch.cause() if status == -signal.SIGKILL else ""
        how = f"was killed by {signal.Signals(-status).name} {where}" + (f": {why}" if why else "")
    return f"{member.place} of {len(crew)} processes {how}. The others were ended; the next attempt goes on from the last saved state"


def _where(member: _Member) -> str:
    return f"after step {member.beat.step}" if member.beat else "before the first step"


def _stuck(member: _Member) -> str:
    waits = f", waiting for {member.beat.waits_for}" if member.beat and member.beat.waits_for else ""
    return f"{member.place} {_where(member)}{waits}"


def _held_up(crew: list[_Member]) -> Iterator[str]:
    """Who does not move because the kernel does not let it; a chief that waits for such a one may not know for whom."""
    for member in crew:
        with contextlib.suppress(OSError):
            state = pathlib.Path(f"/proc/{member.pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state in _HELD_UP:
                yield f"{member.place}, which {_HELD_UP[state]}"


def _progress(moving: list[_Member]) -> str:
    beats = [member.beat for member in moving if member.beat]
    rates = ", ".join(f"{rate:,.0f}" for beat in beats for rate in beat.rates.values())
    return f"step {min(beat.step for beat in beats)}, loss {beats[0].loss:.4f}, rows per second by worker: {rates}"


def _end(crew: list[_Member]) -> None:
    """Ends what still runs, and waits for it."""
    for member in crew:
        if member.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(member.pid, signal.SIGKILL)
            os.waitpid(member.pid, 0)
        for descriptor in (member.output, member.beats):
            os.close(descriptor)


@contextlib.contextmanager
def _passes_sigterm_on(crew: list[_Member]) -> Iterator[list[int]]:
    """While the block runs, SIGTERM goes to the chief, which saves the state and dies of it; then this process dies of it too.

    Yields:
      A list that holds the signal once it has come.
    """
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        if crew and crew[0].status is None:
            os.kill(crew[0].pid, number)

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
        if asked:
            _end_now(crew)
            os.kill(os.getpid(), signal.SIGTERM)


def _end_now(crew: list[_Member]) -> None:
    for member in crew:
        with contextlib.suppress(ProcessLookupError):
            os.kill(member.pid, signal.SIGKILL)
