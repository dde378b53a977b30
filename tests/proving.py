"""A small installation in which processes are held still at a fault point and killed there, while a watcher looks on."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import io
import os
import pathlib
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any

import pytest
import released_pipeline
from faults import Faults
from harness import Installation, apart, install, remove
from watcher import Watcher, report

from waybill.cli import host_status, nodes
from waybill.cli import main as command
from waybill.cli import run as run_verb
from waybill.launch import freeze
from waybill.launch.backends import ForkBackend
from waybill.launch.execute import execute
from waybill.launch.host import Host
from waybill.launch.host_child import adopt_orphans, standby
from waybill.launch.node import run_node
from waybill.launch.standby import fork
from waybill.launch.work import Work
from waybill.orchestration.process import NodeProcess
from waybill.orchestration.warm import WarmCommand
from waybill.records import wire
from waybill.records.node import NodeRequest, NodeResult
from waybill.records.run_spec import RunSpec, Trigger
from waybill.records.settings import Settings

ALL = "PROOF_ALL" in os.environ  # everything is tried, not the slice that the test suite takes
SECONDS = 60
_PR_SET_CHILD_SUBREAPER = 36


class Forked:
    """Some work in a forked process, whose end is waited for later."""

    def __init__(self, work: Callable[[], Any]):
        reader, writer = os.pipe()

        def answer() -> int:
            os.close(reader)
            os.write(writer, pickle.dumps(work()))
            return 0

        self.pid = fork(answer)
        os.close(writer)
        self._reader = reader

    @property
    def over(self) -> bool:
        """Whether it has ended; it stays to be collected."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> Any:
        """What it returned; None when it was killed."""
        with os.fdopen(self._reader, "rb") as handle:
            answer = handle.read()
        os.waitpid(self.pid, 0)
        return pickle.loads(answer) if answer else None


class Warm:
    """A command of the launcher in a fork of the warm host, as a task of Airflow's runs it."""

    def __init__(self, settings: Settings, node: str, words: list[str]):
        start = lambda: WarmCommand(settings.host_socket, pathlib.Path(sys.executable), words, dict(os.environ))  # noqa: E731
        self._ended: list[NodeResult] = []
        self._thread = threading.Thread(target=lambda: self._ended.append(NodeProcess(node, start, print).run()))
        self._thread.start()

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def end(self) -> NodeResult | None:
        self._thread.join(SECONDS)
        return self._ended[0] if self._ended else None


def the_held(begun: Forked | Warm, held: int) -> int:
    """Kills the very process that is held: of a node, who decides or who executes."""
    return held


def who_decides(begun: Forked, held: int) -> int:
    """Kills the process that holds the node's lease; who executes dies with it, and nobody is left to close what it had open."""
    return begun.pid


@dataclasses.dataclass
class Proof:
    """The installation, what holds its processes, who watches it, and its home at several moments."""

    installation: Installation
    faults: Faults
    watcher: Watcher
    moments: pathlib.Path

    @property
    def home(self) -> pathlib.Path:
        return self.installation.settings.home

    def remember(self, moment: str) -> None:
        """Keeps a copy of the home."""
        shutil.copytree(self.home, self.moments / moment, ignore=shutil.ignore_patterns("socket", "host.lock"))

    def go_to(self, moment: str) -> None:
        """Puts a copy in the place of the home by renames, since the watcher looks at any moment."""
        exchange(self.moments / moment, self.home)

    def freeze(self, start: str, ticket: str, kind: str = "scheduled") -> RunSpec:
        """Freezes a quarter's run in this process's place."""
        return self.installation.freeze(start, ticket, kind=kind, run=f"small/{kind}__{start}")

    def freezing(self, start: str, ticket: str, kind: str = "scheduled") -> Forked:
        here = self.installation
        trigger = Trigger(kind, "ada", f"small/{kind}__{start}", ticket)
        request = freeze.FreezeRequest(here.interval(start), {}, trigger)
        return Forked(lambda: freeze.freeze(request, here.pipeline, here.settings, here.store, print))

    def working(self, spec: RunSpec, node: str, ticket: str = "") -> Forked:
        """A node as `waybill node run` runs it: one process decides, another executes."""
        here = self.installation
        request = NodeRequest(spec.digest, node, 1, ticket or spec.trigger.ticket)
        backend = ForkBackend(lambda todo: execute(todo, here.create, here.graph, here.settings))
        return Forked(lambda: run_node(request, lambda _: here.graph, here.settings, backend, print))

    def commanding(self, *words: str) -> Forked:
        """A verb of the command line."""
        return Forked(lambda: command.main(list(words)))

    def host(self) -> int:
        """Starts a warm host; returns its process. It is the real one but for its imports, which this process has made for it."""
        settings = self.installation.settings
        settings.host_socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.host_socket.unlink(missing_ok=True)

        def serve() -> int:
            # Those of pytest are files that a child of the host closes.
            sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w", closefd=False)) for number in (1, 2))
            with wire.listen(settings.host_socket) as server:
                Host(server, lambda: standby(nodes.ready), lambda: "", 1.0, print).serve()
            return 0

        pid = fork(serve)
        wait(lambda: _answers(settings), "the host to answer")
        return pid

    @contextlib.contextmanager
    def hosting(self) -> Iterator[None]:
        """A warm host that serves while the block runs."""
        known = children()
        host = self.host()
        try:
            yield
        finally:
            os.kill(host, signal.SIGTERM)
            nothing_left(known)

    def warm(self, spec: RunSpec, node: str) -> Warm:
        words = ["node", "run", f"--spec={spec.digest}", f"--node={node}", "--attempt=1", f"--ticket={spec.trigger.ticket}"]
        return Warm(self.installation.settings, node, words)

    def warm_freezing(self, start: str, ticket: str) -> Warm:
        words = ["run-spec", "small", f"--start={start}", "--kind=scheduled", f"--run=small/scheduled__{start}", f"--ticket={ticket}"]
        return Warm(self.installation.settings, "run_spec", words)

    def kill(
        self,
        doing: str,
        point: str,
        work: Callable[[], Forked | Warm],
        whom: Callable[[Any, int], int] = the_held,
        *,
        must: bool = True,
        mine: Collection[int] = (),
    ) -> Any:
        """Has some work done, holds it at a point until the watcher has looked, and kills; returns how the work ended.

        Args:
          doing: The node or verb that is to be held.
          point: Where.
          work: Begins the work.
          whom: Which process is killed, of the work that was begun and the process that is held.
          must: Whether the work has to come to the point; else it may end well without.
          mine: Processes that were started for this, and are not to be left.
        """
        known, wrong = children() - set(mine), self.watcher.seen().wrong
        self.faults.arm(doing, point)
        try:
            begun = work()
            wait(lambda: self.faults.held() or begun.over, f"{doing} to come to {point}")
            held = self.faults.held()
            if not held:
                ended = begun.end()
                assert not must, f"{doing} has ended without coming to {point}: {ended}"
                return ended
            self.watcher.wait_for_a_look()
            self.faults.disarm()
            os.kill(whom(begun, held), signal.SIGKILL)
            ended = begun.end()
        finally:
            self.faults.disarm()
            self.faults.release()
        nothing_left(known)
        self.watcher.wait_for_a_look()
        seen = self.watcher.seen()
        assert seen.wrong == wrong, "\n".join(seen.problems)
        return ended

    def finish(self, spec: RunSpec, since: str = "", before: str = "", ticket: str = "") -> list[NodeResult]:
        """Runs a run's nodes in one process, up to a bad end: all of them, or those from one on, or those before one."""
        here = self.installation

        def rest() -> list[NodeResult]:
            ids = [step.node for step in run_verb.steps(here.graph, [p.interval.label for p in spec.window])]
            results: list[NodeResult] = []
            for node in ids[ids.index(since) if since else 0 : ids.index(before) if before else None]:
                request = NodeRequest(spec.digest, node, 2, ticket or spec.trigger.ticket)
                results.append(run_node(request, lambda _: here.graph, here.settings, self._at_once, print))
                if not results[-1].successful:
                    break
            return results

        return apart(rest)

    def _at_once(self, todo: Work, lease: int) -> NodeResult:
        here = self.installation
        return execute(todo, here.create, here.graph, here.settings)

    def doctor(self, *words: str) -> int:
        """Asks the doctor, in a process of its own."""
        return int(apart(lambda: command.main(["doctor", "small", *words])))


def exchange(source: pathlib.Path, home: pathlib.Path) -> None:
    """Puts a copy of a folder in the place of another by two renames."""
    fresh, old = home.with_name("home.fresh"), home.with_name("home.old")
    shutil.copytree(source, fresh)
    home.rename(old)
    fresh.rename(home)
    remove(old)


def children() -> set[int]:
    """This process's children, those it has adopted among them."""
    found = set()
    for task in pathlib.Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def nothing_left(known: set[int]) -> None:
    """Asserts that soon this process has no other children than it had; what a killed process leaves becomes its child."""

    def none_left() -> bool:
        for pid in children() - known:
            os.waitpid(pid, os.WNOHANG)
        return not children() - known

    wait(none_left, "the processes of what was killed to end", seconds=20)


def wait(condition: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.002)


def _answers(settings: Settings) -> bool:
    try:
        return bool(host_status.ask(settings))
    except host_status.HostSilent:
        return False


@contextlib.contextmanager
def proving(**places: pathlib.Path) -> Iterator[Proof]:
    """A proof in folders of its own: nothing of it outlives the block, and nothing half-made was seen in it.

    Args:
      **places: `releases` or `serving`, where they are not in the home.
    """
    with tempfile.TemporaryDirectory(prefix="waybill-proof-") as name, pytest.MonkeyPatch.context() as patch:
        folder = pathlib.Path(name)
        made = install(folder, released_pipeline.SETTINGS, released_pipeline.create_pipeline, {})
        made.settings = dataclasses.replace(made.settings, **places)
        for key, place in places.items():
            patch.setenv(f"WAYBILL_{key.upper()}", str(place))
        faults = Faults(folder / "faults", made.settings.home)
        patch.setenv("WAYBILL_HOME", str(made.settings.home))
        patch.setenv("WAYBILL_FAULTS", str(faults.folder))
        patch.setattr("waybill.cli.load.names", lambda: ["small"])
        patch.setattr("waybill.cli.load.settings_of", lambda _: made.pipeline)
        patch.setattr("waybill.cli.load.graph_of", lambda _: made.graph)
        patch.setattr("waybill.cli.load.create_pipeline_of", lambda _: made.create)
        watcher = Watcher(folder / "seen", made.settings.releases / "small", made.settings.serving / "small")
        adopt_orphans()
        try:
            yield Proof(made, faults, watcher, folder / "moments")
        finally:
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
            seen = watcher.stop()
            remove(made.settings.home)
            for moment in (folder / "moments").glob("*"):
                remove(moment)
        report(seen)
        assert not seen.problems, "\n".join(seen.problems)
