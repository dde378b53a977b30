"""The client: what it sends and returns over REST and gRPC, when it asks again, and which of three errors it ends with."""

from __future__ import annotations

import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import trained_taxi
from serving_models import save_half, save_many, text_of
from serving_target import Target, served

from waybill.client.errors import ClientError, Refused, TooLate, Unreachable
from waybill.client.rest import RestClient
from waybill.client.rpc import GrpcClient
from waybill.client.spec import Patience, Spec

PROJECT = pathlib.Path(__file__).parents[1]
QUICK = Patience(seconds=5.0, tries=3, pause=0.01)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    models = tmp_path_factory.mktemp("models")
    save_half(models / "half" / "1")
    save_many(models / "many" / "7")
    (models / "taxi").mkdir()
    (models / "taxi" / "20131001000001").symlink_to(trained_taxi.trained().model, target_is_directory=True)
    with served(models, *(word for name in ("half", "many", "taxi") for word in ("--model", f"{name}={models / name}"))) as found:
        found.answering("half", 1), found.answering("many", 7), found.answering("taxi", 20131001000001)
        yield found


@pytest.fixture
def rest(target: Target) -> RestClient:
    return RestClient(target.rest, QUICK)


@pytest.fixture
def rpc(target: Target) -> Iterator[GrpcClient]:
    with GrpcClient(target.grpc_address, QUICK) as client:
        yield client


def test_predict_over_rest(rest: RestClient) -> None:
    assert rest.predict(Spec("half"), {"x": [1.0, 2.0]}) == {"y": [2.5, 3.0]}
    assert rest.predict(Spec("half", version=1), {"x": np.array([2.0], np.float32)}) == {"y": [3.0]}
    assert rest.predict(Spec("many", signature="two"), {"a": [1.5], "b": [2]}) == {"sum": [3.5], "b": [2]}
    assert rest.predict(Spec("many", signature="packed"), {"text": [b"\xff\x00"]}) == {"said_bytes": [b"\xff\x00"]}
    assert rest.predict_rows(Spec("half"), [1.0, 2.0]) == [2.5, 3.0]
    assert rest.predict_rows(Spec("many", signature="two"), [{"a": 1.5, "b": 2}]) == [{"sum": 3.5, "b": 2}]


def test_classify_and_regress_over_rest(rest: RestClient) -> None:
    assert rest.classify(Spec("many", signature="classes"), [{"x": 3}]) == [[("low", -3.0), ("high", 3.0)]]
    assert rest.regress(Spec("half", signature="regress_x_to_y"), [{"x": 2.0}]) == [3.0]


def test_predict_over_grpc(rpc: GrpcClient) -> None:
    answer = rpc.predict(Spec("half"), {"x": np.array([1.0, 2.0], np.float32)})
    assert answer.version == 1 and answer.outputs["y"].tolist() == [2.5, 3.0]
    asked = {"a": np.array([1.5], np.float32), "b": np.array([2], np.int64)}
    assert set(rpc.predict(Spec("many", signature="two"), asked, only=["sum"]).outputs) == {"sum"}


def test_classify_and_regress_over_grpc(rpc: GrpcClient) -> None:
    assert rpc.classify(Spec("half", signature="classify_x_to_y"), [text_of({"x": [2.0]})]) == [[("", 3.0)]]
    assert rpc.regress(Spec("half", signature="regress_x_to_y"), [text_of({"x": [2.0]})]) == [3.0]


def test_states_and_versions(rest: RestClient, rpc: GrpcClient) -> None:
    assert rest.states("half") == rpc.states("half") == {1: "AVAILABLE"}
    assert rest.states("nope") == rpc.states("nope") == {}
    assert rest.version_of(Spec("many")) == 7


def test_what_the_server_refuses_is_asked_once(rest: RestClient, rpc: GrpcClient) -> None:
    with pytest.raises(Refused, match="not of expected type: float") as over_rest:
        rest.predict(Spec("half"), {"x": ["text"]})
    assert over_rest.value.code == "400"
    with pytest.raises(Refused, match='Serving signature key "nope" not found') as over_grpc:
        rpc.predict(Spec("half", signature="nope"), {"x": np.array([1.0], np.float32)})
    assert over_grpc.value.code == "FAILED_PRECONDITION"
    with pytest.raises(Refused, match="Unrecognized servable version label: canary"):
        rest.predict(Spec("half", label="canary"), {"x": [1.0]})


def test_a_spec_is_for_one_version(rest: RestClient) -> None:
    with pytest.raises(ValueError, match="version 1 and label 'stable'"):
        Spec("half", version=1, label="stable")
    with pytest.raises(ValueError, match="http://127.0.0.1:8501"):
        RestClient("127.0.0.1:8501")


def answers(*texts: bytes) -> tuple[str, threading.Thread]:
    """A server of HTTP that says these things, one for each connection; an empty one closes it."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listening:
            for text in texts:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(text)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return f"127.0.0.1:{listening.getsockname()[1]}", thread


def said(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


BUSY, WELL = said("503 Busy", '{"error": "too much to do"}'), said("200 OK", '{"predictions": [2.5]}')


def test_a_busy_or_silent_server_is_asked_again() -> None:
    address, thread = answers(BUSY, b"", WELL)
    assert RestClient(f"http://{address}", QUICK).predict_rows(Spec("half"), [1.0]) == [2.5]
    thread.join()


def test_a_server_that_stays_busy() -> None:
    address, thread = answers(BUSY, BUSY, BUSY)
    with pytest.raises(Unreachable, match="too much to do.*asked 3 times"):
        RestClient(f"http://{address}", QUICK).predict_rows(Spec("half"), [1.0])
    thread.join()


def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(Unreachable, match="waybill serve"):
        RestClient(f"http://127.0.0.1:{port}", QUICK).states("half")
    with GrpcClient(f"127.0.0.1:{port}", QUICK) as client, pytest.raises(Unreachable, match="waybill serve"):
        client.states("half")


def test_the_deadline_is_for_all_tries() -> None:
    silent = Patience(seconds=0.2, tries=50, pause=0.01)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(TooLate):
            RestClient(f"http://{address}", silent).states("half")
        with GrpcClient(address, silent) as client, pytest.raises((TooLate, Unreachable)):
            client.states("half")


def test_something_else_than_a_model_server() -> None:
    address, thread = answers(said("200 OK", "<html>"))
    with pytest.raises(ClientError, match="is it a model server"):
        RestClient(f"http://{address}", QUICK).states("half")
    thread.join()


@pytest.mark.parametrize(
    ("script", "shows"),
    [("ask_raw", "score 0."), ("ask_serving_default", "from version 20131001000001"), ("ask_transform_features", "fare_xf")],
)
def test_the_scripts_of_the_documents(target: Target, script: str, shows: str) -> None:
    address = ["--rest", target.rest] if script == "ask_raw" else ["--grpc", target.grpc_address]
    words = [sys.executable, str(PROJECT / "docs" / "examples" / f"{script}.py"), *address]
    ended = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert shows in ended.stdout


def test_there_is_a_script_for_each_signature_of_the_taxi_model(rest: RestClient) -> None:
    there = {path.stem.removeprefix("ask_") for path in (PROJECT / "docs" / "examples").glob("ask_*.py")}
    assert there == {name for name in rest.signatures(Spec("taxi")) if not name.startswith("__")}
