"""The files for TensorFlow Serving: each text is of the message that it is read as, and says what the project says elsewhere."""

from __future__ import annotations

import itertools
import pathlib
import re
import subprocess

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from tensorflow_serving.config import model_server_config_pb2

from waybill.serving import models_config
from waybill.serving.models_config import Entry

FOLDER = pathlib.Path(__file__).parents[1] / "deploy" / "tensorflow-serving"
OPTIONAL, REPEATED = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL, descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
KINDS = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
}
INT64, TEXT, TRUTH = (f".google.protobuf.{name}Value" for name in ("Int64", "String", "Bool"))
# Two messages that the package `tensorflow-serving-api` does not carry: name, number and type of their fields.
MESSAGES = {
    "BatchingParameters": [
        ("max_batch_size", 1, INT64), ("batch_timeout_micros", 2, INT64), ("max_enqueued_batches", 3, INT64),
        ("num_batch_threads", 4, INT64), ("thread_pool_name", 5, TEXT), ("allowed_batch_sizes", 6, "int64*"),
        ("pad_variable_length_inputs", 7, "bool"),
        ("enable_large_batch_splitting", 8, TRUTH), ("max_execution_batch_size", 9, INT64),
    ],
    "PrometheusConfig": [("enable", 1, "bool"), ("path", 2, "string")],
    "MonitoringConfig": [("prometheus_config", 1, ".serving.PrometheusConfig")],
}  # fmt: skip
# Flags of TensorFlow Serving 2.18 and later that the script may use.
FLAGS = {
    "port", "grpc_socket_path", "rest_api_port", "rest_api_num_threads", "rest_api_timeout_in_ms", "rest_api_enable_cors_support",
    "enable_batching", "allow_version_labels_for_unavailable_models", "batching_parameters_file",
    "enable_per_model_batching_parameters", "model_config_file", "model_config_file_poll_wait_seconds", "num_load_threads",
    "num_unload_threads", "max_num_load_retries", "load_retry_interval_micros", "file_system_poll_wait_seconds",
    "enable_model_warmup", "monitoring_config_file", "enable_profiler",
}  # fmt: skip


@pytest.fixture(scope="module")
def messages() -> dict[str, type]:
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="serving", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            made = message.field.add(name=field, number=number, label=REPEATED if kind.endswith("*") else OPTIONAL)
            if kind.startswith("."):
                made.type, made.type_name = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, kind
            else:
                made.type = KINDS[kind.rstrip("*")]
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"serving.{name}")) for name in MESSAGES}


def test_models_config_is_what_a_promotion_writes() -> None:
    text = (FOLDER / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    [one] = config.model_config_list.config
    entry = Entry(tuple(one.model_version_policy.specific.versions), dict(one.version_labels))
    assert entry.labels["stable"] == max(entry.versions)
    assert text == models_config.text(pathlib.Path(one.base_path).parent, {one.name: entry})


def test_batching_parameters(messages: dict[str, type]) -> None:
    batching = text_format.Parse((FOLDER / "batching.config").read_text(), messages["BatchingParameters"]())
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(sizes) and sizes[-1] == batching.max_batch_size.value, "TensorFlow Serving does not start otherwise"
    lines = (FOLDER / "batching.config").read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if line and not line.startswith("#"):
            assert before.startswith("#") or before.split(":")[0] == line.split(":")[0], f"{line} has no explanation"


def test_the_page_for_prometheus_is_where_the_embedded_server_has_it(messages: dict[str, type]) -> None:
    from waybill.server.metrics import PATH

    monitoring = text_format.Parse((FOLDER / "monitoring.config").read_text(), messages["MonitoringConfig"]())
    assert monitoring.prometheus_config.enable and monitoring.prometheus_config.path == PATH


def test_the_script_starts_the_server_with_flags_that_it_has(tmp_path: pathlib.Path) -> None:
    stand_in = tmp_path / "tensorflow_model_server"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "TENSORFLOW_MODEL_SERVER": str(stand_in), "SERVING": "/srv/of mine"}
    ended = subprocess.run([str(FOLDER / "serve.sh")], env=environment, capture_output=True, text=True, check=True)
    found = dict(line.removeprefix("--").split("=", 1) for line in ended.stdout.splitlines())
    assert set(found) <= FLAGS
    assert found["model_config_file"] == "/srv/of mine/models.config"
    assert found["allow_version_labels_for_unavailable_models"] == "true" and found["enable_profiler"] == "false"
    assert int(found["num_load_threads"]) >= 2
    for name in ("batching_parameters_file", "monitoring_config_file"):
        assert pathlib.Path(found[name]).is_file()


def test_every_file_is_explained() -> None:
    named = set(re.findall(r"^\| `([^`]+)` \|", (FOLDER / "README.md").read_text(), re.MULTILINE))
    assert named == {path.name for path in FOLDER.iterdir()} - {"README.md"}
