"""Skew between training and serving: the taxi policy on real quarters, half of whose trips stand for what was asked."""

from __future__ import annotations

import csv
import io
import pathlib

import pytest
import taxi_data
import taxi_spans

from components import serving_sample
from pipelines.taxi import features, land
from pipelines.taxi.policy import SKEW
from waybill.gates import skew
from waybill.launch.landing import deliver
from waybill.launch.partitions import samples_of
from waybill.records.interval import parse_moment
from waybill.records.verdict import Rule, RuleOutcome

ASKED = [treatment.name for treatment in features.TREATMENTS]  # the columns that a request has


def rules(folder: pathlib.Path, label: str, spoil=list, columns=ASKED) -> list[Rule]:
    """What the policy says of a sample: every second trip of the quarter, spoilt."""
    asked = spoil([{name: row[name] for name in columns} for row in taxi_data.trips()[label][::2]])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asked[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asked)
    quarter = land.quarter(parse_moment(label))
    landed = deliver(folder, samples_of("taxi"), quarter, {"asked.csv": text.getvalue().encode()}, len(asked))
    sample = serving_sample.read(pathlib.Path(landed.path), landed.digest, taxi_spans.schema())
    return skew.judge(taxi_spans.quarter(label), sample, taxi_spans.features(), SKEW)


def bad(found: list[Rule], *outcomes: RuleOutcome) -> list[str]:
    return [rule.subject.split(",")[0] for rule in found if rule.outcome in outcomes]


@pytest.mark.parametrize("label", taxi_spans.QUARTERS[:12])
def test_requests_like_what_is_learned_from_pass_without_a_warning(tmp_path, label):
    found = rules(tmp_path, label)
    assert bad(found, RuleOutcome.BLOCK, RuleOutcome.WARN, RuleOutcome.NOT_JUDGED) == []
    assert sorted(rule.subject.split(",")[0] for rule in found) == sorted(ASKED)


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("fare", lambda cell: str(float(cell) * 100) if cell else cell),
        ("trip_seconds", lambda cell: str(int(cell) // 60) if cell else cell),
        ("payment_type", str.upper),
        ("trip_miles", lambda cell: ""),
        ("trip_start_hour", lambda cell: "0"),
        ("fare", lambda cell: f"${cell}"),
    ],
    ids=["fares in cents", "seconds in minutes", "payment types in capitals", "no miles", "all at midnight", "fares with a sign"],
)
def test_what_is_asked_otherwise_than_it_is_learned_is_blocked_or_not_judged_by_its_feature_alone(tmp_path, column, change):
    found = rules(tmp_path, "2014-01-01", lambda rows: [dict(row, **{column: change(row[column])}) for row in rows])
    assert bad(found, RuleOutcome.BLOCK, RuleOutcome.NOT_JUDGED) == [column]


def test_a_column_that_requests_lack_blocks(tmp_path):
    found = rules(tmp_path, "2014-01-01", columns=[name for name in ASKED if name != "company"])
    assert bad(found, RuleOutcome.BLOCK) == ["company"]


def test_a_few_requests_say_nothing(tmp_path):
    (rule,) = rules(tmp_path, "2014-01-01", lambda rows: rows[:100])
    assert (rule.outcome, rule.expected) == (RuleOutcome.NOT_JUDGED, "at least 250 rows in both")
    assert rule.found.endswith("100 in the sample")
