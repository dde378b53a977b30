"""The server that is asked: `waybill serve` as a process of its own, or one that runs already.

A TensorFlow Serving that runs already is named by three variables: SERVING_REST (`http://host:port`), SERVING_GRPC (`host:port`) and
SERVING_MODELS, a folder that both it and the tests see under this path, and that the tests may write to.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import numpy as np
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from bench import serving
from waybill.cli import serve
from waybill.cli.main import parser
from waybill.server.server import Server

OURS = "SERVING_REST" not in os.environ
PATIENCE = 60.0


class Target:
    """A server and the folder of its models."""

    def __init__(self, rest: str, grpc_address: str, models: pathlib.Path):
        self.rest, self.grpc_address, self.models = rest, grpc_address, models
        self.host = rest.removeprefix("http://")
        self.kept = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        self.channel = grpc.insecure_channel(grpc_address)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.service = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.log: list[str] = []

    def ask(
        self, method: str, path: str, body: bytes | str | Mapping[str, Any] = b"", *, kept: bool = False, **headers: str
    ) -> tuple[int, str, bytes]:
        """Status, Content-Type and body of an answer, over a connection that is kept or over a fresh one."""
        data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        connection = self.kept if kept else http.client.HTTPConnection(self.host, timeout=PATIENCE)
        with contextlib.ExitStack() as closed:
            closed.callback(connection.close)  # a kept one as well, when anything goes wrong
            connection.putrequest(method, path, skip_accept_encoding=True)
            connection.putheader("Content-Length", str(len(data)))
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(data)
            with connection.getresponse() as response:
                found = response.status, response.headers.get_content_type(), response.read()
            if kept:
                closed.pop_all()
        return found

    def reload(self, text: str | model_server_config_pb2.ModelServerConfig) -> None:
        """Has the server serve another configuration; raises grpc.RpcError when it refuses."""
        from google.protobuf import text_format

        config = text if not isinstance(text, str) else text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
        self.service.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(config=config), timeout=PATIENCE)

    def states(self, model: str) -> dict[int, str]:
        """States of a model's versions."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            found = self.service.GetModelStatus(request, timeout=PATIENCE).model_version_status
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return {}
        return {one.version: get_model_status_pb2.ModelVersionStatus.State.Name(one.state) for one in found}

    def until(self, model: str, wanted: Callable[[dict[int, str]], bool]) -> dict[int, str]:
        """Waits for states; the last ones seen."""
        deadline = time.monotonic() + PATIENCE
        while not wanted(found := self.states(model)):
            assert time.monotonic() < deadline, f"{model} is still {found}"
            time.sleep(0.05)
        return found

    def answering(self, model: str, *versions: int) -> dict[int, str]:
        """Waits until exactly these versions are AVAILABLE, and nothing is under way."""
        return self.until(
            model,
            lambda states: (
                {v for v, s in states.items() if s == "AVAILABLE"} == set(versions) and set(states.values()) <= {"AVAILABLE", "END"}
            ),
        )


@contextlib.contextmanager
def apart(models: pathlib.Path, *options: str) -> Iterator[Target]:
    """`waybill serve` as a process of its own, which imports TensorFlow anew, until the block ends."""
    with serving.served(*options) as (rest, grpc_address, log), asking(rest, grpc_address, models, log) as target:
        yield target


@contextlib.contextmanager
def served(models: pathlib.Path, *options: str) -> Iterator[Target]:
    """What `waybill serve` starts with these options, in this process, until the block ends."""
    log: list[str] = []
    words = ["serve", "--rest-port", "0", "--grpc-port", "0", *options]
    server = Server(serve.options(parser().parse_args(words)), log.append)
    server.start()
    try:
        with asking(server.rest, server.grpc, models, log) as target:
            yield target
    finally:
        server.stop()


@contextlib.contextmanager
def asking(rest: str, grpc_address: str, models: pathlib.Path, log: list[str]) -> Iterator[Target]:
    target = Target(rest, grpc_address, models)
    target.log = log
    try:
        yield target
    finally:
        target.kept.close()
        target.channel.close()


def alike(found: Any, wanted: Any) -> bool:
    """Whether two values of JSON are equal, numbers after they were made float32."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and found.keys() == wanted.keys() and all(alike(found[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(alike, found, wanted))
    if isinstance(wanted, (int, float)) and not isinstance(wanted, bool):
        if not isinstance(found, (int, float)) or isinstance(found, bool):
            return False
        with np.errstate(over="ignore"):
            one, other = np.float32(found), np.float32(wanted)
        return bool(one == other) or (math.isnan(one) and math.isnan(other))
    return type(found) is type(wanted) and found == wanted
