"""A PostgreSQL server of the tests' own: on loopback, in a temporary folder, ended with the tests; skipped with the reason elsewhere."""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest

from waybill.cli import ports

_USERS = ("postgres", "nobody")  # PostgreSQL refuses to run as root


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Starts a server and yields the SQLAlchemy URL of its empty database."""
    binaries = _binaries()
    with tempfile.TemporaryDirectory(prefix="waybill-pg-") as name, contextlib.ExitStack() as held:
        folder = pathlib.Path(name)
        prefix = _as_user(folder)
        data = folder / "data"
        port = held.enter_context(ports.kept(0))
        _run([*prefix, str(binaries / "initdb"), "-D", str(data), "-U", "waybill", "-A", "trust", "-N"])
        command = [str(binaries / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
        process = subprocess.Popen([*prefix, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            _run([str(binaries / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "waybill", "mlmd"])
            yield f"postgresql://waybill@127.0.0.1:{port}/mlmd"
        finally:
            process.terminate()
            process.wait(30)


def _binaries() -> pathlib.Path:
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "-qq", "update"], check=False, capture_output=True)
        subprocess.run(["apt-get", "-qq", "-y", "install", "postgresql"], check=False, capture_output=True)
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed and could not be (needs root and apt-get)")
    return found[-1].parent


def _as_user(folder: pathlib.Path) -> list[str]:
    """The command prefix that leaves root behind, with the folder handed over."""
    if os.geteuid() != 0:
        return []
    for name in _USERS:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
            return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    pytest.skip("PostgreSQL does not run as root, and there is no other user to run it as")


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            pytest.fail(f"PostgreSQL ended with status {process.returncode}")
        time.sleep(0.1)
    pytest.fail("PostgreSQL did not answer within 60 s")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{command[-1]}: {done.stderr}")
