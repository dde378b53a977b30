"""A free port is nobody else's until whoever asked for it listens there."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import subprocess
import sys

import pytest

from waybill.cli import ports

PROJECT = pathlib.Path(__file__).parents[1]
KEEP = "import sys; from waybill.cli import ports\nwith ports.kept(int(sys.argv[1])) as port: print(port, flush=True); sys.stdin.read()"


def free() -> int:
    with ports.kept(0) as port:
        return port


def test_a_port_that_somebody_listens_on_is_left_to_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = taken.getsockname()[1]
        with ports.kept(wanted) as port:
            assert port != wanted
    with ports.kept(wanted) as port:
        assert port == wanted


def test_services_that_start_at_once_never_choose_the_same_port() -> None:
    wanted = free()
    with contextlib.ExitStack() as starting:
        chosen = [starting.enter_context(ports.kept(wanted)) for _ in range(5)]
        assert chosen[0] == wanted
        assert len(set(chosen)) == 5
        again = socket.create_server(("127.0.0.1", chosen[0]))  # whoever was given it can listen while it is kept
        again.close()


def test_a_port_is_kept_from_other_processes_and_free_when_its_keeper_is_killed() -> None:
    wanted = free()
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEP, str(wanted)], cwd=PROJECT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert keeper.stdout is not None and int(keeper.stdout.readline()) == wanted
    with ports.kept(wanted) as port:
        assert port != wanted
    keeper.kill()
    keeper.communicate()
    with ports.kept(wanted) as port:
        assert port == wanted


def test_without_any_free_port_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_free", lambda _: 0)
    with pytest.raises(ports.NoFreePort, match="end what listens there"), ports.kept(8080):
        pass
