"""Beam's pipelines are built faster, and are the same ones."""

from __future__ import annotations

import collections
import pathlib
import re
import shutil
import sys
import types

import apache_beam as beam
import numpy as np
import objsize
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import trained_taxi
from apache_beam.internal import cloudpickle_pickler
from apache_beam.internal.cloudpickle import cloudpickle
from apache_beam.options import pipeline_options
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core, userstate
from tensorflow_transform import impl_helper
from tfx.components.evaluator.executor import Executor as EvaluatorExecutor
from tfx.components.statistics_gen.executor import Executor as StatisticsExecutor
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts
from tfx.utils import dependency_utils, path_utils, proto_utils

from pipelines.journey import BEAM_ARGS
from pipelines.taxi import policy
from waybill.gates import model_evidence
from waybill.launch import beam as launch_beam
from waybill.launch.beam import build_quickly
from waybill.launch.replaced import UnknownSource, replace, source_digest
from waybill.records import digest


@pytest.fixture(autouse=True)
def as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins with Beam's own functions."""
    replaced = (
        (core, "get_function_args_defaults"),
        (PipelineOptions, "view_as"),
        (userstate, "get_dofn_specs"),
        (cloudpickle, "_find_imported_submodules"),
        (cloudpickle_pickler, "dumps"),
        (cloudpickle_pickler, "loads"),
        (impl_helper, "trace_preprocessing_function"),
        (dependency_utils, "make_beam_dependency_flags"),
    )
    monkeypatch.setattr(launch_beam._STAYS, "here", False)
    monkeypatch.setattr(objsize, "default_settings", objsize.ObjSizeSettings())
    for owner, name in replaced:
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, getattr(function, "_waybill_replaces", function))


def graph() -> str:
    """A pipeline with the kinds of steps that Transform and TFDV are made of, as Beam hands it to a runner."""
    pipeline = beam.Pipeline(options=PipelineOptions(list(BEAM_ARGS)))
    rows = pipeline | beam.Create([("a", 1), ("b", 2), ("a", 3)]) | beam.Map(lambda row, by=2: (row[0], row[1] * by))
    sums = rows | "sum" >> beam.CombinePerKey(sum)
    mean = rows | beam.Values() | beam.CombineGlobally(beam.combiners.MeanCombineFn())
    both = sums | beam.ParDo(_Scale(), beam.pvalue.AsSingleton(mean)).with_outputs("big", main="small")
    (both.big, both.small) | beam.Flatten() | beam.GroupByKey() | beam.Reshuffle()
    pickled = re.compile(r'"[^"]{300,}"')  # of the same function no two are the same
    return pickled.sub('"..."', str(pipeline.to_runner_api()))


class _Scale(beam.DoFn):
    def process(self, row, mean, timestamp=beam.DoFn.TimestampParam, window=beam.DoFn.WindowParam):
        yield beam.pvalue.TaggedOutput("big", row) if row[1] > mean else row


def test_the_pipeline_that_is_built_is_the_one_that_beam_builds_by_itself() -> None:
    original = core.get_function_args_defaults
    plain = graph()

    build_quickly()

    assert core.get_function_args_defaults is not original
    assert graph() == plain
    assert graph() == plain, "also from memory"


COUNT = core.DoFn.StateParam(userstate.CombiningValueStateSpec("count", beam.coders.VarIntCoder(), sum))
LATER = core.DoFn.TimerParam(userstate.TimerSpec("later", beam.TimeDomain.WATERMARK))


class _Counts(beam.DoFn):
    def process(self, row, count=COUNT, later=LATER):
        count.add(1)
        yield row


def test_state_and_timers_are_found_in_the_same_instances_as_beam_finds_them_in() -> None:
    def instances() -> list[beam.DoFn]:
        wrapped = (lambda row: row, lambda row, count=COUNT: row, _Counts().process, _Scale().process)
        return [_Counts(), _Scale(), *(core.CallableWrapperDoFn(fn) for fn in wrapped)]

    plain = [userstate.get_dofn_specs(dofn) for dofn in instances()]

    build_quickly()

    for _ in range(2):
        assert [userstate.get_dofn_specs(dofn) for dofn in instances()] == plain
    assert ({COUNT.state_spec}, {LATER.timer_spec}) in plain
    assert (set(), set()) in plain


def test_a_pickled_function_reaches_the_same_modules_also_those_imported_since(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached() -> list[list[str]]:
        functions = (lambda: (np.linalg, np.random), lambda: beam.transforms.core, lambda: np.late, lambda: re.compile, lambda: None)
        packages = [np, beam, re, "no module", tf]
        return [[m.__name__ for m in cloudpickle._find_imported_submodules(f.__code__, packages)] for f in functions]

    plain = reached()
    assert ["numpy.linalg" in plain[0], "apache_beam.transforms.core" in plain[1], plain[2]] == [True, True, []]

    build_quickly()

    assert reached() == plain
    monkeypatch.setitem(sys.modules, "numpy.late", types.ModuleType("numpy.late"))
    assert reached()[2] == ["numpy.late"]
    monkeypatch.delitem(sys.modules, "numpy.late")
    assert reached() == plain


@pytest.mark.parametrize("use_zlib", [True, False])
@pytest.mark.parametrize("flags", [list(BEAM_ARGS), ["--runner=FlinkRunner", "--direct_running_mode=in_memory"]], ids=["here", "elsewhere"])
def test_what_is_pickled_can_be_read_where_it_goes(monkeypatch: pytest.MonkeyPatch, flags: list[str], use_zlib: bool) -> None:
    by_two = 2
    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: "/packed")
    read_elsewhere = cloudpickle_pickler.loads
    build_quickly()
    dependency_utils.make_beam_dependency_flags(flags)

    pickled = cloudpickle_pickler.dumps(lambda row: row * by_two, use_zlib=use_zlib)

    assert cloudpickle_pickler.loads(pickled, use_zlib=use_zlib)(21) == 42
    if flags == list(BEAM_ARGS) and not use_zlib:
        with pytest.raises(OSError, match="Invalid data stream"):
            read_elsewhere(pickled)  # so that a pipeline which leaves this process had better not be told that it stays
    else:
        assert read_elsewhere(pickled, use_zlib=use_zlib)(21) == 42


def test_tfx_packs_itself_for_remote_workers_and_not_for_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: "/packed")
    build_quickly()
    assert dependency_utils.make_beam_dependency_flags(list(BEAM_ARGS)) == list(BEAM_ARGS)
    remote = ["--runner=FlinkRunner"]
    assert dependency_utils.make_beam_dependency_flags(remote) == [*remote, "--extra_package=/packed"]


def test_what_is_learned_and_transformed_is_the_same(tmp_path: pathlib.Path) -> None:
    plain = trained_taxi.trained()
    build_quickly()

    graph, transformed = trained_taxi.transform(tmp_path, plain.examples, plain.root / "schema")

    assert vocabularies(pathlib.Path(graph.uri)) == vocabularies(plain.transform)
    for again, before in zip(transformed, plain.transformed, strict=True):
        (ids, numbers), (expected_ids, expected_numbers) = columns(again.uri), columns(str(before.uri))
        assert ids == expected_ids
        assert numbers.keys() == expected_numbers.keys()
        for name, values in numbers.items():
            # Means are sums in an order that differs from run to run, with Beam's own functions too.
            np.testing.assert_allclose(values, expected_numbers[name], atol=1e-5, err_msg=name)


def test_statistics_are_the_same_to_the_byte_and_metrics_to_the_last_digits(tmp_path: pathlib.Path) -> None:
    plain = trained_taxi.trained()
    before = (statistics(plain, tmp_path / "plain-statistics"), metrics(plain, tmp_path / "plain-evaluation"))
    build_quickly()

    found = (statistics(plain, tmp_path / "statistics"), metrics(plain, tmp_path / "evaluation"))

    assert digest.of_bytes(found[0]) == digest.of_bytes(before[0])
    assert found[1].keys() == before[1].keys()
    for name, values in found[1].items():
        assert values == pytest.approx(before[1][name], rel=1e-6, nan_ok=True), name


def statistics(trained: trained_taxi.Trained, folder: pathlib.Path) -> bytes:
    """What the pipeline's StatisticsGen makes of a span, both splits, features in the order of their names."""
    schema, made = standard_artifacts.Schema(), standard_artifacts.ExampleStatistics()
    schema.uri, made.uri = str(trained.root / "schema"), str(folder)
    StatisticsExecutor(context(folder)).Do(
        {"examples": [trained.examples[0]], "schema": [schema]}, {"statistics": [made]}, {"exclude_splits": "[]"}
    )
    found = []
    for split in ("train", "eval"):
        [dataset] = tfdv.load_stats_binary(f"{folder}/Split-{split}/FeatureStats.pb").datasets
        ordered = sorted(dataset.features, key=lambda feature: feature.path.step[0])
        del dataset.features[:]
        dataset.features.extend(ordered)
        found.append(dataset.SerializeToString(deterministic=True))
    assert all(len(each) > 1000 for each in found), "nothing was counted"
    return b"".join(found)


def metrics(trained: trained_taxi.Trained, folder: pathlib.Path) -> dict[str, dict[str, float]]:
    """What the pipeline's Evaluator measures of the model, slice by slice."""
    schema, model = standard_artifacts.Schema(), standard_artifacts.Model()
    made, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    schema.uri, model.uri, made.uri, blessing.uri = (
        str(path) for path in (trained.root / "schema", *(folder / n for n in ("m", "e", "b")))
    )
    shutil.copytree(trained.model, path_utils.serving_model_path(model.uri))
    EvaluatorExecutor(context(folder)).Do(
        {"examples": list(trained.examples), "model": [model], "schema": [schema]},
        {"evaluation": [made], "blessing": [blessing]},
        {
            "eval_config": proto_utils.proto_to_json(policy.eval_config()),
            "example_splits": '["eval"]',
            "fairness_indicator_thresholds": "null",
        },
    )
    found = {s.name: dict(s.candidate) for s in model_evidence.read(folder / "e", folder / "b").slices}
    assert len(found) > 3 and "auc" in found["overall"]
    return found


def context(folder: pathlib.Path) -> base_beam_executor.BaseBeamExecutor.Context:
    return base_beam_executor.BaseBeamExecutor.Context(beam_pipeline_args=list(BEAM_ARGS), tmp_dir=f"{folder}/tmp/", unique_id="1")


def vocabularies(graph: pathlib.Path) -> dict[str, bytes]:
    found = {path.name: path.read_bytes() for path in graph.rglob("assets/*")}
    assert found, "transform wrote no vocabulary"
    return found


def columns(folder: str) -> tuple[list[list[tuple[str, int]]], dict[str, list[float]]]:
    """An artifact of transformed examples, whatever the order of its rows: the ids of each, and each column of numbers, sorted."""
    files = [str(path) for path in sorted(pathlib.Path(folder).glob("Split-*/*"))]
    ids, numbers = [], collections.defaultdict(list)
    for raw in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(raw).features.feature
        ids.append(sorted((name, value.int64_list.value[0]) for name, value in features.items() if value.int64_list.value))
        for name, value in features.items():
            if value.float_list.value:
                numbers[name].append(value.float_list.value[0])
    assert ids, "transform wrote no row"
    return sorted(ids), {name: sorted(values) for name, values in numbers.items()}


def test_a_view_of_options_reads_the_flags_as_beam_does_for_every_class_of_options() -> None:
    flags = ["--runner=DirectRunner", "--direct_num_workers=3", "--experiments=one", "--experiments=two", "--no_pipeline_type_check"]
    classes = PipelineOptions.__subclasses__()
    plain = {cls: vars(PipelineOptions(flags).view_as(cls))["_all_options"] for cls in classes}

    build_quickly()

    for _ in range(2):
        assert {cls: vars(PipelineOptions(flags).view_as(cls))["_all_options"] for cls in classes} == plain
    assert len(classes) > 10


def test_views_of_the_same_options_share_what_is_set_and_other_options_do_not() -> None:
    build_quickly()
    debug = pipeline_options.DebugOptions
    mine, others = PipelineOptions(["--experiments=one"]), PipelineOptions(["--experiments=one"])

    mine.view_as(debug).experiments.append("two")

    assert mine.view_as(debug).experiments == ["one", "two"]
    assert others.view_as(debug).experiments == ["one"]


def test_the_taxi_pipeline_runs_in_this_process_and_never_asks_for_a_runner_to_be_downloaded(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), beam.Pipeline(options=PipelineOptions(list(BEAM_ARGS))) as pipeline:
        pipeline | beam.Create([1]) | beam.Map(str)

    assert type(pipeline.runner).__name__ == "FnApiRunner"
    assert "prism" not in caplog.text.lower()


def test_a_function_of_another_version_is_not_replaced_and_the_error_says_what_to_do() -> None:
    library = types.ModuleType("library")
    library.answer = as_they_were

    says = r"library\.answer .* expected source 0123456789abcdef, found [0-9a-f]{16}.*locked requirements"
    with pytest.raises(UnknownSource, match=says):
        replace(library, "answer", "0123456789abcdef", lambda original: graph)

    assert library.answer is as_they_were


def test_a_function_is_replaced_once_however_often_it_is_asked_for() -> None:
    library = types.ModuleType("library")
    library.answer = graph
    pinned = source_digest(graph)

    for _ in range(2):
        replace(library, "answer", pinned, lambda original: lambda: f"not {original.__name__}")

    assert library.answer() == "not graph"
