"""What the transform graph makes of a trip: numbers, quantiles, ranges and words, seen, unseen and missing; and the label."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import schema_pb2
from trained_taxi import example, signatures_on_disk, trained

from pipelines.taxi.features import TREATMENTS
from pipelines.taxi.policy import LABEL
from waybill.records.settings import PROJECT
from waybill.tables import treatments
from waybill.tables.treatments import Bucketed, Numbered, Scaled, Vocabulary, transformed
from waybill.training.servable import MISSING, sparse

UNUSED = {"pickup_census_tract", "trip_start_timestamp", "span", "tips"}


def test_every_column_of_the_schema_is_treated_or_left_out_on_purpose():
    schema = text_format.Parse((PROJECT / "schemas/taxi.pbtxt").read_text(), schema_pb2.Schema())

    assert {t.name for t in TREATMENTS} | UNUSED == {f.name for f in schema.feature}
    assert len({t.name for t in TREATMENTS}) == len(TREATMENTS)
    assert not {t.name for t in TREATMENTS} & UNUSED


def test_the_sign_for_a_missing_value_is_outside_of_every_domain():
    schema = text_format.Parse((PROJECT / "schemas/taxi.pbtxt").read_text(), schema_pb2.Schema())

    assert all(f.int_domain.min > MISSING[tf.int64] for f in schema.feature if f.type == schema_pb2.INT)
    assert all(f.float_domain.disallow_nan for f in schema.feature if f.type == schema_pb2.FLOAT)


def test_a_number_is_scaled_by_the_logarithms_of_the_train_split():
    train = [tf.train.Example.FromString(e) for e in trained().serialized("train")]
    logs = np.log1p([e.features.feature["fare"].float_list.value[0] for e in train])

    found = _transform(example(fare=12.45), example(fare=0.0))["fare_xf"]

    expected = [[(math.log1p(fare) - logs.mean()) / logs.std()] for fare in (12.45, 0.0)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("fare", [{}, {"fare": float("nan")}, {"fare": float("inf")}, {"fare": -3.0}])
def test_a_number_that_is_missing_or_nonsense_counts_as_average(fare):
    assert _transform(example(company="x", **fare))["fare_xf"].tolist() == [[0.0]]


def test_a_whole_number_is_scaled_like_any_other():
    found = _transform(example(trip_seconds=0), example(trip_seconds=10_000), example(fare=1.0))["trip_seconds_xf"]

    assert found[0] < found[2] == 0.0 < found[1]


def test_a_coordinate_becomes_its_quantile_and_a_missing_one_has_its_own():
    found = _transform(example(pickup_latitude=41.0), example(pickup_latitude=43.0), example(fare=1.0))["pickup_latitude_xf"]

    assert found.tolist() == [[0], [9], [10]]


@pytest.mark.parametrize(("hour", "expected"), [(0, 0), (23, 23), (24, 24), (-5, 24), (2**60, 24), (None, 24)])
def test_a_number_from_a_known_range_keeps_its_place_and_others_share_one(hour, expected):
    row = example(fare=1.0) if hour is None else example(fare=1.0, trip_start_hour=hour)

    assert _transform(row)["trip_start_hour_xf"].tolist() == [[expected]]


def test_words_are_ranked_by_how_often_they_occur():
    vocabulary = [w.decode() for w in trained().transform_output.vocabulary_by_name("payment_type")]

    found = _transform(*(example(payment_type=word) for word in vocabulary))["payment_type_xf"]

    assert vocabulary[:2] == ["Cash", "Credit Card"]
    assert found.ravel().tolist() == list(range(len(vocabulary)))


def test_an_unseen_word_shares_an_id_that_no_seen_one_has_and_a_missing_one_has_its_own():
    seen = trained().transform_output.vocabulary_size_by_name("company")
    [company] = [t for t in TREATMENTS if t.name == "company"]

    found = _transform(*(example(company=f"Unheard of {number}") for number in range(30)), example(fare=1.0), example(company=""))

    ids = found["company_xf"].ravel().tolist()
    assert set(ids[:30]) == set(range(seen, seen + 4))
    assert ids[30:] == [company.ids - 1] * 2
    assert seen + 4 <= company.ids - 1


def test_a_code_is_a_word_even_where_it_is_a_number():
    vocabulary = trained().transform_output.vocabulary_by_name("dropoff_census_tract")

    found = _transform(example(dropoff_census_tract=int(vocabulary[0])), example(fare=1.0))["dropoff_census_tract_xf"]

    assert found.tolist() == [[0], [104]]


def test_every_id_is_within_what_the_model_has_room_for():
    found = _transform(*trained().serialized("train"), *trained().serialized("eval"))

    for treatment in TREATMENTS:
        values = found[transformed(treatment.name)]
        assert values.shape == (300, 1)
        if isinstance(treatment, Scaled):
            assert np.isfinite(values).all()
        else:
            assert isinstance(treatment, Bucketed | Numbered | Vocabulary)
            assert 0 <= values.min() <= values.max() < treatment.ids


@pytest.mark.parametrize(
    ("trip", "label"),
    [
        ({"tips": 2.5, "fare": 10.0}, 1),
        ({"tips": 2.0, "fare": 10.0}, 0),
        ({"tips": 0.0, "fare": 10.0}, 0),
        ({"tips": 3.0, "fare": float("nan")}, 0),
        ({"tips": float("nan"), "fare": 3.0}, 0),
        ({"tips": 3.0}, 0),
        ({"fare": 3.0}, 0),
    ],
)
def test_the_label_is_whether_the_tip_is_above_a_fifth_of_the_fare(trip, label):
    layer = trained().transform_output.transform_features_layer()
    raw = tf.io.parse_example([example(**trip)], trained().transform_output.raw_feature_spec())

    assert layer(raw)[LABEL].numpy().tolist() == [[label]]


@given(st.lists(st.one_of(st.none(), st.integers(0, 2**62)), max_size=6))
def test_dense_and_sparse_are_inverse(cells):
    present = [row for row, cell in enumerate(cells) if cell is not None]
    column = tf.SparseTensor(
        tf.constant([[row, 0] for row in present], tf.int64, [len(present), 2]),
        tf.constant([cells[row] for row in present], tf.int64),
        [len(cells), 1],
    )

    dense = treatments.dense(column, tf.constant([len(cells), 1], tf.int64))
    back = sparse(dense)

    assert dense.numpy().ravel().tolist() == [-1 if cell is None else cell for cell in cells]
    assert back.indices.numpy().tolist() == column.indices.numpy().tolist()
    assert back.values.numpy().tolist() == column.values.numpy().tolist()


def _transform(*rows: bytes) -> dict[str, np.ndarray]:
    """What the signature for evaluation makes of raw rows."""
    signature = signatures_on_disk()["transform_features"]
    return {name: column.numpy() for name, column in signature(examples=tf.constant(rows)).items()}
