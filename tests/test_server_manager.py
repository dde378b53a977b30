"""Loads that fail at first, and labels that come before their version: what needs a server started with other options than most tests."""

from __future__ import annotations

import pathlib

import grpc
import pytest
from google.protobuf import text_format
from serving_models import save_half
from serving_target import Target, served
from tensorflow_serving.config import model_server_config_pb2

from waybill.server.errors import RequestError
from waybill.server.manager import AVAILABLE, END, Manager, Retries, State


class Loads:
    """A load that fails so many times."""

    def __init__(self, failures: int):
        self.left, self.tries = failures, 0

    def __call__(self, model: str, version: int, path: pathlib.Path) -> Loads:
        self.tries += 1
        if self.tries <= self.left:
            raise RequestError("UNKNOWN", f"the disk is slow, {self.tries}")
        return self

    def close(self) -> None:
        """Nothing to free."""


def settled(failures: int, tries_more: int) -> tuple[State, Loads]:
    load = Loads(failures)
    manager = Manager(load, Retries(tries_more, 0.01), 1, lambda line: None)
    manager.aspire("half", {1: pathlib.Path("1")})
    assert manager.wait(lambda: manager.states("half")[1].state in (AVAILABLE, END), 30)
    found = manager.states("half")[1]
    manager.close()
    return found, load


def test_a_load_that_fails_first_and_then_succeeds_answers() -> None:
    found, load = settled(failures=2, tries_more=2)
    assert (found, load.tries) == (State(AVAILABLE), 3)


def test_when_all_tries_fail_the_last_error_is_told() -> None:
    found, load = settled(failures=3, tries_more=2)
    assert found.state == END and found.error is not None and found.error.message == "the disk is slow, 3"
    assert load.tries == 3


def labelled(base: pathlib.Path, **labels: int) -> model_server_config_pb2.ModelServerConfig:
    config = model_server_config_pb2.ModelServerConfig()
    one = config.model_config_list.config.add(name="half", base_path=str(base), model_platform="tensorflow")
    text_format.Parse("specific { versions: 1 versions: 2 }", one.model_version_policy)
    one.version_labels.update(labels)
    return config


def refused(target: Target, config: model_server_config_pb2.ModelServerConfig) -> None:
    with pytest.raises(grpc.RpcError, match="not currently available for inference") as caught:
        target.reload(config)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_a_new_label_may_come_before_its_version_and_an_old_one_may_not_move_to_one(tmp_path: pathlib.Path) -> None:
    base = tmp_path / "half"
    save_half(base / "1")
    with served(tmp_path, "--model", f"half={base}", "--poll-seconds", "0.1") as target:
        target.answering("half", 1)
        target.reload(labelled(base, stable=1, canary=2))
        refused(target, labelled(base, stable=2, canary=2))
        save_half(tmp_path / "part").rename(base / "2")
        target.answering("half", 1, 2)
        assert target.ask("POST", "/v1/models/half/labels/canary:predict", {"instances": [1.0]})[0] == 200


def test_with_strict_labels_a_new_one_may_not_come_first_either(tmp_path: pathlib.Path) -> None:
    base = tmp_path / "half"
    save_half(base / "1")
    with served(tmp_path, "--model", f"half={base}", "--poll-seconds", "0.1", "--strict-labels") as target:
        target.answering("half", 1)
        refused(target, labelled(base, canary=2))
