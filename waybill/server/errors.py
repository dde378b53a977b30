"""What went wrong with a request -> TensorFlow's code and words, which REST and gRPC tell each in their own way."""

from __future__ import annotations

import types
from collections.abc import Mapping

# Status of HTTP for each of TensorFlow's codes; the codes' order is their number, in TensorFlow and in gRPC alike.
HTTP: Mapping[str, int] = types.MappingProxyType(
    {
        "OK": 200, "CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504, "NOT_FOUND": 404,
        "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400, "ABORTED": 409,
        "OUT_OF_RANGE": 400, "UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500, "UNAUTHENTICATED": 401,
    }
)  # fmt: skip
CODES = tuple(HTTP)
_LONGEST = 1024  # characters of an error that gRPC carries


class RequestError(Exception):
    """A request, a load or a configuration that did not work, as TensorFlow Serving would say it.

    Attributes:
      code: TensorFlow's name of the error, such as `INVALID_ARGUMENT`.
      message: What it says, without the code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def http(self) -> int:
        """The status of HTTP."""
        return HTTP.get(self.code, 500)

    @property
    def short(self) -> str:
        """The message as gRPC carries it: what is longer than 1024 characters is cut."""
        return self.message if len(self.message) <= _LONGEST else f"{self.message[:_LONGEST]}...TRUNCATED"


def invalid(message: str) -> RequestError:
    """An INVALID_ARGUMENT."""
    return RequestError("INVALID_ARGUMENT", message)


class ServerError(Exception):
    """The server cannot start; the message says why and what to do."""
