"""A network that only the processes of one training are in: a loopback interface, and nothing else.

TensorFlow's servers listen on every interface that they find, whatever address they are told, and answer whoever asks. So they are put
where nobody else is: in a network namespace of the kernel. Who may not make one by itself gets it together with a user namespace, in
which every user is allowed to.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from waybill.launch.errors import LaunchError
from waybill.launch.standby import fork

_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_PR_SET_DUMPABLE = 4
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _UP = 0x8913, 0x8914, 1
_FIRST_PORT = 20000  # in a network of our own all ports are free


class NoNetwork(LaunchError):
    """This machine does not let its users have a network of their own."""


class Network(Protocol):
    """Where the processes of a training find each other."""

    def addresses(self, count: int) -> list[str]:
        """So many addresses, `host:port`."""

    def enter(self) -> None:
        """Puts this process, which must have one thread only, into the network for good."""


class Given:
    """Addresses that others have agreed on, in the network that this machine has.

    Args:
      addresses: `host:port` of each process.
    """

    def __init__(self, addresses: Sequence[str]):
        self._addresses = list(addresses)

    def addresses(self, count: int) -> list[str]:
        """See `Network`."""
        return self._addresses[:count]

    def enter(self) -> None:
        """Every process is in it already."""


class Local:
    """Where the processes of a training find each other.

    Args:
      namespaces: File descriptors of the namespaces to enter, in that order, each with its kind; none for the machine's own network.
    """

    def __init__(self, namespaces: tuple[tuple[int, int], ...]):
        self._namespaces = namespaces

    def addresses(self, count: int) -> list[str]:
        """So many addresses that are free, on loopback."""
        ports = range(_FIRST_PORT, _FIRST_PORT + count) if self._namespaces else _free_ports(count)
        return [f"127.0.0.1:{port}" for port in ports]

    def enter(self) -> None:
        """Puts this process, which must have one thread only, into the network for good.

        Raises:
          OSError: if the kernel does not let it.
        """
        for descriptor, kind in self._namespaces:
            _call("setns", descriptor, kind)
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # the kernel hides who changes its rights; the memory watch looks at it


@contextlib.contextmanager
def private() -> Iterator[Local]:
    """A network for one training, gone with the last process in it.

    Raises:
      NoNetwork: if this machine does not let its users have one.
    """
    try:
        namespaces = _made(_NEW_NET)
    except PermissionError:
        try:
            namespaces = _made(_NEW_USER | _NEW_NET)
        except OSError as error:
            raise NoNetwork(
                f"the kernel gives no network of its own to the workers of a training ({error.strerror}), and without one TensorFlow's "
                "servers would listen on all interfaces of this machine. Allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
                "or kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu), train with strategy none or mirrored, or set "
                "WAYBILL_OPEN_WORKERS=1 where a firewall keeps others away"
            ) from None
    try:
        yield Local(namespaces)
    finally:
        for descriptor, _ in namespaces:
            os.close(descriptor)


def leave() -> str:
    """Puts this process, which must have one thread only, into a network where nobody else is, for good.

    Returns:
      Why the kernel does not let it; an empty text when it is done.
    """
    problem = _in_new(_NEW_NET)
    if problem == errno.EPERM:
        problem = _in_new(_NEW_USER | _NEW_NET)
    return f"the kernel gives it no network of its own ({os.strerror(problem)})" if problem else ""


@contextlib.contextmanager
def open_to_all() -> Iterator[Local]:
    """The machine's own network, where everybody who can reach the machine reaches the workers too."""
    yield Local(())


def _made(kinds: int) -> tuple[tuple[int, int], ...]:
    """New namespaces, with their loopback interface up.

    They are made by a child: who makes a network is in it, and this process needs the one it has.
    """
    said, says = os.pipe()
    holds, held = os.pipe()

    def hold() -> int:
        os.close(said)
        os.close(held)
        os.write(says, str(_in_new(kinds)).encode())
        os.read(holds, 1)  # until the namespaces are open, or nobody is there any more
        return 0

    child = fork(hold)
    try:
        os.close(says)
        os.close(holds)
        problem = int(os.read(said, 16) or b"5")
        if problem:
            raise OSError(problem, os.strerror(problem))
        wanted = [("user", _NEW_USER), ("net", _NEW_NET)]
        return tuple((os.open(f"/proc/{child}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), kind) for name, kind in wanted if kinds & kind)
    finally:
        os.close(said)
        os.close(held)
        os.waitpid(child, 0)


def _in_new(kinds: int) -> int:
    """Goes into new namespaces; returns the number of the error, 0 for none."""
    user, group = os.geteuid(), os.getegid()
    try:
        _call("unshare", kinds)
        if kinds & _NEW_USER:
            for name, text in (("uid_map", f"{user} {user} 1"), ("setgroups", "deny"), ("gid_map", f"{group} {group} 1")):
                with open(f"/proc/self/{name}", "w") as file:
                    file.write(text)
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            request = struct.pack("16sh14x", b"lo", 0)
            (flags,) = struct.unpack_from("16xh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _UP))
    except OSError as error:
        return error.errno or 5
    return 0


def _call(name: str, *arguments: int) -> None:
    function: Callable[..., int] = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _free_ports(count: int) -> list[int]:
    """Free ports of loopback. TensorFlow cannot be handed a socket; should another process take one meanwhile, the attempt fails."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
