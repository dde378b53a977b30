"""The model gate on real evaluations: real trips, a small SavedModel, TFX's Evaluator with the pipeline's own configuration."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import json
import math
import pathlib
import random

import pytest
import tensorflow as tf
from google.protobuf import json_format
from installed import installed, let_pass
from tfx.components.evaluator import executor as evaluator
from tfx.types import standard_artifacts

from components.model_gate import ModelGateExecutor
from components.types import Verdict as VerdictArtifact
from pipelines.taxi.policy import MODEL_POLICY, SLICES, eval_config
from waybill.gates import intervals, model_evidence, model_rules
from waybill.gates.errors import EvidenceError, PolicyError
from waybill.gates.eval_config import build
from waybill.gates.evaluation import Evaluation, SliceMetrics
from waybill.gates.policy import CLASSES, ModelPolicy, Threshold
from waybill.records import digest, verdict_file
from waybill.records.verdict import Decision, Rule, RuleOutcome, Verdict
from waybill.records.waiver import AppliedWaiver

Trip = dict[str, str]
FLOATS, INTS, STRINGS = ("fare", "tips"), ("trip_start_hour", "span"), ("payment_type", "company")
CLASS_POLICY = ModelPolicy(
    thresholds=(Threshold("sparse_categorical_accuracy", lower=0.8, slices=("class",)),),
    changes=(),
    slice_keys=("class",),
    min_slice_size=10,
    tells=CLASSES,
)
GOOD, WEAK = 1.0, -1.0  # what paying by card adds to the log-odds of a big tip, in the two models


@dataclasses.dataclass(frozen=True)
class Judged:
    """One evaluation, as the gate's inputs, and the verdict on it."""

    inputs: dict[str, list]
    verdict: Verdict


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {weight: _export(root / name, weight) for name, weight in (("good", GOOD), ("weak", WEAK))}


@pytest.fixture(scope="module")
def good(models, tmp_path_factory):
    return _evaluated(tmp_path_factory.mktemp("good"), _trips(), models[GOOD])


@pytest.fixture(scope="module")
def shuffled(models, tmp_path_factory):
    trips = _trips()
    tips = [(trip["tips"], trip["fare"]) for trip in trips]
    random.Random(1).shuffle(tips)
    shuffled = [dict(trip, tips=tip, fare=fare) for trip, (tip, fare) in zip(trips, tips)]
    return _evaluated(tmp_path_factory.mktemp("shuffled"), shuffled, models[GOOD])


@pytest.fixture(scope="module")
def ruined(models, tmp_path_factory):
    """One company's drivers suddenly write tips down the other way round."""

    def flip(trip: Trip) -> Trip:
        return dict(trip, tips="0" if float(trip["tips"]) else trip["fare"])

    trips = [flip(t) if t["company"] == "Northwest Management LLC" else t for t in _trips()]
    return _evaluated(tmp_path_factory.mktemp("ruined"), trips, models[GOOD])


@pytest.fixture(scope="module")
def fallen(models, tmp_path_factory):
    """The weak model beside the good one as its baseline."""
    return _evaluated(tmp_path_factory.mktemp("fallen"), _trips(), models[WEAK], models[GOOD])


def test_decent_model_passes_and_is_told_that_there_is_no_baseline(good):
    assert good.verdict.decision is Decision.PASS, good.verdict.summary()
    assert {r.name for r in good.verdict.rules if r.outcome is RuleOutcome.BLOCK} == set()
    (change,) = _rules(good.verdict, "change.auc")
    assert change.outcome is RuleOutcome.NOT_JUDGED
    assert "no baseline yet" in change.found


def test_verdict_covers_every_slice_and_small_ones_are_not_judged(good):
    names = {rule.subject.split(" = ")[0] for rule in good.verdict.rules if " = " in rule.subject}
    assert names == set(SLICES)
    small = _rules(good.verdict, "slices.size")
    assert small
    assert all(r.outcome is RuleOutcome.NOT_JUDGED and "too few to judge" in r.found for r in small)
    cash = [r for r in good.verdict.rules if r.subject.startswith("payment_type = Cash") and r.name == "slices.calibration"]
    assert [r.outcome for r in cash] == [RuleOutcome.NOT_JUDGED]


def test_verdict_names_the_bytes_it_is_about(good):
    exported = pathlib.Path(good.inputs["model"][0].uri, "Format-Serving")
    assert model_rules.judged_digest(good.verdict) == digest.of_tree(exported)


def test_shuffled_labels_block(shuffled):
    (auc,) = _rules(shuffled.verdict, "metrics.auc")
    assert shuffled.verdict.decision is Decision.BLOCKED
    assert auc.outcome is RuleOutcome.BLOCK
    assert auc.expected == "at least 0.8"
    assert 0.4 < float(auc.found) < 0.6
    assert _rules(shuffled.verdict, "evaluator.blessing")[0].found == "NOT_BLESSED"


def test_one_ruined_slice_blocks_with_its_name_though_the_overall_values_are_good(ruined):
    blocking = [r for r in ruined.verdict.rules if r.outcome is RuleOutcome.BLOCK]
    assert ruined.verdict.decision is Decision.BLOCKED
    assert {r.subject.split(" (")[0] for r in blocking} == {"company = Northwest Management LLC"}
    assert {"slices.binary_accuracy", "slices.auc"} <= {r.name for r in blocking}
    assert _rules(ruined.verdict, "evaluator.blessing")[0].outcome is RuleOutcome.PASS
    assert "expected at least 0.5, found 0." in ruined.verdict.summary()


def test_model_far_below_its_baseline_blocks(fallen):
    (change,) = _rules(fallen.verdict, "change.auc")
    assert fallen.verdict.decision is Decision.BLOCKED
    assert change.outcome is RuleOutcome.BLOCK
    assert change.expected == "at most 0.03 below the baseline"
    assert all(r.outcome is RuleOutcome.PASS for r in _rules(fallen.verdict, "slices.coverage"))


def test_what_two_people_let_pass_passes(ruined, tmp_path):
    blocking = {r.name for r in ruined.verdict.rules if r.blocks}
    with installed(tmp_path) as store:
        for rule in blocking:
            let_pass(store, "model_gate", rule, subject="")
        verdict = _gate(ruined.inputs, tmp_path)
    assert verdict.decision is Decision.WAIVED, verdict.summary()
    assert {r.name for r in verdict.waived()} == blocking


def test_same_model_on_the_same_rows_has_the_same_metrics(good, fallen):
    alone, beside = (model_evidence.read(*_folders(judged)).slices for judged in (good, fallen))
    assert [s.name for s in alone] == [s.name for s in beside]
    for one, other in zip(alone, beside):  # equal but for the order of floating-point sums
        assert one.candidate == pytest.approx(other.baseline, rel=1e-6, nan_ok=True)


def test_forged_blessing_is_an_error(shuffled, tmp_path):
    forged = _copy(shuffled.inputs["blessing"][0], tmp_path / "blessing")
    (tmp_path / "blessing").mkdir()
    (tmp_path / "blessing/BLESSED").touch()
    with pytest.raises(EvidenceError, match="says good.*says not good enough"):
        _gate(dict(shuffled.inputs, blessing=[forged]), tmp_path)


def test_blessing_of_another_model_is_an_error(good, models, tmp_path):
    with pytest.raises(EvidenceError, match="the blessing is about the model at"):
        _gate(dict(good.inputs, model=[models[WEAK]]), tmp_path)


def test_baseline_that_was_not_compared_with_is_an_error(good, models, tmp_path):
    with pytest.raises(EvidenceError, match="expected a comparison with"):
        _gate(dict(good.inputs, baseline_model=[models[WEAK]]), tmp_path)


def test_damaged_evaluation_is_an_error(good, tmp_path):
    broken = standard_artifacts.ModelEvaluation()
    broken.uri = str(tmp_path)
    with pytest.raises(EvidenceError, match="run evaluator again"):
        _gate(dict(good.inputs, evaluation=[broken]), tmp_path)


@pytest.mark.parametrize(("written", "outcome"), [(30, RuleOutcome.PASS), (31, RuleOutcome.BLOCK)])
def test_rows_that_did_not_arrive_at_transform_block(good, tmp_path, written, outcome):
    transformed = [_write(tmp_path / name, trips) for name, trips in (("one", _trips()[:10]), ("two", _trips()[:20]))]
    examples = [standard_artifacts.Examples(), standard_artifacts.Examples()]
    for artifact, rows in zip(examples, (10, written - 10)):
        artifact.set_int_custom_property("rows_source", 3 * rows)
        artifact.set_int_custom_property("rows_train", 2 * rows)
        artifact.set_int_custom_property("rows_eval", rows)
    verdict = _gate(dict(good.inputs, examples=examples, transformed_examples=transformed), tmp_path)
    (rule,) = _rules(verdict, "rows.transformed")
    assert (rule.outcome, rule.found) == (outcome, "30 rows (eval 30)")
    assert rule.expected == f"the {written} rows (eval {written}) that ingestion wrote for 2 spans"
    assert verdict.decision is (Decision.PASS if outcome is RuleOutcome.PASS else Decision.BLOCKED)


def test_rows_are_not_judged_by_a_gate_that_is_not_given_them(good):
    (rule,) = _rules(good.verdict, "rows.transformed")
    assert rule.outcome is RuleOutcome.NOT_JUDGED


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.9, RuleOutcome.PASS), (0.925, RuleOutcome.PASS), (0.94, RuleOutcome.BLOCK), (math.nan, RuleOutcome.BLOCK)]
)
def test_baseline_is_compared_with_up_to_the_largest_drop(value, outcome):
    evaluation = _slices()
    overall = dataclasses.replace(evaluation.slices[0], baseline={"auc": value})
    rules = _judge(dataclasses.replace(evaluation, slices=(overall, *evaluation.slices[1:])))
    assert _outcomes(rules, "change.auc") == [outcome]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_metric_without_a_value_blocks_overall_and_in_a_slice(value):
    spoiled = {} if value is None else {"binary_accuracy": value}
    metrics = {k: v for k, v in _metrics().items() if k != "binary_accuracy"} | spoiled
    overall = _judge(_slices(overall=metrics))
    sliced = _judge(_slices(hour=metrics))
    assert _outcomes(overall, "metrics.binary_accuracy") == [RuleOutcome.BLOCK]
    assert RuleOutcome.BLOCK in _outcomes(sliced, "slices.binary_accuracy")


def test_slice_that_misses_by_chance_is_a_warning_and_one_that_surely_misses_blocks():
    chance = _judge(_slices(hour=_metrics(example_count=30, binary_accuracy=0.45)))
    surely = _judge(_slices(hour=_metrics(example_count=300, binary_accuracy=0.40)))
    assert RuleOutcome.WARN in _outcomes(chance, "slices.binary_accuracy")
    assert RuleOutcome.BLOCK not in _outcomes(chance, "slices.binary_accuracy")
    assert RuleOutcome.BLOCK in _outcomes(surely, "slices.binary_accuracy")


def test_blessing_that_disagrees_with_the_thresholds_blocks():
    rules = model_rules.judge(dataclasses.replace(_slices(), blessed=False), MODEL_POLICY)
    (rule,) = [r for r in rules if r.name == "evaluator.blessing"]
    assert rule.outcome is RuleOutcome.BLOCK
    assert "although the thresholds above are all met" in rule.found


def test_blessing_withheld_for_what_blocks_already_is_a_note_and_goes_with_its_waiver():
    rules = _judge(dataclasses.replace(_slices(overall=_metrics(auc=0.5)), blessed=False))
    assert [r.name for r in rules if r.outcome is RuleOutcome.BLOCK] == ["metrics.auc"]
    assert _outcomes(rules, "evaluator.blessing") == [RuleOutcome.WARN]
    waiver = AppliedWaiver(1, "os:ada", "os:bob", "why", "2030-01-01T00:00:00+00:00", "2029-12-01T00:00:00+00:00")
    verdict = Verdict.judge("model_gate", [r.waived_by(waiver) if r.outcome is RuleOutcome.BLOCK else r for r in rules])
    assert verdict.decision is Decision.WAIVED
    assert model_rules.explains_no_blessing(verdict)


def test_waiver_of_a_slice_explains_no_withheld_blessing():
    rules = _judge(_slices(hour=_metrics(example_count=300, binary_accuracy=0.40)))
    waiver = AppliedWaiver(1, "os:ada", "os:bob", "why", "2030-01-01T00:00:00+00:00", "2029-12-01T00:00:00+00:00")
    verdict = Verdict.judge("model_gate", [r.waived_by(waiver) if r.outcome is RuleOutcome.BLOCK else r for r in rules])
    assert verdict.decision is Decision.WAIVED
    assert not model_rules.explains_no_blessing(verdict)


def test_slices_that_hold_an_example_twice_block():
    rules = _judge(_slices(hour=_metrics(example_count=1001)))
    assert RuleOutcome.BLOCK in _outcomes(rules, "slices.coverage")


def test_evaluation_without_examples_blocks():
    assert [r.name for r in _judge(_slices(overall=_metrics(example_count=0)))] == ["metrics.overall"]
    assert [r.name for r in _judge(Evaluation((), True, ()))] == ["metrics.overall"]


def test_intervals_agree_with_published_examples():
    low, high = intervals.proportion(15 / 148, 148, 0.5, intervals.z_score(0.95))
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)  # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    low, high = intervals.auc(0.893, 109, 51 / 109, 1.0)
    assert (high - low) / 2 == pytest.approx(0.0325, abs=0.0015)  # Hanley and McNeil, Radiology 143 (1982), table II


def test_policy_that_would_judge_nothing_or_the_impossible_is_refused():
    with pytest.raises(PolicyError, match="no overall threshold"):
        ModelPolicy(thresholds=(), changes=(), slice_keys=(), min_slice_size=30)
    with pytest.raises(PolicyError, match="no confidence interval"):
        Threshold("precision", lower=0.5, slices=("company",))
    with pytest.raises(PolicyError, match=r"slices of \['hour'\]"):
        ModelPolicy((Threshold("auc", lower=0.5, slices=("hour",)),), (), ("company",), 30)


def test_policy_survives_its_json():
    for policy in (MODEL_POLICY, CLASS_POLICY):
        assert ModelPolicy.from_json(policy.to_json()) == policy


def test_where_labels_are_classes_a_slice_is_judged_by_its_share_of_right_answers():
    measured = {"sparse_categorical_accuracy": 0.9, "example_count": 100}
    slices = [
        SliceMetrics("class", f"class = {n}", {**measured, "sparse_categorical_accuracy": value}, {}) for n, value in enumerate((1.0, 0.3))
    ]
    small = SliceMetrics("class", "class = 2", {**measured, "example_count": 3}, {})

    rules = model_rules.judge(Evaluation((SliceMetrics("", "overall", measured, {}), *slices, small), True, ()), CLASS_POLICY)

    assert _outcomes(rules, "metrics.sparse_categorical_accuracy") == [RuleOutcome.PASS]
    assert _outcomes(rules, "slices.sparse_categorical_accuracy") == [RuleOutcome.PASS, RuleOutcome.BLOCK]
    assert _outcomes(rules, "slices.size") == [RuleOutcome.NOT_JUDGED]


def test_what_a_model_tells_decides_what_is_measured():
    config = build(CLASS_POLICY, label="number", prediction="shares")

    measured = [metric.class_name for metric in config.metrics_specs[0].metrics]
    assert {"SparseCategoricalAccuracy", "ExampleCount"} <= set(measured)
    assert not {"AUC", "MeanLabel"} & set(measured)
    with pytest.raises(PolicyError, match="expected binary or classes"):
        dataclasses.replace(CLASS_POLICY, tells="numbers")
    with pytest.raises(PolicyError, match="asks for rows of each label"):
        dataclasses.replace(CLASS_POLICY, thresholds=(Threshold("sparse_categorical_accuracy", lower=0.5, min_each_label=3),))


def _metrics(**changes: float) -> dict[str, float]:
    good = {"auc": 0.9, "binary_accuracy": 0.9, "calibration": 1.0, "example_count": 1000, "mean_label": 0.25}
    return {**good, **changes}


def _slices(overall: dict[str, float] | None = None, hour: dict[str, float] | None = None) -> Evaluation:
    keys = [SliceMetrics(key, f"{key} = 1", _metrics(), {}) for key in SLICES if key != "trip_start_hour"]
    hour_slice = SliceMetrics("trip_start_hour", "trip_start_hour = 7", hour or _metrics(), {})
    return Evaluation((SliceMetrics("", "overall", overall or _metrics(), {}), hour_slice, *keys), True, ())


def _judge(evaluation: Evaluation) -> list[Rule]:
    return model_rules.judge(evaluation, MODEL_POLICY)


def _outcomes(rules: list[Rule], name: str) -> list[RuleOutcome]:
    return [r.outcome for r in rules if r.name == name]


def _rules(verdict: Verdict, name: str) -> list[Rule]:
    return [r for r in verdict.rules if r.name == name]


def _evaluated(folder: pathlib.Path, trips: list[Trip], model, baseline=None) -> Judged:
    """Runs TFX's Evaluator on the trips, then the gate."""
    inputs = {"model": [model], "examples": [_write(folder / "examples", trips)]}
    if baseline is not None:
        inputs["baseline_model"] = [baseline]
    outputs = {"evaluation": [standard_artifacts.ModelEvaluation()], "blessing": [standard_artifacts.ModelBlessing()]}
    for key, (artifact,) in outputs.items():
        artifact.uri = str(folder / key)
        (folder / key).mkdir()
    arguments = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--direct_running_mode=in_memory"]
    context = evaluator.Executor.Context(beam_pipeline_args=arguments, tmp_dir=str(folder), unique_id="1")
    config = json_format.MessageToJson(eval_config(), preserving_proto_field_name=True)
    evaluator.Executor(context).Do(inputs, outputs, {"eval_config": config, "example_splits": '["eval"]'})
    gate_inputs = {**{k: v for k, v in inputs.items() if k != "examples"}, **outputs}
    return Judged(gate_inputs, _gate(gate_inputs, folder))


def _gate(inputs: dict[str, list], folder: pathlib.Path) -> Verdict:
    artifact = VerdictArtifact()
    artifact.uri = str(folder / "verdict")
    ModelGateExecutor().Do(inputs, {"verdict": [artifact]}, {"policy": MODEL_POLICY.to_json()})
    return verdict_file.read(folder / "verdict", "model_gate")


def _folders(judged: Judged) -> list[pathlib.Path]:
    return [pathlib.Path(judged.inputs[key][0].uri) for key in ("evaluation", "blessing")]


def _trips() -> list[Trip]:
    """Every tenth of the real trips, in two spans."""
    package = importlib.util.find_spec("tfx").submodule_search_locations[0]
    with open(pathlib.Path(package, "examples/chicago_taxi_pipeline/data/simple/data.csv"), newline="") as handle:
        return [dict(row, span=str(1 + i // 10 % 2)) for i, row in enumerate(csv.DictReader(handle)) if i % 10 == 0]


def _write(folder: pathlib.Path, trips: list[Trip]):
    (folder / "Split-eval").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "Split-eval/data.gz"), "GZIP") as writer:
        for trip in trips:
            feature = {name: tf.train.Feature(float_list=tf.train.FloatList(value=[float(trip[name])])) for name in FLOATS}
            feature |= {name: tf.train.Feature(int64_list=tf.train.Int64List(value=[int(trip[name])])) for name in INTS}
            for name in STRINGS:
                values = [trip[name].encode()] if trip[name] else []
                feature[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    artifact = standard_artifacts.Examples()
    artifact.uri, artifact.split_names = str(folder), json.dumps(["eval"])
    return artifact


def _export(folder: pathlib.Path, card: float):
    """A model that scores a trip by its payment type and a little by its fare."""
    spec = {"fare": tf.io.FixedLenFeature([1], tf.float32), "payment_type": tf.io.FixedLenFeature([1], tf.string, "")}
    label_spec = dict(spec, tips=tf.io.FixedLenFeature([1], tf.float32, 0.0))
    signature = [tf.TensorSpec([None], tf.string, name="examples")]
    module = tf.Module()

    @tf.function(input_signature=signature)
    def score(examples):
        rows = tf.io.parse_example(examples, spec)
        paid = tf.cast(rows["payment_type"] == "Credit Card", tf.float32)
        return {"score": tf.sigmoid(4.0 * card * (paid - 0.85) + 0.3 * tf.tanh(rows["fare"] / 20.0) - 0.1)}

    @tf.function(input_signature=signature)
    def transform_features(examples):
        rows = tf.io.parse_example(examples, label_spec)
        return {"big_tip": tf.cast(rows["tips"] > 0.2 * rows["fare"], tf.int64)}

    signatures = {"serving_default": score, "transform_features": transform_features}
    tf.saved_model.save(module, str(folder / "Format-Serving"), signatures=signatures)
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder)
    return artifact


def _copy(artifact, folder: pathlib.Path):
    copied = type(artifact)()
    copied.set_mlmd_artifact(artifact.mlmd_artifact)
    copied.uri = str(folder)
    return copied
