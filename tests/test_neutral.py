"""The machinery serves any pipeline: no pipeline's name, column or label occurs in it."""

from __future__ import annotations

import ast
import importlib
import pathlib
import re

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.landed_rows import SPAN
from waybill.cli import load
from waybill.records.settings import PROJECT

MACHINERY = [path for folder in ("waybill", "components") for path in sorted((PROJECT / folder).rglob("*")) if path.is_file()]
OURS = ("digits", "taxi")  # of another pipeline, whose columns bear words of every day, nothing can be said
SOURCES = [path for path in MACHINERY if "__pycache__" not in path.parts]


def words_of(pipeline: str) -> set[str]:
    """Names of a pipeline: its own, those of its columns, and that of its label."""
    schema = schema_pb2.Schema()
    text_format.Parse((PROJECT / load.settings_of(pipeline).schema).read_text(), schema)
    policy = importlib.import_module(f"pipelines.{pipeline}.policy")
    return {pipeline, policy.LABEL, *(feature.name for feature in schema.feature)} - {SPAN}


def found(path: pathlib.Path, words: set[str]) -> list[str]:
    """Where a file has one of the words, by itself or as a part of a name with hyphens or dots."""
    either = re.compile(rf"(?<![a-z0-9_])({'|'.join(map(re.escape, sorted(words)))})(?![a-z0-9_])", re.IGNORECASE)
    lines = path.read_text(encoding="utf-8").splitlines()
    return [f"{path.relative_to(PROJECT)}:{number}: {line.strip()}" for number, line in enumerate(lines, start=1) if either.search(line)]


@pytest.mark.parametrize("pipeline", OURS)
def test_no_name_of_a_pipeline_occurs_in_the_machinery(pipeline: str) -> None:
    words = words_of(pipeline)
    assert len(words) > 4, "a schema was not read"
    assert [place for path in SOURCES for place in found(path, words)] == []


@pytest.mark.parametrize("pipeline", OURS)
def test_no_output_of_a_model_is_named_in_the_machinery(pipeline: str) -> None:
    output = importlib.import_module(f"pipelines.{pipeline}.policy").PREDICTION
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES if path.suffix == ".py"]
    assert not [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value == output]


def test_a_name_that_occurs_is_found() -> None:
    path = PROJECT / "pipelines/taxi/settings.py"
    assert any("schemas/taxi.pbtxt" in place for place in found(path, {"taxi"}))
    assert found(path, {"taxis"}) == []


def test_what_the_demo_shows_ends_on_one_day_and_begins_with_each_pipelines_first_interval() -> None:
    from pipelines.demo import STORIES
    from waybill.launch.window import interval_from, window
    from waybill.records.interval import parse_moment

    assert {story.pipeline for story in STORIES} == set(OURS)
    ends = set()
    for story in STORIES:
        settings = load.settings_of(story.pipeline)
        last = interval_from(settings, parse_moment(story.intervals[-1]))
        ends.add(last.end)
        assert [i.start for i in window(settings, last, len(story.intervals))] == [parse_moment(start) for start in story.intervals]
        assert story.intervals[0] == settings.start
        assert story.again in ("", *story.intervals)
    assert len(ends) == 1
