"""Drift between spans: the taxi policy on real quarters; the distances against their definitions, TFDV's measure and whole lists."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import taxi_spans
import tensorflow_data_validation as tfdv
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from pipelines.taxi.policy import DATA_POLICY
from waybill.gates import data_rules, drift
from waybill.gates.bins import common_bins
from waybill.gates.data_evidence import SpanEvidence, SplitEvidence
from waybill.gates.data_limits import DriftLimit, DriftPolicy
from waybill.gates.distance import infinity_norm, jensen_shannon_divergence
from waybill.gates.errors import PolicyError
from waybill.gates.spread import NOTHING, NUMBERS, UNKNOWN, VALUES, Bucket, Spread
from waybill.records.verdict import Rule, RuleOutcome

SOME = DriftLimit(block_above=0.1)
POLICY = DriftPolicy(numbers=SOME, values=SOME)
RANDOM = np.random.default_rng(7)


# --- real quarters under the taxi policy


def taxi_rules(label: str, spoil: Callable[[taxi_spans.Rows], taxi_spans.Rows] | None = None) -> list[Rule]:
    rules, _ = data_rules.judge(taxi_spans.window(label, spoil), taxi_spans.features(), DATA_POLICY)
    return rules


def changed(column: str, change: Callable[[int, str], str]) -> Callable[[taxi_spans.Rows], taxi_spans.Rows]:
    return lambda rows: [dict(row, **{column: change(i, row[column])}) for i, row in enumerate(rows)]


def times(factor: float, every: int = 1) -> Callable[[int, str], str]:
    return lambda i, cell: str(float(cell) * factor) if cell and i % every == 0 else cell


@pytest.mark.parametrize("label", taxi_spans.QUARTERS[:12])
def test_no_real_quarter_up_to_2015_is_blocked_or_remarked_upon(label):
    rules = taxi_rules(label)
    assert {r.sentence() for r in rules if r.outcome in (RuleOutcome.BLOCK, RuleOutcome.WARN)} == set()
    judged = [r for r in rules if r.name.startswith("drift") and r.outcome is RuleOutcome.PASS]
    assert len(judged) == (0 if label == "2013-01-01" else len(taxi_spans.features()) - 3)


@pytest.mark.parametrize("label", ["2016-01-01", "2016-04-01"])
def test_the_quarters_in_which_the_series_thins_out_are_blocked_by_their_volume(label):
    blocking = [r for r in taxi_rules(label) if r.outcome is RuleOutcome.BLOCK]
    assert [r.name for r in blocking] == ["volume.rows"]
    assert "81% fewer" in blocking[0].found


def test_from_the_third_thin_quarter_on_thin_is_what_is_expected_and_drift_has_too_few_rows():
    rules = {r.name: r for r in taxi_rules("2016-07-01") if r.name in ("volume.rows", "drift")}
    assert rules["volume.rows"].outcome is RuleOutcome.PASS
    assert rules["drift"].outcome is RuleOutcome.NOT_JUDGED
    assert rules["drift"].found == "145 in span 201604010000, 138 in span 201607010000"


@pytest.mark.parametrize("label", ["2013-04-01", "2014-01-01", "2015-10-01"])
@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("fare", times(100)),
        ("fare", times(100, every=2)),
        ("fare", times(1.5)),
        ("tips", lambda i, cell: "0"),
        ("trip_seconds", times(1 / 60)),
        ("trip_seconds", lambda i, cell: "" if i % 4 == 0 else cell),
        ("trip_miles", lambda i, cell: "" if i % 2 else cell),
        ("pickup_latitude", lambda i, cell: "" if i % 2 else cell),
        ("company", lambda i, cell: "" if i % 2 else cell),
        ("payment_type", lambda i, cell: "Unknown" if cell == "Cash" else cell),
        ("dropoff_community_area", lambda i, cell: "8"),
    ],
    ids=[
        "fares in cents",
        "every second fare in cents",
        "fares half as high again",
        "no tips",
        "seconds in minutes",
        "a quarter of the seconds empty",
        "half of the miles empty",
        "half of the latitudes empty",
        "half of the companies empty",
        "cash under another name",
        "all to one area",
    ],
)
def test_damage_of_a_real_quarter_is_blocked_by_the_feature_that_is_damaged_alone(label, column, change):
    if column == "trip_seconds":
        whole = change
        change = lambda i, cell: str(int(float(whole(i, cell)))) if whole(i, cell) else ""  # noqa: E731
    blocking = [r for r in taxi_rules(label, changed(column, change)) if r.outcome is RuleOutcome.BLOCK]
    assert [r.subject.split(",")[0] for r in blocking] == [column]
    assert blocking[0].name.startswith("drift.") and blocking[0].evidence


@pytest.mark.parametrize(("column", "change"), [("fare", times(1.2)), ("trip_start_hour", lambda i, cell: str((int(cell) + 6) % 24))])
def test_slighter_damage_is_at_least_a_warning(column, change):
    outcomes = {r.subject.split(",")[0]: r.outcome for r in taxi_rules("2014-01-01", changed(column, change)) if "drift." in r.name}
    assert outcomes[column] in (RuleOutcome.WARN, RuleOutcome.BLOCK)


def test_the_taxi_policy_names_features_of_its_schema_only():
    assert {*DATA_POLICY.drift.exempt, *DATA_POLICY.drift.features} <= set(taxi_spans.features())


# --- numbers


def test_divergence_is_that_of_the_definition():
    before, now = Spread(NUMBERS, 0.0, buckets=(Bucket(0, 1, 0.5), Bucket(1, 2, 0.5))), Spread(NUMBERS, 0.5, buckets=(Bucket(0, 1, 0.5),))
    p, q = [0.0, 0.5, 0.5], [0.5, 0.5, 0.0]
    wanted = sum(s * math.log2(s / ((a + b) / 2)) / 2 for a, b in zip(p, q) for s in (a, b) if s)
    distance = jensen_shannon_divergence(before, now)
    assert distance.value == pytest.approx(wanted) == pytest.approx(0.5)
    assert [m.says for m in distance.moved] == ["above 1: 50.0 % before, 0.0 % now", "missing: 0.0 % before, 50.0 % now"]


@pytest.mark.parametrize(
    ("now", "least"),
    [
        (lambda x: x, 0.0),
        (lambda x: x + 1000, 1.0),
        (lambda x: x - 1000, 1.0),
        (lambda x: np.full_like(x, -5.0), 1.0),
        (lambda x: np.where(np.arange(len(x)) % 2, x, -999.0), 0.3),
        (lambda x: np.where(np.arange(len(x)) % 2, x, np.nan), 0.3),
    ],
    ids=["same", "all above", "all below", "one number below", "a sign for missing", "NaN"],
)
def test_divergence_of_what_has_nothing_in_common_is_one_and_of_half_that_is_spoilt_a_third(now, least):
    numbers = RANDOM.lognormal(size=600)
    value = jensen_shannon_divergence(spread(numbers), spread(now(numbers))).value
    assert value == pytest.approx(least, abs=0.07)  # a tenth of the rows may lie in a bucket that reaches from the sign to the numbers


def test_infinite_numbers_are_a_bin_of_their_own():
    halves = (Bucket(0, 1, 0.5), Bucket(1, 2, 0.5))
    reaching = (Bucket(0, 1, 0.25), Bucket(1, 2, 0.25), Bucket(2, math.inf, 0.5))
    distance = jensen_shannon_divergence(Spread(NUMBERS, 0.0, buckets=halves), Spread(NUMBERS, 0.0, buckets=reaching))
    assert distance.moved[0].says == "infinite: 0.0 % before, 50.0 % now"
    assert distance.value == pytest.approx(0.311, abs=0.001)


@pytest.mark.parametrize("rare", [0.0, 0.05, 0.3])
def test_a_number_that_becomes_common_or_rare_is_seen_though_it_fills_no_tenth(rare):
    before, now = (spread((np.arange(1000) >= share * 1000).astype(float)) for share in (rare, 0.6))
    assert jensen_shannon_divergence(before, now).value > 0.05
    assert jensen_shannon_divergence(now, before).value > 0.05


def test_one_far_number_moves_nothing():
    numbers = RANDOM.lognormal(size=600)
    far = np.append(numbers[:-1], 1e9)
    assert jensen_shannon_divergence(spread(numbers), spread(far)).value < 0.005
    assert jensen_shannon_divergence(spread(far), spread(numbers)).value < 0.005


buckets = st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 3), st.floats(0.01, 1)), min_size=0, max_size=8)


@given(buckets, buckets, st.floats(0, 0.9), st.floats(0, 0.9))
def test_bins_hold_all_rows_of_both_spreads_and_the_divergence_lies_between_0_and_1(one, other, missing, also_missing):
    before, now = made(one, missing), made(other, also_missing)
    bins = common_bins(before, now)
    assert sum(b.before for b in bins) == pytest.approx(sum(b.share for b in before.buckets), abs=1e-9)
    assert sum(b.now for b in bins) == pytest.approx(sum(b.share for b in now.buckets), abs=1e-9)
    assert 0 <= jensen_shannon_divergence(before, now).value <= 1
    assert jensen_shannon_divergence(before, before).value == pytest.approx(0, abs=1e-9)


def test_the_smallest_share_there_is_is_no_division_by_nothing():
    before, now = made([(0, 0, 1.0)], 0.0), made([(0, 0, 1.0)], 5e-324)
    assert jensen_shannon_divergence(before, now).value == pytest.approx(0)


def made(raw: list[tuple[int, int, float]], missing: float) -> Spread:
    """Neighbouring buckets as TFDV makes them: each begins where the one before it ends, some of no width."""
    if not raw:
        return Spread(NOTHING, 1.0)
    total, low, result = sum(share for *_, share in raw), float(raw[0][0]), []
    for _, width, share in raw:
        result.append(Bucket(low, low + width, share / total * (1 - missing)))
        low += width
    return Spread(NUMBERS, missing, buckets=tuple(result))


def test_numbers_that_drift_for_us_drift_for_tfdv_too_in_the_same_order():
    base = RANDOM.lognormal(size=3000)
    ours, theirs = [], []
    for factor in (1.0, 1.2, 1.6, 3.0):
        now = RANDOM.lognormal(size=3000) * factor
        ours.append(jensen_shannon_divergence(spread(base), spread(now)).value)
        theirs.append(tfdvs_own(base, now))
    assert ours == sorted(ours) and theirs == sorted(theirs)
    assert ours == pytest.approx(theirs, abs=0.12)


def tfdvs_own(before: np.ndarray, now: np.ndarray) -> float:
    """TFDV's drift measure, on its quantiles."""
    schema = schema_pb2.Schema()
    feature = schema.feature.add(name="x", type=schema_pb2.FLOAT)
    feature.drift_comparator.jensen_shannon_divergence.threshold = 0.0
    feature.drift_comparator.jensen_shannon_divergence.source.type = schema_pb2.HistogramSelection.QUANTILES
    found = tfdv.validate_statistics(counted(now), schema, previous_statistics=counted(before))
    [info] = found.drift_skew_info
    return info.drift_measurements[0].value


# --- values


def test_the_largest_change_of_a_share_counts_and_missing_is_a_share():
    before = spread(["Cash"] * 6 + ["Card"] * 4)
    now = spread(["Cash"] * 3 + ["Card"] * 2 + [None] * 5)
    distance = infinity_norm(before, now)
    assert distance.value == pytest.approx(0.5)
    assert [m.says for m in distance.moved] == [
        "missing: 0.0 % before, 50.0 % now",
        "'Cash': 60.0 % before, 30.0 % now",
        "'Card': 40.0 % before, 20.0 % now",
    ]


counts = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(1, 50), min_size=1)


@given(counts, counts, st.integers(1, 12), st.integers(1, 12))
def test_a_cut_list_never_makes_up_drift_and_misses_no_more_than_the_rarest_listed_share(one, other, kept, also_kept):
    whole = infinity_norm(listed(one, 99), listed(other, 99)).value
    before, now = listed(one, kept), listed(other, also_kept)
    cut = infinity_norm(before, now).value
    assert cut <= whole + 1e-9
    assert whole <= cut + max(before.unlisted, now.unlisted) + 1e-9


def listed(values: dict[str, int], kept: int) -> Spread:
    """What is read from TFDV's statistics of these values when it lists only the commonest."""
    stats = statistics_pb2.FeatureNameStatistics(type=statistics_pb2.FeatureNameStatistics.STRING)
    total = sum(values.values())
    stats.string_stats.common_stats.num_non_missing = stats.string_stats.common_stats.tot_num_values = total
    for value, count in sorted(values.items(), key=lambda item: (-item[1], item[0]))[:kept]:
        stats.string_stats.rank_histogram.buckets.add(label=value, sample_count=count)
    return Spread.read(stats, total)


def test_a_value_that_may_be_among_the_rest_is_said_to_be_at_most_as_common_as_the_rarest_listed():
    distance = infinity_norm(listed({"a": 60, "b": 40}, 99), listed({"c": 50, "d": 30, "a": 20}, 2))
    assert distance.value == pytest.approx(0.5)
    assert "'a': 60.0 % before, at most 20.0 % now" in [m.says for m in distance.moved]


# --- rules


def test_limits_of_single_features_come_before_the_default_and_exempt_ones_are_not_compared():
    before, now = span(1, x=[0.0, 1.0] * 10, y=["a"] * 20, z=["a"] * 20), span(2, x=[0.0, 1.0] * 10, y=["b"] * 20, z=["b"] * 20)
    policy = DriftPolicy(SOME, SOME, features={"y": DriftLimit(warn_above=0.1)}, exempt=("z",))
    rules = drift.judge([before, now], ["x", "y", "z"], policy)
    assert [(r.subject, r.outcome) for r in rules] == [
        ("x, split train of span 2", RuleOutcome.PASS),
        ("y, split train of span 2", RuleOutcome.WARN),
    ]


def test_the_newest_span_is_compared_with_the_one_before_it():
    rules = drift.judge([span(1, y=["b"] * 9), span(2, y=["a"] * 9), span(3, y=["a"] * 9)], ["y"], POLICY)
    assert (rules[0].subject, rules[0].outcome, rules[0].found) == ("y, split train of span 3", RuleOutcome.PASS, "0.000")
    assert "from span 2 of" in rules[0].expected


def test_a_span_that_drifted_and_stayed_in_the_window_is_remarked_upon_in_later_runs():
    rules = drift.judge([span(1, y=["a"] * 9), span(2, y=["b"] * 9), span(3, y=["a"] * 9), span(4, y=["a"] * 9)], ["y"], POLICY)
    assert [(r.subject, r.outcome) for r in rules] == [
        ("y, split train of span 4", RuleOutcome.PASS),
        ("y, split train of span 2", RuleOutcome.WARN),
        ("y, split train of span 3", RuleOutcome.WARN),
    ]


def test_without_a_span_before_it_one_rule_says_that_nothing_was_judged():
    [rule] = drift.judge([span(1, y=["a"])], ["y"], POLICY)
    assert (rule.name, rule.outcome, rule.found) == ("drift", RuleOutcome.NOT_JUDGED, "none")


@pytest.mark.parametrize(("rows", "judged"), [(29, False), (30, True)])
def test_too_few_rows_in_either_span_are_not_judged(rows, judged):
    policy = DriftPolicy(SOME, SOME, min_rows=30)
    for pair in ([span(1, y=["a"] * rows), span(2, y=["b"] * 99)], [span(1, y=["a"] * 99), span(2, y=["b"] * rows)]):
        [rule] = drift.judge(pair, ["y"], policy)
        assert rule.outcome is (RuleOutcome.BLOCK if judged else RuleOutcome.NOT_JUDGED)


def test_a_split_that_is_not_there_is_not_judged():
    [rule] = drift.judge([span(1, y=["a"]), span(2, y=["a"])], ["y"], DriftPolicy(SOME, SOME, split="test"))
    assert rule.outcome is RuleOutcome.NOT_JUDGED
    assert rule.expected == "at least 1 rows in split test of both spans"


def test_a_column_that_is_gone_has_drifted_altogether_and_one_that_never_was_there_has_not():
    rules = drift.judge([span(1, y=["a"] * 9, x=[1.0] * 9), span(2, y=["a"] * 9)], ["x", "y", "never"], POLICY)
    assert [r.outcome for r in rules] == [RuleOutcome.BLOCK, RuleOutcome.PASS, RuleOutcome.PASS]
    assert rules[0].found == "1.000"


def test_numbers_that_became_words_are_not_judged():
    [rule] = drift.judge([span(1, x=[1.0] * 9), span(2, x=["one"] * 9)], ["x"], POLICY)
    assert (rule.outcome, rule.found) == (RuleOutcome.NOT_JUDGED, "numbers, now values")


def test_a_feature_whose_statistics_say_nothing_of_its_values_is_not_judged():
    odd = SpanEvidence(2, (SplitEvidence("train", 9, (), {"x": Spread(UNKNOWN, 0.0)}),), None, {})
    assert drift.judge([span(1, x=[1.0] * 9), odd], ["x"], POLICY)[0].outcome is RuleOutcome.NOT_JUDGED


def test_a_name_in_the_policy_that_the_schema_does_not_have_is_said():
    rules = drift.judge([span(1, y=["a"]), span(2, y=["a"])], ["y"], DriftPolicy(SOME, SOME, exempt=("yy",)))
    assert (rules[0].subject, rules[0].outcome) == ("yy", RuleOutcome.NOT_JUDGED)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: DriftLimit(),
        lambda: DriftLimit(block_above=1.5),
        lambda: DriftLimit(warn_above=0.3, block_above=0.2),
        lambda: DriftPolicy(SOME, SOME, min_rows=0),
        lambda: DriftPolicy(SOME, SOME, features={"x": SOME}, exempt=("x",)),
    ],
)
def test_limits_that_cannot_be_applied_are_refused(wrong):
    with pytest.raises(PolicyError):
        wrong()


def test_a_limit_says_what_it_asks_for():
    assert DriftLimit(0.1, 0.2).wanted() == "at most 0.1 (more than 0.2 blocks)"
    assert DriftLimit(block_above=0.2).wanted() == "at most 0.2"
    assert [DriftLimit(0.1, 0.2).weigh(d) for d in (0.1, 0.15, 0.2, 0.21)] == [
        RuleOutcome.PASS,
        RuleOutcome.WARN,
        RuleOutcome.WARN,
        RuleOutcome.BLOCK,
    ]


def counted(column) -> statistics_pb2.DatasetFeatureStatisticsList:
    """TFDV's statistics of one column `x`."""
    values = [None if v is None else [v] for v in column]
    words = any(isinstance(v, str) for v in column)
    array = pa.array(values, type=pa.large_list(pa.large_binary() if words else pa.float32()))
    return stats_impl.generate_statistics_in_memory(pa.RecordBatch.from_arrays([array], ["x"]), tfdv.StatsOptions())


def spread(column) -> Spread:
    found = Spread.read(counted(column).datasets[0].features[0], len(column))
    assert found.kind in (NUMBERS, VALUES)
    return found


def span(number: int, **columns) -> SpanEvidence:
    rows = len(next(iter(columns.values())))
    split = SplitEvidence("train", rows, (), {name: spread(column) for name, column in columns.items()})
    return SpanEvidence(number, (split,), rows, {"train": rows})
