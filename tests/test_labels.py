"""The label `stable` moves in two steps, and only when the server answers with the new version; a real server follows the real file."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
import time
from collections.abc import Iterator

import grpc
import pytest
from serving_models import save_half
from serving_target import Target, served

from waybill.cli.setup import types_of
from waybill.records import settings as places
from waybill.records.settings import Settings
from waybill.serving import labels, models_config, state
from waybill.serving.errors import LabelStays
from waybill.serving.models_config import Entry
from waybill.store import journal
from waybill.store.connection import Store
from waybill.store.initialise import initialise

OLD, NEW = 20130701000001, 20131001000001


@dataclasses.dataclass
class Served:
    """A store with decisions, base paths, and the server that follows models.config."""

    settings: Settings
    store: Store
    target: Target

    @property
    def base(self) -> pathlib.Path:
        return self.settings.serving / "half"

    def decide(self, kind: str, version: int, before: int) -> None:
        after = state.read(self.store, "half").number
        says: dict[str, str | int] = {"version": version, "stable": before, "who": "os:ada", "account": "os:ada", "why": "a test"}
        journal.append(self.store, state.subject("half"), after, kind, says)

    def hand_over(self) -> None:
        labels.hand_over(self.settings, self.store, "half")

    def says(self) -> list[float]:
        status, _, body = self.target.ask("POST", "/v1/models/half/labels/stable:predict", {"instances": [1.0]})
        assert status == 200, body
        return list(json.loads(body)["predictions"])


@pytest.fixture
def here(tmp_path: pathlib.Path) -> Iterator[Served]:
    """An installation in which the older version has been promoted, and the server answers with it."""
    home = {"WAYBILL_HOME": str(tmp_path)}
    serving = tmp_path / "serving"
    save_half(serving / "half" / str(OLD), 2.0)
    with served(serving, "--models-config", str(empty(serving)), "--poll-seconds", "0.1", "--load-retries", "0") as target:
        settings = places.load({**home, "WAYBILL_SERVER": target.rest})
        store = Store(settings.store_url)
        initialise(store, types_of([]))
        made = Served(settings, store, target)
        made.decide(state.PROMOTE, OLD, 0)
        made.hand_over()
        target.answering("half", OLD)
        yield made


def empty(serving: pathlib.Path) -> pathlib.Path:
    path = serving / models_config.NAME
    path.write_text("model_config_list {}")
    return path


def test_the_first_label_is_written_at_once(here: Served) -> None:
    assert models_config.read(here.settings.serving) == {"half": Entry((OLD,), {"stable": OLD})}
    assert here.says() == [2.5]


def test_a_promotion_moves_the_label_when_the_server_answers_with_the_new_version(here: Served) -> None:
    save_half(here.base / str(NEW), 3.0)
    here.decide(state.PROMOTE, NEW, OLD)
    here.hand_over()
    assert here.says() == [3.5], "when it returns, the server has followed"
    assert models_config.read(here.settings.serving)["half"] == Entry((OLD, NEW), {"stable": NEW})
    here.decide(state.ROLLBACK, OLD, NEW)
    here.hand_over()
    assert here.says() == [2.5]
    assert models_config.read(here.settings.serving)["half"] == Entry((OLD,), {"stable": OLD})


def test_a_version_that_the_server_does_not_load_leaves_the_label_where_it_is(here: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "SECONDS", 3.0)
    (here.base / str(NEW)).mkdir()
    here.decide(state.PROMOTE, NEW, OLD)
    with pytest.raises(LabelStays, match=f"stays at {OLD} and was to move to {NEW}: .* says END of version {NEW}") as stays:
        here.hand_over()
    assert (stays.value.old, stays.value.new) == (OLD, NEW)
    assert here.says() == [2.5]
    shutil.rmtree(here.base / str(NEW))
    time.sleep(1.0)  # the server looks ten times while it is gone
    save_half(here.base / "whole", 3.0).rename(here.base / str(NEW))
    here.hand_over()
    assert here.says() == [3.5], "asked again, it goes on"


def test_a_label_of_another_model_that_could_not_move_stays_as_well(here: Served) -> None:
    (here.base / str(NEW)).mkdir()
    here.decide(state.PROMOTE, NEW, OLD)
    (here.settings.serving / "other").mkdir()
    labels.hand_over(here.settings, here.store, "other")
    assert models_config.read(here.settings.serving)["half"].labels == {"stable": OLD}


def test_without_an_answer_from_the_server_the_label_stays(here: Served) -> None:
    save_half(here.base / str(NEW), 3.0)
    here.decide(state.PROMOTE, NEW, OLD)
    alone = dataclasses.replace(here.settings, server="http://127.0.0.1:9")
    with pytest.raises(LabelStays, match="WAYBILL_SERVER"):
        labels.hand_over(alone, here.store, "half")
    assert models_config.read(here.settings.serving)["half"].labels == {"stable": OLD}
    assert here.says() == [2.5]


def test_a_file_that_did_both_at_once_would_be_refused(here: Served) -> None:
    save_half(here.base / str(NEW), 3.0)
    both = {"half": Entry((OLD, NEW), {"stable": NEW})}
    with contextlib.suppress(grpc.RpcError):
        here.target.reload(models_config.text(here.settings.serving, both))
    assert here.says() == [2.5]
    assert set(here.target.states("half")) == {OLD}, "the reason for two steps"
