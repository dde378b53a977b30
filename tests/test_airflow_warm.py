"""What a command in a fork of the warm host promises: a process like any other, an honest end, and nothing left behind."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from airflow_side import alive, gone
from host_side import DONE, RunningHost, running_host

from waybill.cli import host_status
from waybill.orchestration.process import NodeProcess
from waybill.orchestration.warm import NoHost, WarmCommand
from waybill.records import settings, wire
from waybill.records.node import NodeResult, Outcome

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "ONLY": "this"}
PYTHON = pathlib.Path(sys.executable)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Iterator[RunningHost]:
    with running_host(tmp_path / "home") as running:
        yield running


def start(host: RunningHost, what: str, node: str = "trainer") -> Callable[[], WarmCommand]:
    return lambda: WarmCommand(host.socket, PYTHON, host.words(what, node), ENVIRONMENT)


def run(host: RunningHost, what: str, tell: Callable[[str], None] = print) -> NodeResult:
    return NodeProcess("trainer", start(host, what), tell).run()


def children(pid: int) -> list[int]:
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def in_background(process: NodeProcess) -> tuple[threading.Thread, list[NodeResult]]:
    results: list[NodeResult] = []
    thread = threading.Thread(target=lambda: results.append(process.run()))
    thread.start()
    return thread, results


def test_a_command_tells_its_lines_and_ends_with_its_result(host: RunningHost) -> None:
    lines: list[str] = []
    assert run(host, "nothing", lines.append) == DONE
    assert lines == ["did nothing"]


def test_a_command_is_a_process_of_its_own_with_the_environment_and_folder_of_who_asked(
    host: RunningHost, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run(host, "who")
    who = host.noted("who")
    assert who["environment"] == ENVIRONMENT
    assert who["folder"] == str(tmp_path)
    assert who["pid"] == who["group"] == who["session"]
    assert who["files"] in ([0, 1, 2], [0, 1, 2, 3]), "the third is the folder that is listed"
    assert int(who["first_to_go"]) > int(pathlib.Path("/proc/self/oom_score_adj").read_text())


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("raise", "trainer ended with status 1 and no result"),
        ("exit", "trainer ended with status 3 and no result"),
        ("segfault", "trainer was killed by SIGSEGV"),
    ],
)
def test_an_exception_an_exit_and_a_signal_are_told_apart_and_the_host_lives_on(host: RunningHost, what: str, said: str) -> None:
    lines: list[str] = []
    result = run(host, what, lines.append)
    assert result.outcome is Outcome.KILLED
    assert said in result.message
    assert any("a fault of the command" in line for line in lines) == (what == "raise")
    assert run(host, "nothing") == DONE


def test_a_command_that_eats_memory_ends_as_out_of_memory_and_the_host_lives_on_to_run_the_next(host: RunningHost) -> None:
    before = host.status()["pid"]
    result = run(host, "eat")
    assert result.outcome is Outcome.KILLED
    assert "killed by SIGKILL: it held 0." in result.message and "WAYBILL_NODE_MEMORY allows 0.3 GiB" in result.message
    assert gone(host.noted("pids-eater"))
    assert (host.status()["running"], host.status()["pid"]) == ([], before)
    assert run(host, "nothing") == DONE


def test_a_command_that_is_killed_leaves_nothing_not_even_what_left_its_group(host: RunningHost) -> None:
    process = NodeProcess("trainer", start(host, "hang"), print)
    thread, results = in_background(process)
    pids = [*host.noted("pids-trainer"), host.noted("daemon")]
    began = time.monotonic()
    process.kill()
    assert time.monotonic() - began < 0.5, "Airflow kills who takes long to kill"
    thread.join(10)
    assert gone(pids)
    assert (results[0].outcome, results[0].message) == (Outcome.KILLED, "trainer was stopped because Airflow ended its task")
    assert host.status()["running"] == []


def test_when_who_asked_is_killed_its_command_is_gone(host: RunningHost) -> None:
    code = (
        "import pathlib, sys; from waybill.orchestration.process import NodeProcess; from waybill.orchestration.warm import WarmCommand\n"
        f"start = lambda: WarmCommand(pathlib.Path({str(host.socket)!r}), pathlib.Path(sys.executable), {host.words('hang')!r}, {{}})\n"
        "NodeProcess('trainer', start, print).run()"
    )
    asking = subprocess.Popen([sys.executable, "-c", code])
    pids = [*host.noted("pids-trainer"), host.noted("daemon")]
    asking.kill()
    asking.wait()
    assert gone(pids)
    assert run(host, "nothing") == DONE


def test_what_a_command_leaves_running_ends_with_it_and_its_result_stands(host: RunningHost) -> None:
    assert run(host, "leave") == DONE
    assert gone([host.noted("daemon")])


def test_the_process_that_waits_for_the_next_command_is_not_missed_when_it_is_killed(host: RunningHost) -> None:
    assert soon(lambda: len(children(host.process.pid)) == 1)
    [waiting] = children(host.process.pid)
    os.kill(waiting, signal.SIGKILL)
    assert soon(lambda: waiting not in children(host.process.pid))
    assert run(host, "nothing") == DONE
    assert run(host, "who") == DONE
    assert host.noted("who")["pid"] != waiting


def test_a_command_gets_the_process_that_waits_and_another_waits_then(host: RunningHost) -> None:
    assert soon(lambda: len(children(host.process.pid)) == 1)
    [waiting] = children(host.process.pid)
    running = start(host, "wait")()
    assert running.pid == waiting
    assert soon(lambda: len(children(host.process.pid)) == 2), "the host answers before it forks the next"
    running.kill()
    running.wait()
    assert soon(lambda: len(children(host.process.pid)) == 1 and waiting not in children(host.process.pid))


def test_when_the_host_is_killed_its_commands_die_and_say_why(host: RunningHost) -> None:
    running = [in_background(NodeProcess(node, start(host, "wait", node), print)) for node in ("one", "two", "three")]
    pids = [pid for node in ("one", "two", "three") for pid in host.noted(f"pids-{node}")]
    host.process.kill()
    for thread, results in running:
        thread.join(10)
        assert results[0].outcome is Outcome.KILLED, "so that Airflow tries again"
        assert f"the warm host (process {host.process.pid}) ended" in results[0].message
    assert gone(pids)


def test_a_hundred_megabytes_of_log_arrive_whole(host: RunningHost) -> None:
    size = 0

    def count(line: str) -> None:
        nonlocal size
        size += len(line) + 1

    assert run(host, "bulk", count) == DONE
    assert size > 100 * 10486 * 100
    assert host.status()["memory"] < 200 << 20


def test_who_does_not_read_its_log_holds_up_only_its_own_command(host: RunningHost) -> None:
    stalled = start(host, "endless")()
    pids = host.noted("pids-endless")
    assert run(host, "nothing") == DONE
    stalled.kill()
    stalled.wait()
    assert gone(pids)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "expected a frame"),
        (struct.pack(">4sHI", b"WAYB", 9, 2) + b"{}", "version 9"),
        (struct.pack(">4sHI", b"WAYB", wire.VERSION, 1 << 31), "expected at most"),
        (struct.pack(">4sHI", b"WAYB", wire.VERSION, 3) + b"not", "no JSON"),
        (struct.pack(">4sHI", b"WAYB", wire.VERSION, 2) + b"[]", "expected an object"),
        (wire.encode({"do": "dance"}), "expected run or status"),
        (wire.encode({"do": "run", "words": ["demo"]}), "expected one of node, run-spec"),
        (wire.encode({"do": "run", "words": ["node"], "environment": {"A": 1}}), "no object of texts"),
        (wire.encode({"do": "run", "words": ["node"], "environment": {}, "folder": "/nowhere"}), "working folder"),
        (wire.encode({"do": "run", "words": ["node"], "environment": {}, "folder": "/", "python": "/other/python"}), "runs in"),
        (wire.encode({"do": "run", "words": ["node"], "environment": {}, "folder": "/", "python": sys.executable}), "no file descriptor"),
    ],
)
def test_garbage_on_the_socket_is_refused_with_the_reason_and_does_no_harm(host: RunningHost, sent: bytes, why: str) -> None:
    with wire.dial(host.socket, 5) as connection:
        connection.sendall(sent)
        answer = wire.receive(connection, wire.Decoder())
    assert answer is not None
    assert answer["is"] == "refused"
    assert why in answer["why"]
    assert run(host, "nothing") == DONE


def test_a_client_that_stalls_is_dropped_and_does_no_harm(tmp_path: pathlib.Path) -> None:
    with running_host(tmp_path / "home", patience=0.5) as host, wire.dial(host.socket, 10) as connection:
        connection.sendall(b"WAY")
        assert run(host, "nothing") == DONE
        answer = wire.receive(connection, wire.Decoder())
        assert answer is not None
        assert "no whole request" in answer["why"]


def test_more_clients_than_it_has_room_for_are_turned_away_and_it_serves_on(host: RunningHost) -> None:
    idle = [wire.dial(host.socket, 5) for _ in range(80)]
    with pytest.raises(NoHost):
        start(host, "nothing")()
    for connection in idle:
        connection.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert run(host, "nothing") == DONE
            return
        except NoHost:
            time.sleep(0.05)
    pytest.fail("the host did not notice that its clients had gone")


def test_a_host_whose_code_has_changed_takes_nothing_new_finishes_what_runs_and_ends(host: RunningHost) -> None:
    thread, results = in_background(NodeProcess("trainer", start(host, "wait"), print))
    host.noted("pids-trainer")
    (host.home / "changed").write_text("the code has changed")
    with pytest.raises(NoHost, match="the code has changed"):
        start(host, "nothing")()
    assert alive(host.process.pid)
    (host.home / "go").touch()
    thread.join(10)
    assert results == [DONE]
    assert host.process.wait(10) == 0


def test_a_host_that_is_told_to_end_ends_its_commands_too(host: RunningHost) -> None:
    thread, results = in_background(NodeProcess("trainer", start(host, "hang"), print))
    pids = [*host.noted("pids-trainer"), host.noted("daemon")]
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(10) == 0
    thread.join(10)
    assert gone(pids)
    assert results[0].outcome is Outcome.KILLED


def test_only_its_owner_can_reach_the_host(host: RunningHost) -> None:
    assert stat.S_IMODE(host.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(host.socket.parent.stat().st_mode) == 0o700


def test_a_socket_may_lie_deeper_than_its_address_has_room_for(tmp_path: pathlib.Path) -> None:
    deep = tmp_path.joinpath(*["a folder with a long name"] * 8)
    with pytest.raises(OSError, match="too long"), socket.socket(socket.AF_UNIX) as plain:
        plain.bind(str(deep / "socket"))
    with running_host(deep) as host:
        assert run(host, "nothing") == DONE


def test_where_no_host_listens_the_reason_is_given(tmp_path: pathlib.Path) -> None:
    nowhere = settings.load({"WAYBILL_HOME": str(tmp_path / "none")})
    with pytest.raises(NoHost, match="none was started"):
        WarmCommand(nowhere.host_socket, PYTHON, ["node"], {})
    with running_host(tmp_path / "home") as host:
        pass
    with pytest.raises(NoHost, match="nobody answers"):
        start(host, "nothing")()
    with pytest.raises(host_status.HostSilent, match="make up"):
        host_status.ask(nowhere)


def test_the_status_tells_what_runs_and_what_was_saved(host: RunningHost) -> None:
    run(host, "nothing")
    thread, _ = in_background(NodeProcess("trainer", start(host, "wait"), print))
    [pid] = host.noted("pids-trainer")
    found = host.status()
    assert (found["pid"], found["served"], found["saved"], found["outdated"]) == (host.process.pid, 2, 18.0, "")
    assert [r["pid"] for r in found["running"]] == [pid]
    text = "\n".join(host_status.show(found))
    assert f"host {host.process.pid}: ready" in text
    assert "2 commands served, 18 s of imports saved" in text
    assert "--node=trainer" in text
    (host.home / "go").touch()
    thread.join(10)
    assert json.loads(json.dumps(found)) == found


def test_frames_come_whole_however_the_bytes_arrive() -> None:
    messages = [{"do": "status"}, {"words": ["ä", "b" * 5000]}]
    stream = b"".join(wire.encode(message) for message in messages)
    decoder, found = wire.Decoder(), []
    for byte in stream:
        decoder.feed(bytes([byte]))
        if (message := decoder.next()) is not None:
            found.append(message)
    assert found == messages
    with pytest.raises(wire.WireError, match="expected at most"):
        wire.encode({"words": ["x" * wire.MAX_BODY]})


def test_this_process_has_no_descriptor_left_of_a_command_that_ended(host: RunningHost) -> None:
    run(host, "nothing")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        run(host, "nothing")
        with pytest.raises(NoHost):
            WarmCommand(host.socket, pathlib.Path("/other/python"), host.words("nothing"), {})
    assert len(os.listdir("/proc/self/fd")) == before
