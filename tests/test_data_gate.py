"""The data gate on real trips: statistics and anomalies by TFDV and TFX's ExampleValidator, each bad thing on its own."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import itertools
import json
import pathlib
from collections.abc import Callable

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from installed import installed, let_pass
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.example_validator import executor as validator
from tfx.types import standard_artifacts

from components.data_gate import DataGateExecutor
from components.types import Verdict as VerdictArtifact
from pipelines.taxi import land
from pipelines.taxi.policy import DATA_POLICY
from waybill.gates.data_limits import DriftLimit, DriftPolicy, VolumePolicy
from waybill.gates.errors import EvidenceError, PolicyError
from waybill.gates.policy import DataPolicy
from waybill.launch.landing import LandingError, deliver
from waybill.launch.partitions import samples_of
from waybill.records import verdict_file
from waybill.records.interval import parse_moment
from waybill.records.run_spec import Partition
from waybill.records.verdict import Decision, Rule, RuleOutcome, Verdict

SCHEMA = """
feature { name: "fare" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } float_domain { min: 0 disallow_nan: true } }
feature { name: "payment_type" type: BYTES domain: "payment_type" presence { min_fraction: 1.0 min_count: 1 } }
feature { name: "trip_start_hour" type: INT presence { min_fraction: 1.0 min_count: 1 } int_domain { min: 0 max: 23 } }
string_domain { name: "payment_type" value: "Cash" value: "Credit Card" value: "Unknown" value: "No Charge" value: "Dispute" }
"""
ALONE = dataclasses.replace(DATA_POLICY, drift=None, skew=None, volume=None, leave_out_blocked=False)  # each span by itself
TYPES = {"fare": float, "payment_type": str, "trip_start_hour": int}
Rows = dict[str, list]


def test_clean_spans_pass_with_every_rule_recorded(tmp_path):
    verdict = _judge(tmp_path, {1: _trips(0), 2: _trips(400)})
    assert verdict.decision is Decision.PASS
    assert {r.outcome for r in verdict.rules} == {RuleOutcome.PASS}
    assert [r.subject for r in verdict.rules if r.name == "schema.anomalies"] == [
        f"split {split} of span {span}" for span in (1, 2) for split in ("train", "eval")
    ]


def test_missing_column_blocks_and_is_named(tmp_path):
    rule = _blocked(tmp_path, lambda rows: rows.pop("fare"), "schema.missing_column")
    assert rule.subject == "fare, split train of span 2"
    assert rule.expected.startswith("FLOAT, in at least 100% of the rows")
    assert rule.evidence == ("not in the data",)


def test_new_payment_type_in_a_tenth_of_the_rows_blocks_with_its_name_and_share(tmp_path):
    rule = _blocked(tmp_path, _every(10, "payment_type", "Bitcoin"), "schema.enum_type_unexpected_string_values")
    assert rule.found == "10.0% of the values outside"
    assert rule.evidence == ("'Bitcoin' in 30 of 300 (10.0 %) values",)


def test_new_payment_type_in_a_hundredth_of_the_rows_is_a_warning(tmp_path):
    verdict = _judge(tmp_path, {1: _trips(0), 2: _changed(_trips(400), _every(100, "payment_type", "Bitcoin"))})
    assert verdict.decision is Decision.PASS
    warnings = [r for r in verdict.rules if r.outcome is RuleOutcome.WARN]
    assert {r.name for r in warnings} == {"schema.enum_type_unexpected_string_values"}
    assert "'Bitcoin'" in verdict.summary()


def test_nan_in_fare_blocks_and_is_counted(tmp_path):
    rule = _blocked(tmp_path, _every(100, "fare", float("nan")), "schema.float_type_has_nan")
    assert "NaN in 3 of 300 (1.0 %) rows" in rule.evidence
    assert "never NaN" in rule.expected


def test_wrong_type_blocks_and_says_what_is_stored(tmp_path):
    rule = _blocked(tmp_path, lambda rows: rows.update(fare=[f"${fare}" for fare in rows["fare"]]), "schema.unexpected_data_type")
    assert rule.subject.startswith("fare, ")
    assert "stored as STRING" in rule.evidence


def test_what_two_people_let_pass_passes_and_what_nobody_may_let_pass_blocks(tmp_path):
    spans = {1: _changed(_trips(0), _every(10, "payment_type", "Bitcoin"))}
    with installed(tmp_path) as store:
        train, evaluation = (f"payment_type, split {split} of span 1" for split in ("train", "eval"))
        number = let_pass(store, "data_gate", "schema.enum_type_unexpected_string_values", train)
        half = _judge(tmp_path / "half", spans)
        other = let_pass(store, "data_gate", "schema.enum_type_unexpected_string_values", evaluation)
        let_pass(store, "data_gate", "rows.conserved", "span 1")
        waived = _judge(tmp_path / "waived", spans)
        lost = _judge(tmp_path / "lost", spans, landed=401)
    assert [r.subject for r in half.rules if r.blocks] == [evaluation]
    assert waived.decision is Decision.WAIVED
    assert [r.waiver.number for r in waived.waived()] == [number, other]
    assert lost.decision is Decision.BLOCKED
    assert [r.name for r in lost.rules if r.blocks] == ["rows.conserved"]


def test_fare_below_zero_blocks(tmp_path):
    rule = _blocked(tmp_path, _every(50, "fare", -3.5), "schema.float_type_small_float")
    assert any("values from -3.5" in fact for fact in rule.evidence)


def test_empty_split_blocks(tmp_path):
    rule = _blocked(tmp_path, lambda rows: [column.clear() for column in rows.values()], "rows.enough")
    assert rule.found == "0 rows"


def test_unknown_column_is_a_warning_by_the_policy_and_blocks_without_it(tmp_path):
    spans = {1: _changed(_trips(0), lambda rows: rows.update(colour=["red"] * len(rows["fare"])))}
    lenient = _judge(tmp_path / "lenient", spans)
    strict = _judge(tmp_path / "strict", spans, policy=DataPolicy(severities={}, max_unexpected_share=0.0, min_rows={}))
    assert lenient.decision is Decision.PASS
    assert strict.decision is Decision.BLOCKED
    assert {r.name for r in strict.rules if r.outcome is RuleOutcome.BLOCK} == {"schema.new_column"}


def test_rows_lost_between_landing_and_statistics_block(tmp_path):
    verdict = _judge(tmp_path, {1: _trips(0)}, landed=401)
    (rule,) = [r for r in verdict.rules if r.outcome is RuleOutcome.BLOCK]
    assert (rule.name, rule.expected) == ("rows.conserved", "the 401 rows that landed, in examples and, split by split, in statistics")
    assert rule.found == "400 rows (eval 100, train 300) in examples, 400 rows (eval 100, train 300) in statistics"


def test_rows_lost_between_examples_and_statistics_block_and_the_split_is_named(tmp_path):
    inputs = _inputs(tmp_path, {1: _trips(0)}, landed=400)
    for split, rows in (("train", 299), ("eval", 101)):
        inputs["examples"][0].set_int_custom_property(f"rows_{split}", rows)
    (rule,) = [r for r in _run(tmp_path, inputs).rules if r.outcome is RuleOutcome.BLOCK]
    assert (rule.name, rule.subject) == ("rows.conserved", "span 1")
    assert rule.found == "400 rows (eval 101, train 299) in examples, 400 rows (eval 100, train 300) in statistics"


def test_rows_that_ingestion_did_not_count_are_not_judged(tmp_path):
    verdict = _judge(tmp_path, {1: _trips(0)}, landed=None)
    assert [r.outcome for r in verdict.rules if r.name == "rows.conserved"] == [RuleOutcome.NOT_JUDGED]


def test_a_span_missing_from_one_input_blocks_before_anything_is_read(tmp_path):
    inputs = _inputs(tmp_path, {1: _trips(0), 2: _trips(400)}, landed=400)
    inputs["statistics"].pop()
    verdict = _run(tmp_path, inputs)
    assert [r.name for r in verdict.rules] == ["window.same_spans"]
    assert verdict.decision is Decision.BLOCKED


def test_a_split_nobody_validated_blocks(tmp_path):
    inputs = _inputs(tmp_path, {1: _trips(0)}, landed=400)
    inputs["anomalies"][0].split_names = json.dumps(["train"])
    assert "window.same_splits" in {r.name for r in _run(tmp_path, inputs).rules if r.outcome is RuleOutcome.BLOCK}


def test_damaged_anomalies_are_an_error_and_no_verdict(tmp_path):
    inputs = _inputs(tmp_path, {1: _trips(0)}, landed=400)
    path = pathlib.Path(inputs["anomalies"][0].uri, "Split-eval", "SchemaDiff.pb")
    path.write_bytes(b"\xff\xff\xff")
    with pytest.raises(EvidenceError, match="SchemaDiff.pb.*run example_validator again"):
        _run(tmp_path, inputs)
    assert not (tmp_path / "verdict" / verdict_file.FILE_NAME).exists()


BARTER = "schema.enum_type_unexpected_string_values"
LENIENT = dataclasses.replace(ALONE, leave_out_blocked=True)


def test_an_earlier_span_that_would_block_is_left_out_and_said(tmp_path):
    spans = {1: _changed(_trips(0), _every(10, "payment_type", "Barter")), 2: _trips(400)}
    strict, lenient = (_judge(tmp_path / name, spans, policy=policy) for name, policy in (("strict", ALONE), ("lenient", LENIENT)))
    assert (strict.decision, strict.left_out) == (Decision.BLOCKED, ())
    assert (lenient.decision, lenient.left_out) == (Decision.PASS, (1,))
    (rule,) = [r for r in lenient.rules if r.subject == "span 1" and r.name != "window.same_splits"]
    assert (rule.name, rule.outcome, rule.found) == (
        "window.left_out",
        RuleOutcome.WARN,
        "2 rules that do; the span is left out of the window",
    )
    assert BARTER in rule.evidence[0] and "'Barter' in 30 of 300" in rule.evidence[0]
    assert not [r for r in lenient.rules if r.subject.endswith("of span 1")], "what is left out has no rules of its own"


def test_a_waiver_brings_no_span_back_into_a_later_window(tmp_path):
    damaged = {1: _changed(_trips(0), _every(10, "payment_type", "Barter"))}
    with installed(tmp_path) as store:
        for split in ("train", "eval"):
            let_pass(store, "data_gate", BARTER, f"payment_type, split {split} of span 1")
        own = _judge(tmp_path / "own", damaged, policy=LENIENT)
        later = _judge(tmp_path / "later", {**damaged, 2: _trips(400)}, policy=LENIENT)
    assert (own.decision, own.left_out) == (Decision.WAIVED, ())
    assert (later.decision, later.left_out) == (Decision.PASS, (1,))


def test_the_runs_own_span_is_never_left_out(tmp_path):
    verdict = _judge(tmp_path, {1: _trips(0), 2: _changed(_trips(400), _every(10, "payment_type", "Barter"))}, policy=LENIENT)
    assert (verdict.decision, verdict.left_out) == (Decision.BLOCKED, ())


def test_the_runs_own_span_is_compared_with_the_newest_that_is_not_left_out(tmp_path):
    limit = DriftLimit(block_above=0.5)
    policy = dataclasses.replace(LENIENT, drift=DriftPolicy(limit, limit), volume=VolumePolicy(0.5, 1.0, min_spans=2))
    spans = {1: _trips(0), 2: _changed(_trips(400), _every(2, "fare", -3.5)), 3: _trips(800)}
    verdict = _judge(tmp_path, spans, policy=policy)
    assert (verdict.decision, verdict.left_out) == (Decision.PASS, (2,))
    drift = {r.subject.split(",")[0]: r for r in verdict.rules if r.name.startswith("drift.")}
    assert set(drift) == {"fare", "payment_type", "trip_start_hour"}
    assert all("from span 1 of" in r.expected for r in drift.values())
    (volume,) = [r for r in verdict.rules if r.name == "volume.rows"]
    assert (volume.outcome, volume.found) == (RuleOutcome.NOT_JUDGED, "1 of them")


def test_a_feature_that_drifts_blocks_with_what_moved(tmp_path):
    limit = DriftLimit(block_above=0.2)
    policy = dataclasses.replace(ALONE, drift=DriftPolicy(limit, limit))
    spans = {1: _trips(0), 2: _changed(_trips(400), lambda rows: rows.update(payment_type=["Dispute"] * len(rows["fare"])))}
    (rule,) = [r for r in _judge(tmp_path, spans, policy=policy).rules if r.outcome is RuleOutcome.BLOCK]
    assert (rule.name, rule.subject) == ("drift.infinity_norm", "payment_type, split train of span 2")
    assert rule.expected == "L-infinity distance from span 1 of at most 0.2"
    assert rule.evidence[0].startswith("'Dispute': ") and rule.evidence[0].endswith("100.0 % now")


SKEWED = dataclasses.replace(ALONE, skew=DriftPolicy(DriftLimit(block_above=0.2), DriftLimit(block_above=0.2), min_rows=100))


def test_a_served_feature_unlike_what_is_learned_from_blocks_and_without_a_sample_nothing_is_judged(tmp_path):
    inputs = _inputs(tmp_path, {1: _trips(0), 2: _trips(400)}, -1)
    (unjudged,) = [r for r in _run(tmp_path / "none", inputs, SKEWED).rules if r.name == "skew"]
    assert (unjudged.outcome, unjudged.subject, unjudged.found) == (RuleOutcome.NOT_JUDGED, "span 2", "none was landed")
    verdict = _run(tmp_path / "cents", inputs, SKEWED, _sample(tmp_path, _every(1, "fare", 2705.0)))
    (rule,) = [r for r in verdict.rules if r.outcome is RuleOutcome.BLOCK]
    assert (rule.name, rule.subject) == ("skew.jensen_shannon_divergence", "fare, serving sample of span 2")
    assert rule.expected == "Jensen-Shannon divergence from split train of span 2 of at most 0.2"
    assert rule.evidence[0].endswith("0.0 % in training, 100.0 % when served")
    assert {r.subject.split(",")[0] for r in verdict.rules if r.name.startswith("skew.")} == {"fare", "payment_type", "trip_start_hour"}


def test_a_sample_that_was_delivered_anew_since_is_an_error_and_no_verdict(tmp_path):
    frozen = _sample(tmp_path, _every(1, "fare", 2705.0))
    _sample(tmp_path, _every(1, "fare", 27.05))
    with pytest.raises(LandingError, match="is not the one this run was frozen with"):
        _run(tmp_path / "run", _inputs(tmp_path, {1: _trips(0)}, -1), SKEWED, frozen)


def test_policy_with_unknown_field_is_refused():
    text = json.dumps(dict(json.loads(DATA_POLICY.to_json()), min_row=3))
    with pytest.raises(PolicyError, match="min_row"):
        DataPolicy.from_json(text)


@pytest.mark.parametrize("policy", [DATA_POLICY, ALONE, LENIENT, SKEWED])
def test_policy_survives_its_json(policy):
    assert DataPolicy.from_json(policy.to_json()) == policy


@pytest.mark.parametrize(
    ("field", "value"),
    [("drift", {"numbers": {"warn_above": 0.1}}), ("drift", {"surprise": 1}), ("volume", {"max_drop": 2, "max_rise": 1}), ("volume", [1])],
)
def test_policy_with_limits_that_cannot_be_applied_is_refused(field, value):
    text = json.dumps({**json.loads(ALONE.to_json()), field: value})
    with pytest.raises(PolicyError, match="not a data policy"):
        DataPolicy.from_json(text)


def _blocked(tmp_path: pathlib.Path, change: Callable[[Rows], object], name: str) -> Rule:
    """Spoils span 2 and returns the first rule that blocks, which must be of that name and about span 2, as all that block."""
    verdict = _judge(tmp_path, {1: _trips(0), 2: _changed(_trips(400), change)})
    blocking = [r for r in verdict.rules if r.outcome is RuleOutcome.BLOCK and r.name == name]
    assert verdict.decision is Decision.BLOCKED
    assert blocking, verdict.summary()
    assert all("span 2" in r.subject for r in verdict.rules if r.outcome is RuleOutcome.BLOCK)
    assert blocking[0].sentence() in verdict.summary()
    return blocking[0]


def _sample(tmp_path: pathlib.Path, change: Callable[[Rows], object]) -> Partition:
    """Delivers a sample of 300 other real trips, spoilt."""
    rows = _trips(400)["train"]
    change(rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([list(rows), *zip(*rows.values(), strict=True)])
    quarter = land.quarter(parse_moment("2013-04-01"))
    return deliver(tmp_path / "landing", samples_of("taxi"), quarter, {"asked.csv": text.getvalue().encode()}, 300, replace=True)


def _changed(splits: dict[str, Rows], change: Callable[[Rows], object]) -> dict[str, Rows]:
    for rows in splits.values():
        change(rows)
    return splits


def _every(step: int, column: str, value: object) -> Callable[[Rows], object]:
    def change(rows: Rows) -> None:
        rows[column][::step] = [value] * len(rows[column][::step])

    return change


def _trips(first: int) -> dict[str, Rows]:
    """400 real trips from the given row on, 300 to train on and 100 to evaluate on."""
    package = importlib.util.find_spec("tfx").submodule_search_locations[0]
    with open(pathlib.Path(package, "examples/chicago_taxi_pipeline/data/simple/data.csv"), newline="") as handle:
        rows = list(itertools.islice(csv.DictReader(handle), first, first + 400))
    parts = {"train": rows[:300], "eval": rows[300:]}
    return {split: {name: [kind(r[name]) for r in part] for name, kind in TYPES.items()} for split, part in parts.items()}


def _judge(tmp_path: pathlib.Path, spans: dict[int, dict[str, Rows]], *, policy=ALONE, landed: int | None = -1) -> Verdict:
    return _run(tmp_path, _inputs(tmp_path, spans, landed), policy)


def _run(tmp_path: pathlib.Path, inputs: dict[str, list], policy: DataPolicy = ALONE, sample: Partition | None = None) -> Verdict:
    artifact = VerdictArtifact()
    artifact.uri = str(tmp_path / "verdict")
    properties = {
        "policy": policy.to_json(),
        "sample_path": sample.path if sample else "",
        "sample_digest": sample.digest if sample else "",
    }
    DataGateExecutor().Do(inputs, {"verdict": [artifact]}, properties)
    verdict = verdict_file.read(tmp_path / "verdict", "data_gate")
    assert (artifact.gate, artifact.decision) == ("data_gate", verdict.decision.value)
    return verdict


def _inputs(tmp_path: pathlib.Path, spans: dict[int, dict[str, Rows]], landed: int | None) -> dict[str, list]:
    """Artifacts as statistics_gen and example_validator leave them; `landed` is -1 for as many rows as there are."""
    schema = _artifact(standard_artifacts.Schema, tmp_path / "schema")
    pathlib.Path(schema.uri).mkdir(parents=True)
    pathlib.Path(schema.uri, "schema.pbtxt").write_text(SCHEMA)
    inputs: dict[str, list] = {"schema": [schema], "examples": [], "statistics": [], "anomalies": []}
    for span, splits in spans.items():
        examples = _artifact(standard_artifacts.Examples, tmp_path / f"examples{span}", span, splits)
        if landed is not None:
            counts = {split: _length(rows) for split, rows in splits.items()}
            for key, rows in {**counts, "source": sum(counts.values()) if landed == -1 else landed}.items():
                examples.set_int_custom_property(f"rows_{key}", rows)
        statistics = _artifact(standard_artifacts.ExampleStatistics, tmp_path / f"statistics{span}", span, splits)
        for split, rows in splits.items():
            _count(rows, pathlib.Path(statistics.uri, f"Split-{split}"))
        anomalies = _artifact(standard_artifacts.ExampleAnomalies, tmp_path / f"anomalies{span}", span, splits)
        validator.Executor().Do({"statistics": [statistics], "schema": [schema]}, {"anomalies": [anomalies]}, {})
        for key, artifact in (("examples", examples), ("statistics", statistics), ("anomalies", anomalies)):
            inputs[key].append(artifact)
    return inputs


def _count(rows: Rows, folder: pathlib.Path) -> None:
    """Writes TFDV's statistics of the rows."""
    schema = text_format.Parse(SCHEMA, schema_pb2.Schema())
    columns = [pa.array([[v] for v in column], type=_arrow(name, column)) for name, column in rows.items()]
    batch = pa.RecordBatch.from_arrays(columns, list(rows))
    statistics = stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions(schema=schema))
    folder.mkdir(parents=True)
    (folder / "FeatureStats.pb").write_bytes(statistics.SerializeToString())


def _arrow(name: str, column: list) -> pa.DataType:
    kinds = {float: pa.float32(), int: pa.int64(), str: pa.large_binary()}
    return pa.large_list(kinds[type(column[0]) if column else TYPES[name]])


def _length(rows: Rows) -> int:
    return len(next(iter(rows.values())))


def _artifact(kind: type, folder: pathlib.Path, span: int = 0, splits: dict | None = None):
    artifact = kind()
    artifact.uri = str(folder)
    if splits is not None:
        artifact.span = span
        artifact.split_names = json.dumps(list(splits))
    return artifact
