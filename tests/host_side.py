"""A warm host whose commands do what a test asks for: the real host and its real forks, with nothing heavy imported."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from waybill.cli import host_status
from waybill.records import settings as settings_lib
from waybill.records.node import NodeResult, Outcome

DONE = NodeResult("trainer", Outcome.COMPLETE, "trained", run="tiny.1.g1", execution=7, seconds=1.5)

# `--do=<what>` is what the command does before it reports its result, `--here=<folder>` where it writes what it has to tell.
SERVE = """
import ctypes, json, os, pathlib, signal, subprocess, sys, time
from waybill.launch import host_child
from waybill.launch.backends import ForkBackend
from waybill.launch.host import Host
from waybill.launch.units import Unit
from waybill.launch.work import Work
from waybill.records import settings, wire
from waybill.records.interval import Interval, parse_moment
from waybill.records.node import NodeResult
from waybill.records.run_spec import Partition

QUARTER = Interval(parse_moment("2013-01-01"), parse_moment("2013-04-01"))
WORK = Work((), "trainer", 1, Unit("tiny.1.g1", Partition(QUARTER, "/", "sha256:" + "0" * 64, 1), QUARTER, False))

def note(here, name, value):
    part = here / f".{name}"
    part.write_text(json.dumps(value))
    part.rename(here / name)

def daemon(note_as, here):
    # as a library does that leaves its session: neither group nor parent lead to it any more
    if os.fork() == 0:
        os.setsid()
        left = os.fork()
        if left == 0:
            time.sleep(600)
        note(here, note_as, left)
        os._exit(0)
    os.wait()

def run(words):
    options = dict(word[2:].split("=", 1) for word in words if "=" in word)
    here, what = pathlib.Path(options["here"]), options["do"]
    if what == "raise":
        raise ValueError("a fault of the command")
    if what == "exit":
        sys.exit(3)
    if what == "segfault":
        ctypes.string_at(0)
    if what == "who":
        note(here, "who", {"environment": dict(os.environ), "folder": os.getcwd(), "group": os.getpgid(0), "session": os.getsid(0),
             "pid": os.getpid(), "files": sorted(int(p.name) for p in pathlib.Path("/proc/self/fd").iterdir()),
             "first_to_go": pathlib.Path("/proc/self/oom_score_adj").read_text().strip()})
    if what == "hang":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        daemon("daemon", here)
        note(here, f"pids-{options['node']}", [os.getpid(), child.pid])
        time.sleep(600)
    if what == "leave":
        daemon("daemon", here)
    if what == "bulk":
        for _ in range(100):
            os.write(1, (b"x" * 99 + b"\\n") * 10486)
    if what == "endless":
        note(here, "pids-endless", [os.getpid()])
        while True:
            print("again and again")
    if what == "eat":
        # as `waybill node run` does: the command decides, and a fork of it executes
        def eat(todo):
            note(here, "pids-eater", [os.getpid()])
            held = bytearray(b"x") * (400 << 20)
            time.sleep(600)
        result = ForkBackend(eat, 300 << 20, reap=False)(WORK, os.open(os.devnull, os.O_RDONLY))
        print(result.to_line())
        return 1
    if what == "wait":
        note(here, f"pids-{options['node']}", [os.getpid()])
        while not (here / "go").exists():
            time.sleep(0.02)
    print(f"did {what}")
    print(pathlib.Path(options["here"], "result").read_text())
    return 0

changed = pathlib.Path(sys.argv[1])
with wire.listen(settings.load().host_socket) as server:
    stale = lambda: changed.read_text() if changed.exists() else ""
    host = Host(server, lambda: host_child.standby(lambda ahead: run), stale, 9.0, print, patience=float(sys.argv[2]))
    print("ended:", host.serve(), flush=True)
"""


@dataclasses.dataclass
class RunningHost:
    """A host in a process of its own."""

    home: pathlib.Path
    process: subprocess.Popen[bytes]

    @property
    def settings(self) -> settings_lib.Settings:
        return settings_lib.load({"WAYBILL_HOME": str(self.home)})

    @property
    def socket(self) -> pathlib.Path:
        return self.settings.host_socket

    def words(self, what: str, node: str = "trainer") -> list[str]:
        """A command that does `what` and reports DONE."""
        return ["node", "run", f"--node={node}", f"--do={what}", f"--here={self.home}"]

    def status(self) -> dict[str, Any]:
        return host_status.ask(self.settings)

    def noted(self, name: str, seconds: float = 20) -> Any:
        """What a command noted under a name, once it has."""
        deadline = time.monotonic() + seconds
        while not (self.home / name).exists():
            assert time.monotonic() < deadline, f"nothing noted {name}"
            time.sleep(0.02)
        return json.loads((self.home / name).read_text())


@contextlib.contextmanager
def running_host(home: pathlib.Path, patience: float = 10) -> Iterator[RunningHost]:
    """A host that serves while the block runs."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "result").write_text(DONE.to_line())
    command = [sys.executable, "-c", SERVE, str(home / "changed"), str(patience)]
    process = subprocess.Popen(command, env={**os.environ, "WAYBILL_HOME": str(home)})
    host = RunningHost(home, process)
    try:
        deadline = time.monotonic() + 20
        while not _answers(host):
            assert process.poll() is None, "the host ended while it started"
            assert time.monotonic() < deadline, "the host did not start"
            time.sleep(0.02)
        yield host
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _answers(host: RunningHost) -> bool:
    with contextlib.suppress(host_status.HostSilent):
        return bool(host.status())
    return False
