"""A question that got no answer -> which of three situations it is."""

from __future__ import annotations


class ClientError(Exception):
    """A question got no answer."""


class Refused(ClientError):
    """The server understood and said no; asking again gives the same.

    Attributes:
      code: Its word for why: TensorFlow's, such as `NOT_FOUND`, over gRPC; the status of HTTP, such as `404`, over REST.
      message: What it said.
    """

    def __init__(self, where: str, code: str, message: str) -> None:
        super().__init__(f"{where} refused: {code}: {message}")
        self.code = code
        self.message = message


class Unreachable(ClientError):
    """Nobody answered, or the server was too busy to, however often it was tried."""


class TooLate(ClientError):
    """The deadline passed before there was an answer."""
