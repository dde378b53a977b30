"""Rows of which a release on disk has said something -> what the running model server says of them, over REST and over gRPC."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from waybill.cli.serve_address import Address
from waybill.client.errors import ClientError, Refused
from waybill.client.rest import RestClient
from waybill.client.rpc import GrpcClient
from waybill.client.spec import Spec
from waybill.records.live_scores import largest_difference
from waybill.serving.answers import numbers
from waybill.serving.errors import ServingError
from waybill.serving.saved_model import EXAMPLES_SIGNATURE, RAW_SIGNATURE

TOLERANCE = 1e-6  # the ways to ask differ by how TensorFlow batches them, at most
_SECONDS = 60.0  # a server that has just been started has TensorFlow to import and the model to load
_PAUSE = 0.1


@dataclasses.dataclass(frozen=True)
class Question:
    """Rows, and what is expected of them.

    Attributes:
      model: Name of the model.
      version: The version that has to answer, although none is asked for.
      columns: The rows as inputs of `raw`.
      examples: The same rows as serialized tf.Examples, for `serving_default`.
      by_raw: What the release says of each, by `raw`.
      by_example: The same by `serving_default`.
    """

    model: str
    version: int
    columns: Mapping[str, Sequence[Sequence[Any]]]
    examples: Sequence[bytes]
    by_raw: Sequence[list[float]]
    by_example: Sequence[list[float]]


def compared(server: Address, question: Question) -> Iterator[tuple[list[float], list[float]]]:
    """What the server says of each row: over REST by `raw`, over gRPC by `serving_default`.

    Raises:
      Otherwise: if it says something else than the release on disk, or another version answers, or it does not answer.
    """
    try:
        rest = RestClient(server.rest)
        _await(rest, question, server)
        rows = len(question.examples)
        by_raw = numbers(_arrays(rest.predict(Spec(question.model, signature=RAW_SIGNATURE), question.columns)), "", rows)
        (name,) = rest.signatures(Spec(question.model))[EXAMPLES_SIGNATURE]["inputs"]
        with GrpcClient(server.grpc) as grpc:
            answer = grpc.predict(
                Spec(question.model, signature=EXAMPLES_SIGNATURE), {name: np.array(list(question.examples), dtype=object)}
            )
        by_example = numbers(answer.outputs, "", rows)
    except (ClientError, ServingError) as error:
        raise Otherwise(f"the server at {server.rest} cannot be asked about {question.model}: {error}") from error
    if answer.version != question.version:
        raise Otherwise(f"version {answer.version} of {question.model} answers at {server.grpc}; expected {question.version}")
    for found, wanted, how in ((by_raw, question.by_raw, "REST"), (by_example, question.by_example, "gRPC")):
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            if not largest_difference(one, other) <= TOLERANCE:
                raise Otherwise(f"over {how} the server says {one} of row {number}; the release on disk says {other}")
    yield from zip(by_raw, by_example, strict=True)


def followed(server: Address, model: str, version: int) -> float:
    """Waits until a version answers who asks for none; returns how many seconds that took.

    Raises:
      Otherwise: if another one still answers after a minute.
    """
    rest, began, found = RestClient(server.rest), time.monotonic(), 0
    while time.monotonic() - began < _SECONDS:
        try:
            found = rest.version_of(Spec(model))
        except Refused:
            found = 0  # none answers yet
        except ClientError as error:
            raise Otherwise(f"the server at {server.rest} cannot be asked about {model}: {error}") from error
        if found == version:
            return time.monotonic() - began
        time.sleep(_PAUSE)
    raise Otherwise(
        f"after {_SECONDS:g} s the server at {server.rest} answers with version {found or 'none'} of {model}; expected {version}"
    )


class Otherwise(Exception):
    """The server does not say what the release says; the message says what it does."""


def _await(rest: RestClient, question: Question, server: Address) -> None:
    """Waits until the version answers: the server looks at the base path each second."""
    deadline, state = time.monotonic() + _SECONDS, "nothing"
    while time.monotonic() < deadline:
        state = rest.states(question.model).get(question.version, "nothing")
        if state == "AVAILABLE":
            return
        time.sleep(_PAUSE)
    raise Otherwise(f"after {_SECONDS:g} s the server at {server.rest} says {state} of {question.model} {question.version}, not AVAILABLE")


def _arrays(outputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(values) for name, values in outputs.items()}
