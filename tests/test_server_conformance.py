"""The protocol of TensorFlow Serving, row by row: what real clients send and what they get.

Each row runs against `waybill serve`, or against a TensorFlow Serving that runs already: see `serving_target`. What is left out, and why,
is in docs/answering.md.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from conformance_rows import ANSWERED, HALF, ODD, REFUSED, VALID, Row
from google.protobuf import text_format
from serving_models import save_half, save_many
from serving_target import OURS, Target, alike, apart, served
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)
from tensorflow_serving.config import model_server_config_pb2


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server with the models that most rows ask."""
    if not OURS:
        found = Target(os.environ["SERVING_REST"], os.environ["SERVING_GRPC"], pathlib.Path(os.environ["SERVING_MODELS"]) / "conformance")
        shutil.rmtree(found.models, ignore_errors=True)
        prepare(found)
        yield found
        found.kept.close()
        found.channel.close()
        return
    models = tmp_path_factory.mktemp("models")
    empty = models / "models.config"
    empty.write_text("model_config_list {}")
    with apart(
        models, "--models-config", str(empty), "--poll-seconds", "0.2", "--load-retries", "1", "--load-retry-seconds", "0.2"
    ) as found:
        prepare(found)
        yield found
        found.kept.close()


def prepare(target: Target) -> None:
    save_half(target.models / "half" / "123")
    save_half(target.models / "third" / "123", 3.0)
    save_many(target.models / "many" / "1")
    target.reload(base_config(target))
    for model, version in (("half", 123), ("third", 123), ("many", 1), (ODD, 123)):
        target.answering(model, version)
    target.reload(labelled_config(target))


def base_config(target: Target) -> model_server_config_pb2.ModelServerConfig:
    config = model_server_config_pb2.ModelServerConfig()
    for name, folder in (("half", "half"), ("third", "third"), ("many", "many"), (ODD, "half")):
        config.model_config_list.config.add(name=name, base_path=str(target.models / folder), model_platform="tensorflow")
    return config


def labelled_config(target: Target) -> model_server_config_pb2.ModelServerConfig:
    config = base_config(target)
    for one in config.model_config_list.config:
        if one.name in ("half", ODD):
            one.version_labels["Version_Label" if one.name == "half" else ODD] = 123
    return config


@pytest.mark.parametrize("kept", [False, True], ids=["fresh", "kept"])
@pytest.mark.parametrize("row", ANSWERED, ids=lambda row: row.about)
def test_rest_answers(target: Target, row: Row, kept: bool) -> None:
    status, kind, body = target.ask(row.method, row.path, row.body, kept=kept)
    assert (status, kind) == (row.status, "application/json"), body
    assert alike(json.loads(body), row.wanted), body


@pytest.mark.parametrize("kept", [False, True], ids=["fresh", "kept"])
@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.about)
def test_rest_refuses(target: Target, row: Row, kept: bool) -> None:
    status, kind, body = target.ask(row.method, row.path, row.body, kept=kept)
    assert (status, kind) == (row.status, "application/json"), body
    assert row.wanted in json.loads(body)["error"]


def test_rest_signatures(target: Target) -> None:
    status, _, body = target.ask("GET", f"{HALF}/metadata")
    assert status == 200
    said = json.loads(body)
    assert said["model_spec"] == {"name": "half", "signature_name": "", "version": "123"}
    signature = said["metadata"]["signature_def"]["signature_def"]["regress_x_to_y"]
    assert signature["method_name"] == "tensorflow/serving/predict" and signature["defaults"] == {}
    assert signature["inputs"]["inputs"]["dtype"] == "DT_STRING"
    assert signature["outputs"]["outputs"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}, {"size": "1", "name": ""}]


def test_rest_a_version_beyond_64_bits_has_an_empty_answer(target: Target) -> None:
    for version in ("18446744073709551615", "9" * 5000):
        assert target.ask("POST", f"{HALF}/versions/{version}:regress", VALID)[::2] == (400, b"")


def test_rest_options(target: Target) -> None:
    assert target.ask("OPTIONS", HALF, Origin="http://a")[::2] == (200, b"")
    assert target.ask("OPTIONS", HALF)[::2] == (400, b"")


def test_rest_head(target: Target) -> None:
    assert target.ask("HEAD", HALF)[::2] == (400, b"")


@pytest.mark.parametrize("path", ["/statuspage", "/index", "/v2/models/half"])
def test_rest_other_paths_are_not_the_apis(target: Target, path: str) -> None:
    status, kind, _ = target.ask("GET", path)
    assert status == 404 and kind != "application/json"


def test_rest_takes_a_packed_body(target: Target) -> None:
    import gzip

    body = gzip.compress(json.dumps(VALID).encode())
    status, _, found = target.ask("POST", f"{HALF}:predict", body, **{"Content-Encoding": "gzip"})
    assert status == 200 and json.loads(found) == {"predictions": [2.5]}


def test_the_page_for_prometheus(target: Target) -> None:
    target.ask("POST", f"{HALF}:predict", VALID)
    status, kind, body = target.ask("GET", "/monitoring/prometheus/metrics")
    lines = body.decode().splitlines()
    assert (status, kind) == (200, "text/plain")
    assert "# TYPE :tensorflow:serving:request_count counter" in lines
    assert "# TYPE :tensorflow:serving:request_latency histogram" in lines
    assert any(line.startswith(':tensorflow:serving:request_count{model_name="half",status="OK"} ') for line in lines)
    assert any(
        line.startswith(':tensorflow:serving:request_latency_bucket{model_name="half",API="predict",entrypoint="REST",le="10"} ')
        for line in lines
    )
    counted = [line for line in lines if line.startswith(':tensorflow:serving:request_latency_count{model_name="half",API="predict"')]
    assert len(counted) == 1 and int(counted[0].rpartition(" ")[2]) >= 1
    infinite = [line for line in lines if 'API="predict",entrypoint="REST",le="+Inf"' in line and 'model_name="half"' in line]
    assert infinite[0].rpartition(" ")[2] == counted[0].rpartition(" ")[2]


def test_the_page_for_prometheus_with_a_query_is_refused(target: Target) -> None:
    status, kind, body = target.ask("GET", "/monitoring/prometheus/metrics?x=1")
    assert (status, kind) == (400, "text/plain") and b"Unexpected path" in body


def predict_request(model: str = "half", values: tuple[float, ...] = (2.0,), **spec: Any) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    for name, value in spec.items():
        if name == "version":
            request.model_spec.version.value = value
        else:
            setattr(request.model_spec, name, value)
    fill(request.inputs["x"], values)
    return request


def fill(proto: Any, values: tuple[float, ...]) -> None:
    proto.dtype = 1
    proto.tensor_shape.dim.add().size = len(values)
    proto.float_val.extend(values)


def refusal(call: Any, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=60)
    return caught.value.code().name, caught.value.details()


def test_grpc_predict_says_what_answered(target: Target) -> None:
    response = target.prediction.Predict(predict_request(), timeout=60)
    assert list(response.outputs) == ["y"]
    assert response.outputs["y"].dtype == 1 and list(response.outputs["y"].float_val) == [3.0]
    spec = response.model_spec
    assert (spec.name, spec.signature_name, spec.version.value) == ("half", "serving_default", 123)


@pytest.mark.parametrize("spec", [{"version": 123}, {"version_label": "Version_Label"}, {"signature_name": "serving_default"}], ids=str)
def test_grpc_predict_by(target: Target, spec: dict[str, Any]) -> None:
    response = target.prediction.Predict(predict_request(**spec), timeout=60)
    assert list(response.outputs["y"].float_val) == [3.0] and response.model_spec.version.value == 123


def test_grpc_predict_takes_packed_values_and_fewer_values_than_the_shape(target: Target) -> None:
    import numpy as np

    request = predict_request()
    request.inputs["x"].ClearField("float_val")
    request.inputs["x"].tensor_content = np.array([4.0], np.float32).tobytes()
    assert list(target.prediction.Predict(request, timeout=60).outputs["y"].float_val) == [4.0]
    request.inputs["x"].ClearField("tensor_content")
    request.inputs["x"].tensor_shape.dim[0].size = 3
    request.inputs["x"].float_val.extend([0.0, 4.0])
    assert list(target.prediction.Predict(request, timeout=60).outputs["y"].float_val) == [2.0, 4.0, 4.0]


def test_grpc_predict_with_a_filter(target: Target) -> None:
    request = predict_pb2.PredictRequest(output_filter=["sum"])
    request.model_spec.name, request.model_spec.signature_name = "many", "two"
    fill(request.inputs["a"], (1.0,))
    request.inputs["b"].dtype = 9
    request.inputs["b"].tensor_shape.dim.add().size = 1
    request.inputs["b"].int64_val.append(2)
    assert list(target.prediction.Predict(request, timeout=60).outputs) == ["sum"]
    request.output_filter.append("sum")
    assert refusal(target.prediction.Predict, request) == ("INVALID_ARGUMENT", "duplicate output tensor alias: sum")
    request.output_filter[1] = "nope"
    code, says = refusal(target.prediction.Predict, request)
    assert code == "INVALID_ARGUMENT" and "output tensor alias not found in signature: nope" in says


def test_grpc_texts_go_both_ways(target: Target) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "many", "packed"
    request.inputs["text"].dtype = 7
    request.inputs["text"].tensor_shape.dim.add().size = 2
    texts = [b"\x00\xff", b"a text that is longer than what fits into a small string"]
    request.inputs["text"].string_val.extend(texts)
    assert list(target.prediction.Predict(request, timeout=60).outputs["said_bytes"].string_val) == texts


def test_grpc_predict_refuses_other_inputs(target: Target) -> None:
    request = predict_request()
    fill(request.inputs["z"], (1.0,))
    code, says = refusal(target.prediction.Predict, request)
    assert code == "INVALID_ARGUMENT" and "input size does not match signature: 2!=1" in says and "Sent extra: {z}" in says
    request = predict_request(signature_name="two", model="many")
    code, says = refusal(target.prediction.Predict, request)
    assert code == "INVALID_ARGUMENT" and "Missing but required: {a,b}" in says


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        (predict_request(signature_name="x"), "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (predict_request(model=""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (predict_request(model="nope"), "NOT_FOUND", "Servable not found for request: Latest(nope)"),
        (predict_request(version=9), "NOT_FOUND", "Servable not found for request: Specific(half, 9)"),
        (predict_request(version_label="nope"), "INVALID_ARGUMENT", "Unrecognized servable version label: nope"),
    ],
    ids=["signature", "no spec", "no name", "model", "version", "label"],
)
def test_grpc_predict_refuses(target: Target, request_: Any, code: str, says: str) -> None:
    assert refusal(target.prediction.Predict, request_) == (code, says)


def test_grpc_refuses_a_tensor_that_is_none(target: Target) -> None:
    request = predict_request()
    request.inputs["x"].float_val.extend([1.0, 2.0])
    assert refusal(target.prediction.Predict, request) == ("INVALID_ARGUMENT", "tensor parsing error: x")


def test_grpc_cuts_a_long_error(target: Target) -> None:
    request = predict_request()
    request.output_filter.append("n" * 3000)
    _, says = refusal(target.prediction.Predict, request)
    assert says.endswith("...TRUNCATED") and len(says) == 1024 + len("...TRUNCATED")


def about_examples(request: Any, signature: str, x: float) -> Any:
    request.model_spec.name, request.model_spec.signature_name = "half", signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(x)
    return request


def test_grpc_classify_and_regress(target: Target) -> None:
    classified = target.prediction.Classify(about_examples(classification_pb2.ClassificationRequest(), "classify_x_to_y", 2.0), timeout=60)
    assert classified.result.classifications[0].classes[0].score == 3.0
    regressed = target.prediction.Regress(about_examples(regression_pb2.RegressionRequest(), "regress_x_to_y", 2.0), timeout=60)
    assert regressed.result.regressions[0].value == 3.0
    assert (regressed.model_spec.name, regressed.model_spec.signature_name, regressed.model_spec.version.value) == (
        "half",
        "regress_x_to_y",
        123,
    )


def test_grpc_regress_without_examples(target: Target) -> None:
    request = regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "half", "regress_x_to_y"
    assert refusal(target.prediction.Regress, request) == ("INVALID_ARGUMENT", "Input is empty.")


def multi_inference(*tasks: tuple[str, str, str]) -> inference_pb2.MultiInferenceRequest:
    request = inference_pb2.MultiInferenceRequest()
    for model, signature, method in tasks:
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = model, signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(2.0)
    return request


def test_grpc_multi_inference(target: Target) -> None:
    request = multi_inference(("half", "regress_x_to_y", "regress"), ("half", "classify_x_to_y", "classify"))
    one, other = target.prediction.MultiInference(request, timeout=60).results
    assert one.regression_result.regressions[0].value == 3.0
    assert other.classification_result.classifications[0].classes[0].score == 3.0
    request = multi_inference(("half", "regress_x_to_y", "regress"), ("third", "classify_x_to_y", "classify"))
    code, says = refusal(target.prediction.MultiInference, request)
    assert code == "INVALID_ARGUMENT" and "must access the same model name" in says
    request = multi_inference(("half", "regress_x_to_y", "regress"), ("half", "regress_x_to_y", "regress"))
    assert "Duplicate evaluation of signature: regress_x_to_y" in refusal(target.prediction.MultiInference, request)[1]


def test_grpc_status(target: Target) -> None:
    assert target.states("half") == {123: "AVAILABLE"}
    request = get_model_status_pb2.GetModelStatusRequest()
    assert refusal(target.service.GetModelStatus, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")
    request.model_spec.name = "nope"
    assert refusal(target.service.GetModelStatus, request) == ("NOT_FOUND", "Could not find any versions of model nope")
    request.model_spec.name, request.model_spec.version.value = "half", 9
    assert refusal(target.service.GetModelStatus, request) == ("NOT_FOUND", "Could not find version 9 of model half")


def test_grpc_signatures(target: Target) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "half"
    response = target.prediction.GetModelMetadata(request, timeout=60)
    found = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(found)
    assert response.model_spec.version.value == 123 and len(response.metadata) == 1
    assert {"serving_default", "regress_x_to_y", "classify_x_to_y"} <= set(found.signature_def)
    request.metadata_field[:] = []
    assert refusal(target.prediction.GetModelMetadata, request) == (
        "INVALID_ARGUMENT",
        "GetModelMetadataRequest must specify at least one metadata_field",
    )
    request.metadata_field[:] = ["other"]
    assert refusal(target.prediction.GetModelMetadata, request) == ("INVALID_ARGUMENT", "Metadata field other is not supported")
    request.metadata_field[:] = ["signature_def"]
    request.ClearField("model_spec")
    assert refusal(target.prediction.GetModelMetadata, request) == ("INVALID_ARGUMENT", "Missing ModelSpec")


# What follows brings models of its own, beside those that the rows above ask.


class Mine:
    """A model of one test, its base path empty at first."""

    def __init__(self, target: Target, name: str):
        self.target, self.name, self.base = target, name, target.models / name
        self.base.mkdir()

    def config(self, policy: str = "", labels: dict[str, int] | None = None) -> model_server_config_pb2.ModelServerConfig:
        config = labelled_config(self.target)
        one = config.model_config_list.config.add(name=self.name, base_path=str(self.base), model_platform="tensorflow")
        text_format.Parse(policy, one.model_version_policy)
        one.version_labels.update(labels or {})
        return config

    def reload(self, policy: str = "", labels: dict[str, int] | None = None) -> None:
        self.target.reload(self.config(policy, labels))

    def put(self, *versions: int | str, b: float = 2.0) -> None:
        """Versions appear as a publisher has them appear: whole, by a rename."""
        for version in versions:
            save_half(self.base / f".staging-{version}", b).rename(self.base / str(version))

    def answer(self, where: str = "") -> Any:
        """What it says of 1.0."""
        return json.loads(self.target.ask("POST", f"/v1/models/{self.name}{where}:predict", VALID)[2])

    def error(self, version: int) -> dict[str, str]:
        """The error of a version."""
        found = json.loads(self.target.ask("GET", f"/v1/models/{self.name}/versions/{version}")[2])
        return dict(found["model_version_status"][0]["status"])

    def until(self, wanted: Any) -> dict[int, str]:
        return self.target.until(self.name, wanted)

    def answering(self, *versions: int) -> dict[int, str]:
        return self.target.answering(self.name, *versions)


OLD, NEW = {"predictions": [2.5]}, {"predictions": [3.5]}  # what versions put with b=2 and b=3 say


@pytest.fixture
def mine(target: Target, request: pytest.FixtureRequest) -> Iterator[Mine]:
    """A model of one test; afterwards the server is as before."""
    made = Mine(target, "".join(letter for letter in request.node.name if letter.isalnum()))
    yield made
    target.reload(labelled_config(target))
    made.until(lambda states: set(states.values()) <= {"END"})


@pytest.mark.parametrize(
    ("there", "policy", "answering"),
    [
        ((42, 17), "", [42]),
        ((42, 17), "latest {}", [42]),
        ((42, 17), "all {}", [17, 42]),
        ((42, 33, 30, 21), "latest { num_versions: 3 }", [30, 33, 42]),
        ((42, 17, 30), "specific { versions: 17 versions: 30 }", [17, 30]),
        (("00017", 30), "specific { versions: 17 }", [17]),
        ((20170111173521, 3), "", [20170111173521]),
    ],
    ids=["default", "latest", "all", "three latest", "specific", "leading zeros", "64 bits"],
)
def test_which_versions_are_loaded(mine: Mine, there: tuple[Any, ...], policy: str, answering: list[int]) -> None:
    mine.put(*there)
    (mine.base / "non_numerical_child").mkdir()
    (mine.base / "5.tmp").mkdir()
    mine.reload(policy)
    assert set(mine.answering(*answering)) == set(answering)


@pytest.mark.skipif(not OURS, reason="needs a server that is started with a base path that is not there")
def test_a_base_path_that_comes_later(tmp_path: pathlib.Path) -> None:
    with served(tmp_path, "--model", f"late={tmp_path / 'base'}", "--poll-seconds", "0.1") as late:
        assert late.states("late") == {}
        save_half(tmp_path / "part" / "3")
        (tmp_path / "part").rename(tmp_path / "base")
        late.answering("late", 3)
        late.kept.close()


def test_a_model_that_leaves_the_configuration_is_unloaded_and_the_others_stay(target: Target, mine: Mine) -> None:
    mine.put(1)
    mine.reload()
    mine.answering(1)
    target.reload(labelled_config(target))
    mine.until(lambda states: states == {1: "END"})
    assert target.states("half") == {123: "AVAILABLE"}
    assert target.ask("POST", f"/v1/models/{mine.name}:predict", VALID)[0] == 404


def test_another_policy_for_a_served_model(mine: Mine) -> None:
    mine.put("02", 5, 6)
    mine.reload("latest { num_versions: 2 }")
    mine.answering(5, 6)
    mine.reload("specific { versions: 2 versions: 5 }")
    mine.answering(2, 5)


def test_a_new_version_takes_over_and_the_old_one_ends(mine: Mine) -> None:
    mine.put(1)
    mine.reload()
    mine.put(2, b=3.0)
    assert mine.answering(2) == {1: "END", 2: "AVAILABLE"}
    assert mine.answer() == NEW


def test_a_new_version_that_fails_leaves_the_old_one_answering(mine: Mine) -> None:
    mine.put(1)
    mine.reload()
    (mine.base / "2").mkdir()
    assert mine.until(lambda states: states.get(2) == "END") == {1: "AVAILABLE", 2: "END"}
    error = mine.error(2)
    assert error["error_code"] == "NOT_FOUND" and "Could not find SavedModel .pb or .pbtxt" in error["error_message"]
    assert mine.answer() == OLD


def test_a_damaged_version_fails_with_the_loaders_words(mine: Mine) -> None:
    mine.put(1)
    mine.reload()
    staged = save_half(mine.base / "staging")
    data = staged / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    staged.rename(mine.base / "2")
    assert mine.until(lambda states: states.get(2) == "END") == {1: "AVAILABLE", 2: "END"}
    error = mine.error(2)
    assert error["error_code"] == "DATA_LOSS" and "Checksum does not match" in error["error_message"]


def test_a_version_that_failed_is_not_tried_again_until_it_was_gone(mine: Mine) -> None:
    mine.put(1)
    mine.reload("latest { num_versions: 2 }")
    (mine.base / "2").mkdir()
    mine.until(lambda states: states.get(2) == "END")
    for part in save_half(mine.base / "whole").iterdir():
        part.rename(mine.base / "2" / part.name)
    mine.put(3)
    assert mine.until(lambda states: states.get(3) == "AVAILABLE")[2] == "END"
    (mine.base / "2").rename(mine.base / "aside")
    mine.answering(1, 3)  # the server has looked while it was gone
    (mine.base / "3").rename(mine.base / "also-aside")
    (mine.base / "aside").rename(mine.base / "2")
    mine.answering(1, 2)


def test_a_lower_number_is_not_loaded(mine: Mine) -> None:
    mine.put(5)
    mine.reload()
    mine.put(4)
    mine.put(6)
    assert mine.answering(6) == {5: "END", 6: "AVAILABLE"}


def test_taking_the_highest_version_away_brings_the_one_below_it_back(mine: Mine) -> None:
    mine.put(1)
    mine.put(2, b=3.0)
    mine.reload()
    mine.answering(2)
    (mine.base / "2").rename(mine.base / ".trash")
    assert mine.answering(1) == {1: "AVAILABLE", 2: "END"}
    assert mine.answer() == OLD


def test_labels_move_in_two_steps(mine: Mine) -> None:
    mine.put(1)
    mine.put(2, b=3.0)
    mine.reload("specific { versions: 1 }")
    mine.answering(1)
    mine.reload("specific { versions: 1 }", {"stable": 1})
    assert mine.answer("/labels/stable") == OLD
    with pytest.raises(grpc.RpcError) as caught:
        mine.reload("specific { versions: 1 versions: 2 }", {"stable": 2})
    says = f"Request to assign label to version 2 of model {mine.name}, which is not currently available for inference"
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION and says in caught.value.details()
    assert mine.target.states(mine.name) == {1: "AVAILABLE"}, "what a refused configuration adds is not loaded"
    mine.reload("specific { versions: 1 versions: 2 }", {"stable": 1})
    mine.answering(1, 2)
    mine.reload("specific { versions: 1 versions: 2 }", {"stable": 2})
    assert mine.answer("/labels/stable") == NEW


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (lambda one: setattr(one, "name", "half"), "INVALID_ARGUMENT", "Illegal to list model half multiple times in config list"),
        (lambda one: setattr(one, "base_path", "relative"), "INVALID_ARGUMENT", "to have an absolute path or URI"),
        (lambda one: setattr(one, "model_type", 1), "INVALID_ARGUMENT", "Illegal setting both"),
        (lambda one: setattr(one, "model_platform", ""), "INVALID_ARGUMENT", "Illegal setting neither"),
    ],
    ids=["twice", "relative", "both", "neither"],
)
def test_a_configuration_is_refused(mine: Mine, change: Any, code: str, says: str) -> None:
    config = mine.config()
    change(config.model_config_list.config[-1])
    with pytest.raises(grpc.RpcError) as caught:
        mine.target.reload(config)
    assert caught.value.code().name == code and says in caught.value.details()
    assert mine.target.states("half") == {123: "AVAILABLE"}


def test_an_empty_reload_is_refused(target: Target) -> None:
    code, says = refusal(target.service.HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest())
    assert code == "INVALID_ARGUMENT" and "Only ModelConfigList is currently supported" in says


def warm_up(version: pathlib.Path, *records: bytes) -> None:
    import tensorflow as tf

    (version / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(version / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        for record in records:
            writer.write(record)


def log_of(request: predict_pb2.PredictRequest) -> bytes:
    from tensorflow_serving.apis import prediction_log_pb2

    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request)).SerializeToString()


@pytest.mark.parametrize(
    ("records", "loads"),
    [
        ([log_of(predict_request())] * 3, True),
        ([b"\xff\xff"], False),
        ([log_of(predict_request())] * 1001, False),
        ([log_of(predict_request(signature_name="x"))], False),
    ],
    ids=["valid", "unreadable", "1001", "failing"],
)
def test_warm_up_requests(mine: Mine, records: list[bytes], loads: bool) -> None:
    mine.put(1)
    mine.reload()
    warm_up(save_half(mine.base / "staging", 3.0), *records)
    (mine.base / "staging").rename(mine.base / "2")
    if loads:
        mine.answering(2)
    else:
        assert mine.until(lambda states: states.get(2) == "END") == {1: "AVAILABLE", 2: "END"}
