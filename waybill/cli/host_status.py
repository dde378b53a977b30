"""What the warm host of an installation says of itself. Imports nothing heavy: whoever starts or watches a host needs it."""

from __future__ import annotations

from typing import Any

from waybill.records import wire
from waybill.records.errors import RecordError
from waybill.records.settings import Settings

_SECONDS = 10.0


class HostSilent(RecordError):
    """No host answers; the message says where and what to do."""


def ask(settings: Settings) -> dict[str, Any]:
    """The host's answer: pid, age, memory, commands served and running, seconds saved.

    Raises:
      HostSilent: if none answers.
    """
    try:
        with wire.dial(settings.host_socket, _SECONDS) as connection:
            connection.sendall(wire.encode({"do": "status"}))
            answer = wire.receive(connection, wire.Decoder())
    except OSError as error:
        raise HostSilent(f"no host answers at {settings.host_socket} ({error}); start one with `waybill host` or `make up`") from error
    if answer is None:
        raise HostSilent(f"the host at {settings.host_socket} hung up without an answer; its log says more")
    return answer


def show(found: dict[str, Any]) -> list[str]:
    """The answer as lines for a person."""
    memory, saved = found["memory"] / 2**20, _time(found["saved"])
    return [
        f"host {found['pid']}: {found['outdated'] or 'ready'}; up {_time(found['age'])}, {memory:.0f} MiB",
        f"{found['served']} commands served, {saved} of imports saved ({found['imported_in']} s each)",
        *(f"  {r['pid']}  {_time(r['seconds']):>8}  {' '.join(_short(word) for word in r['words'])}" for r in found["running"]),
    ]


def _short(word: str) -> str:
    return word if len(word) <= 40 else f"{word[:37]}..."


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
