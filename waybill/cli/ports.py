"""A wanted port -> a free one of the loopback interface, kept for whoever is about to listen on it.

Between a look whether a port is free and the listener that takes it there are seconds, in which another service that starts would find it
free as well. So the ports' names are taken first, as abstract Unix sockets: the kernel gives a name to one process only, keeps names apart
where it keeps ports apart, in the network namespace, and lets go of them when the process ends, however it does.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

LOOPBACK = "127.0.0.1"
_TRIES = 20  # of any free port; more services than that never start in the same moment


class NoFreePort(Exception):
    """There is no port left; the message says what to do."""


@contextlib.contextmanager
def kept(wanted: int) -> Iterator[int]:
    """A port that no listener has and that nobody else gets from here until the block ends.

    Args:
      wanted: The one to have if it is free, so that a bookmark stays good; 0 for any.

    Raises:
      NoFreePort: if there is none.
    """
    for first in (wanted, *[0] * _TRIES):
        port = _free(first)
        if not port:
            continue
        with socket.socket(socket.AF_UNIX) as name:
            try:
                name.bind(f"\0waybill-port-{port}")
            except OSError:
                continue
            if _free(port):  # whoever had the name a moment ago may listen by now
                yield port
                return
    raise NoFreePort(f"no port of {LOOPBACK} is free, of {_TRIES} that the system proposed; end what listens there and try again")


def _free(port: int) -> int:
    """The port when nobody listens there, a free one for 0; 0 when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])
