"""The records: what goes in comes out, names depend on the content alone, and what breaks a rule is refused with a sentence."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import pathlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.records import digest, settings, verdict_file
from waybill.records.errors import RecordError
from waybill.records.graph import Graph, Node, Param, PipelineSettings, Stage
from waybill.records.interval import Interval, parse_moment
from waybill.records.node import NodeResult, Outcome, OutputRef
from waybill.records.run_spec import Code, Environment, Partition, RunSpec, Trigger, check_digest
from waybill.records.verdict import MAX_EVIDENCE, MAX_REASONS, Decision, Rule, RuleOutcome, Verdict

UTC = dt.timezone.utc
QUARTER = Interval(dt.datetime(2013, 7, 1, tzinfo=UTC), dt.datetime(2013, 10, 1, tzinfo=UTC))
SHA = "sha256:" + "0123456789abcdef" * 4

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    zones = st.sampled_from([UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), dt.timezone(dt.timedelta(hours=-6))])
    start = draw(st.datetimes(dt.datetime(1000, 1, 3), dt.datetime(9000, 1, 1), timezones=zones)).replace(second=0, microsecond=0)
    return Interval(start, start + dt.timedelta(minutes=draw(st.integers(1, 10**7))))


def spec(**changes: object) -> RunSpec:
    made = RunSpec(
        pipeline="taxi",
        interval=QUARTER,
        generation=2,
        window=(Partition(QUARTER, "/landing/taxi/2013-07-01", SHA, 1100),),
        absent=(201301010000,),
        params={"train_steps": 300, "window": 4, "reason": "größer"},
        schema=SHA,
        code=Code("abc", dirty=True, digest=SHA),
        environment=Environment(SHA, {"tfx": "1.21.0"}),
        trigger=Trigger("manual", "ann", "taxi/manual__1", "t1", "to see"),
    )
    return dataclasses.replace(made, **changes)


def test_an_interval_is_named_by_its_start_and_a_release_by_its_end() -> None:
    assert QUARTER.span == 201307010000
    assert QUARTER.version(3) == 20131001000003
    assert QUARTER.label == "2013-07-01"


def test_an_interval_that_starts_within_a_day_says_the_time() -> None:
    hour = Interval(parse_moment("2013-07-01T06:00"), parse_moment("2013-07-01T07:00"))
    assert hour.label == "2013-07-01T06:00"
    assert hour.span == 201307010600


@given(intervals())
def test_an_interval_survives_json_and_is_in_utc(interval: Interval) -> None:
    again = Interval.from_json(json.loads(json.dumps(interval.to_json())))
    assert again == interval
    assert again.start.utcoffset() == dt.timedelta(0)


@given(intervals(), intervals())
def test_spans_and_versions_order_as_time_does(one: Interval, other: Interval) -> None:
    assert (one.span < other.span) == (one.start < other.start)
    assert (one.version(99) < other.version(1)) == (one.end < other.end)


@pytest.mark.parametrize("generation", [0, 100, -1])
def test_a_generation_that_does_not_fit_a_version_is_refused(generation: int) -> None:
    with pytest.raises(RecordError, match="1 to 99"):
        QUARTER.version(generation)


@pytest.mark.parametrize(
    "start, end, words",
    [
        (dt.datetime(2013, 7, 1), QUARTER.end, "names no time zone"),
        (QUARTER.start.replace(second=1), QUARTER.end, "whole minutes"),
        (QUARTER.start, QUARTER.end.replace(microsecond=1), "interval's end .* whole minutes"),
        (QUARTER.start, QUARTER.start, "expected start < end"),
        (QUARTER.end, QUARTER.start, "expected start < end"),
    ],
)
def test_a_stretch_of_time_that_is_no_interval_is_refused(start: dt.datetime, end: dt.datetime, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        Interval(start, end)


@pytest.mark.parametrize(
    "text", ["2013-07-01", "2013-07-01T00:00", "2013-07-01T00:00Z", "2013-07-01T00:00:00+00:00", "2013-07-01T02:00+02:00"]
)
def test_every_way_to_write_a_moment_is_the_same_moment(text: str) -> None:
    assert parse_moment(text) == QUARTER.start


@pytest.mark.parametrize("text", ["", "last quarter", "2013-13-01", "01.07.2013", None])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(RecordError, match="such as 2013-07-01"):
        parse_moment(text)


@given(plain)
def test_canonical_json_is_valid_and_the_same_for_any_order_of_keys(value: object) -> None:
    shuffled = _shuffle(value)
    assert json.loads(digest.canonical_json(value)) == value
    assert digest.of_json(shuffled) == digest.of_json(value)


def _shuffle(value: object) -> object:
    if isinstance(value, dict):
        items = [(key, _shuffle(inner)) for key, inner in value.items()]
        random.Random(1).shuffle(items)
        return dict(items)
    return [_shuffle(inner) for inner in value] if isinstance(value, list) else value


def test_digests_are_the_sha256_that_anybody_can_compute(tmp_path: pathlib.Path) -> None:
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "empty").touch()
    assert digest.of_bytes(b"") == digest.of_file(tmp_path / "empty") == empty


def make_tree(root: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def test_a_tree_is_named_by_its_paths_and_bytes_and_nothing_else(tmp_path: pathlib.Path) -> None:
    files = {"a/b": b"1", "c": b"2", "a-b": b""}
    one = make_tree(tmp_path / "one", files)
    other = make_tree(tmp_path / "other", dict(reversed(files.items())))
    (other / "empty folder").mkdir()
    (other / "c").chmod(0o400)
    os.utime(other / "c", (1, 1))
    assert digest.of_tree(one) == digest.of_tree(other)


@pytest.mark.parametrize("changed", [{"a/b": b"1", "c": b"3"}, {"a/b": b"1", "d": b"2"}, {"a/b": b"1"}, {"a": b"", "b": b"1", "c": b"2"}])
def test_a_tree_with_another_path_or_byte_has_another_name(tmp_path: pathlib.Path, changed: dict[str, bytes]) -> None:
    one = make_tree(tmp_path / "one", {"a/b": b"1", "c": b"2"})
    other = make_tree(tmp_path / "other", changed)
    assert digest.of_tree(one) != digest.of_tree(other)


def test_a_file_is_named_as_a_folder_that_holds_just_it(tmp_path: pathlib.Path) -> None:
    make_tree(tmp_path, {"schema.pbtxt": b"feature {}"})
    assert digest.of_tree(tmp_path / "schema.pbtxt") == digest.of_tree(tmp_path)


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "dangling link", "pipe"])
def test_a_tree_with_more_than_files_and_folders_has_no_name(tmp_path: pathlib.Path, kind: str) -> None:
    target = make_tree(tmp_path / "elsewhere", {"f": b""})
    tree = make_tree(tmp_path / "tree", {"g": b""})
    if kind == "pipe":
        os.mkfifo(tree / "odd")
    else:
        (tree / "odd").symlink_to({"link to a file": target / "f", "link to a folder": target, "dangling link": target / "gone"}[kind])
    with pytest.raises(RecordError, match=r"odd.*symbolic link or a special file"):
        digest.of_tree(tree)


def test_a_run_spec_survives_json_with_the_same_digest() -> None:
    again = RunSpec.from_json(json.loads(json.dumps(spec().to_json())))
    assert again == spec()
    assert again.digest == spec().digest


@pytest.mark.parametrize(
    "changes",
    [
        {"generation": 3},
        {"absent": ()},
        {"params": {"train_steps": 301, "window": 4, "reason": "größer"}},
        {"window": (Partition(QUARTER, "/landing/taxi/2013-07-01", SHA, 1101),)},
        {"trigger": Trigger("manual", "bob", "taxi/manual__1", "t1", "to see")},
        {"environment": Environment(SHA, {"tfx": "1.21.1"})},
        {"derived_from": SHA},
    ],
)
def test_any_other_content_gives_a_run_spec_another_digest(changes: dict[str, object]) -> None:
    assert spec(**changes).digest != spec().digest


def test_a_run_spec_is_frozen() -> None:
    frozen = spec()
    with pytest.raises(dataclasses.FrozenInstanceError):
        frozen.generation = 3  # type: ignore[misc]


def test_a_run_is_named_by_pipeline_span_and_generation() -> None:
    assert spec().run == "taxi.201307010000.g2"
    assert spec().version == 20131001000002


def test_shared_work_is_named_by_content_and_not_by_who_asks() -> None:
    asked_again = spec(generation=7, trigger=Trigger("backfill", "", "taxi/b", "t9"), params={})
    assert spec().shared_key(SHA) == asked_again.shared_key(SHA)
    others = [spec(schema="sha256:other"), spec(code=Code("abc", dirty=True, digest="other")), spec(environment=Environment("other", {}))]
    keys = {spec().shared_key(SHA), spec().shared_key(), *(other.shared_key(SHA) for other in others)}
    assert len(keys) == 5


def test_a_partitions_version_fits_tfx_and_depends_on_its_content_alone() -> None:
    moved = Partition(Interval(QUARTER.end, parse_moment("2014-01-01")), "/other", SHA, 2)
    corrected = dataclasses.replace(moved, digest="sha256:" + "f" * 64)
    assert moved.version == spec().window[0].version == 0x0123456789AB
    assert corrected.version == 2**48 - 1


@pytest.mark.parametrize("damage", [{"interval": None}, {"more": 1}, {"window": [{}]}, {"code": {"commit": "x"}}])
def test_what_is_not_a_run_spec_is_refused(damage: dict[str, object]) -> None:
    with pytest.raises(RecordError, match="not a run spec of this version"):
        RunSpec.from_json({**spec().to_json(), **damage})


def test_a_run_spec_that_lacks_a_field_is_refused() -> None:
    value = spec().to_json()
    del value["schema"]
    with pytest.raises(RecordError, match="schema"):
        RunSpec.from_json(value)


def test_only_a_digest_may_become_a_file_name() -> None:
    assert check_digest(SHA) == SHA
    for text in ("", "sha256:", SHA[:-1], SHA + "0", SHA.upper(), SHA + "\n", "sha256:../../../etc/passwd"):
        with pytest.raises(RecordError, match="expected a digest"):
            check_digest(text)


@given(st.sampled_from(Outcome), st.text(), st.dictionaries(st.text(), plain, max_size=3))
def test_a_result_survives_its_line_whatever_it_says(outcome: Outcome, message: str, extra: dict[str, object]) -> None:
    result = NodeResult("trainer", outcome, message, "taxi.1.g1", 7, {"model": [OutputRef(1, "/a", SHA)]}, 1.5, extra)
    line = result.to_line()
    assert "\n" not in line
    assert NodeResult.from_line(line) == result


@pytest.mark.parametrize("line", ["", "done", "{}", '{"other": 1}', ' {"waybill_node_result": {}}', "[]"])
def test_an_ordinary_line_of_a_log_is_no_result(line: str) -> None:
    assert NodeResult.from_line(line) is None


@pytest.mark.parametrize("cut", [22, 40, 80])
def test_a_damaged_result_is_not_taken_for_an_ordinary_line(cut: int) -> None:
    with pytest.raises(RecordError, match="damaged"):
        NodeResult.from_line(NodeResult("trainer", Outcome.COMPLETE, "made").to_line()[:cut])


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_node_that_succeeded_is_never_retried(outcome: Outcome) -> None:
    result = NodeResult("trainer", outcome, "")
    assert result.successful == (outcome in {Outcome.COMPLETE, Outcome.CACHED})
    assert result.retried == (outcome in {Outcome.FAILED, Outcome.KILLED})


def rule(outcome: RuleOutcome, name: str = "schema.missing_column", evidence: tuple[str, ...] = ()) -> Rule:
    return Rule(name, "fare", outcome, "present in every row", "missing in 3 rows", evidence)


@given(st.lists(st.sampled_from(RuleOutcome), max_size=6))
def test_a_verdict_blocks_on_any_blocking_rule_and_on_no_rule_at_all(outcomes: list[RuleOutcome]) -> None:
    verdict = Verdict.judge("data_gate", [rule(outcome) for outcome in outcomes])
    blocked = not outcomes or {RuleOutcome.BLOCK, RuleOutcome.WAIVED} & set(outcomes)  # waived by nothing
    assert verdict.decision is (Decision.BLOCKED if blocked else Decision.PASS)
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_a_verdict_file_keeps_the_spans_left_out_and_one_from_before_there_were_any_is_read(tmp_path: pathlib.Path) -> None:
    verdict = Verdict.judge("data_gate", [rule(RuleOutcome.PASS)], [201301010000])
    path = verdict_file.write(tmp_path, verdict)
    assert verdict_file.read(tmp_path, "data_gate") == verdict and verdict.left_out == (201301010000,)
    value = json.loads(path.read_text())
    del value["left_out"]
    path.write_text(json.dumps(value))
    assert verdict_file.read(tmp_path, "data_gate") == dataclasses.replace(verdict, left_out=())


def test_a_verdict_keeps_a_bounded_amount_of_evidence() -> None:
    verdict = Verdict.judge("data_gate", [rule(RuleOutcome.BLOCK, evidence=tuple(map(str, range(50))))])
    assert verdict.rules[0].evidence == tuple(map(str, range(MAX_EVIDENCE)))


def test_a_blocked_verdict_tells_the_first_reasons_and_counts_the_rest() -> None:
    rules = [rule(RuleOutcome.BLOCK, f"rule.{n:02}") for n in range(MAX_REASONS + 3)] + [rule(RuleOutcome.WARN, "rule.warned")]
    lines = Verdict.judge("data_gate", rules).summary().splitlines()
    assert lines[0] == f"data_gate: BLOCKED by {MAX_REASONS + 3} of {MAX_REASONS + 4} rules"
    assert lines[1] == "  - rule.00 on fare: expected present in every row, found missing in 3 rows"
    assert lines[-1] == "  ... and 3 more"
    assert len(lines) == MAX_REASONS + 2


def test_a_passing_verdict_notes_what_was_not_judged() -> None:
    summary = Verdict.judge("model_gate", [rule(RuleOutcome.PASS), rule(RuleOutcome.NOT_JUDGED, "baseline.auc")]).summary()
    assert summary.splitlines()[0] == "model_gate: PASS, 2 rules looked at"
    assert "note: baseline.auc" in summary


STEPS = Param("train_steps", 300, "How many batches to train on.", 1, 10_000)
GRAPH = Graph(
    PipelineSettings(
        name="taxi",
        description="Tips.",
        schedule="0 0 1 */3 *",
        timezone="UTC",
        start="2013-01-01",
        end="",
        schema="schemas/taxi.pbtxt",
        stages=(Stage("data", "span", ("example_gen", "data_gate"), "Reads."), Stage("model", "run", ("trainer", "model_gate"), "Trains.")),
        params=(STEPS, Param("rate", 0.5, "Rate.", 0.0, 1.0), Param("fast", default=False, description="?"), Param("reason", "", "Why.")),
        landing_patience_minutes=60,
        owner="ann",
        tags=("tfx",),
    ),
    (
        Node("run_spec", "", "spec", (), gate=False, says="freezes"),
        Node("example_gen", "data", "span", ("run_spec",), gate=False, says="reads"),
        Node("data_gate", "data", "run", ("example_gen",), gate=True, says="judges"),
        Node("trainer", "model", "run", ("data_gate",), gate=False, says="trains"),
        Node("model_gate", "model", "run", ("trainer",), gate=True, says="judges"),
        Node("pusher", "model", "run", ("model_gate", "trainer"), gate=False, says="pushes"),
    ),
)


def test_a_graph_survives_its_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "graph.json"
    path.write_text(GRAPH.to_text())
    assert Graph.load(path) == GRAPH


def test_a_node_knows_all_the_gates_on_its_way() -> None:
    assert GRAPH.gates_before("pusher") == ("data_gate", "model_gate")
    assert GRAPH.gates_before("model_gate") == ("data_gate",)
    assert GRAPH.gates_before("run_spec") == ()


def test_an_unknown_node_is_refused_with_the_nodes_there_are() -> None:
    with pytest.raises(RecordError, match=r"no node 'trianer' .* trainer"):
        GRAPH.node("trianer")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": {}, "nodes": []}', GRAPH.to_text().replace('"owner"', '"boss"')])
def test_a_graph_of_another_version_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(RecordError, match="make graph"):
        Graph.from_text(text)


def test_a_missing_graph_is_refused_with_what_to_do(tmp_path: pathlib.Path) -> None:
    with pytest.raises(RecordError, match="make graph"):
        Graph.load(tmp_path / "taxi/graph.json")


def test_params_that_are_not_given_have_their_defaults() -> None:
    assert GRAPH.settings.resolve_params({"train_steps": 5}) == {"train_steps": 5, "rate": 0.5, "fast": False, "reason": ""}


def test_a_whole_number_will_do_for_a_fraction() -> None:
    rate = GRAPH.settings.resolve_params({"rate": 1})["rate"]
    assert isinstance(rate, float)


@pytest.mark.parametrize(
    "given_params, words",
    [
        ({"trian_steps": 1}, "unknown parameter trian_steps; taxi has train_steps"),
        ({"train_steps": "300"}, "expected int, such as 300"),
        ({"train_steps": 300.0}, "expected int"),
        ({"train_steps": True}, "expected int"),
        ({"train_steps": 0}, "expected 1 to 10000"),
        ({"train_steps": 10_001}, "expected 1 to 10000"),
        ({"rate": 1.01}, r"expected 0\.0 to 1\.0"),
        ({"rate": float("nan")}, r"expected 0\.0 to 1\.0"),
        ({"fast": 1}, "expected bool"),
        ({"reason": None}, "expected str"),
    ],
)
def test_a_value_the_parameter_cannot_hold_is_refused_with_what_it_can(given_params: dict[str, object], words: str) -> None:
    with pytest.raises(RecordError, match=words):
        GRAPH.settings.resolve_params(given_params)


def test_everything_is_under_home_unless_told_otherwise() -> None:
    default = settings.load({})
    moved = settings.load({"WAYBILL_HOME": "/data", "WAYBILL_LANDING": "/inbox", "WAYBILL_STORE_URL": "postgresql://db/mlmd"})
    assert default.home == settings.PROJECT / "var"
    assert default.store_url == f"sqlite:///{settings.PROJECT}/var/mlmd.sqlite"
    assert (moved.landing, moved.serving, moved.artifacts) == tuple(map(pathlib.Path, ("/inbox", "/data/serving", "/data/artifacts")))
    assert moved.store_url == "postgresql://db/mlmd"


def test_an_empty_variable_counts_as_not_set() -> None:
    assert settings.load({"WAYBILL_HOME": "", "WAYBILL_TFX_PYTHON": ""}) == settings.load({})
