"""One trip, one score: through the transform graph and Keras, through each signature, and from disk in another process."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.core.util import event_pb2
from trained_taxi import SEED, SPREAD, STEPS, example, signatures_on_disk, trained

from pipelines.taxi import model
from pipelines.taxi.features import TREATMENTS
from pipelines.taxi.policy import LABEL, PREDICTION
from waybill.records.live_scores import LiveScores
from waybill.training import rows
from waybill.training.live import keep_scores
from waybill.training.recipe import Plan
from waybill.training.servable import MISSING

TRIP = {
    "fare": 12.45,
    "trip_miles": 3.1,
    "trip_seconds": 720,
    "pickup_latitude": 41.88,
    "pickup_longitude": -87.63,
    "dropoff_latitude": 41.90,
    "dropoff_longitude": -87.62,
    "trip_start_month": 5,
    "trip_start_day": 6,
    "trip_start_hour": 19,
    "pickup_community_area": 8,
    "dropoff_community_area": 32,
    "payment_type": "Credit Card",
    "company": "Taxi Affiliation Services",
    "dropoff_census_tract": 17031081500,
}
TRIPS = {
    "ordinary": TRIP,
    "numbers missing": {name: value for name, value in TRIP.items() if name not in ("fare", "trip_seconds", "dropoff_latitude")},
    "words missing": {name: value for name, value in TRIP.items() if name not in ("company", "dropoff_census_tract")},
    "unseen words": {**TRIP, "payment_type": "Barter", "company": "Nobody Cabs", "dropoff_census_tract": 17031999999},
    "only a fare": {"fare": 5.0},
    "nothing": {},
}


def test_the_same_trip_gets_the_same_score_every_way():
    rows = [example(**trip) for trip in TRIPS.values()]
    raw = tf.io.parse_example(rows, trained().transform_output.raw_feature_spec())
    columns = trained().transform_output.transform_features_layer()(raw)
    expected = trained().keras({name: column for name, column in columns.items() if name != LABEL}).numpy()

    loaded = signatures_on_disk()
    scores = {
        "examples": loaded["serving_default"](examples=tf.constant(rows))[PREDICTION].numpy(),
        "raw": loaded["raw"](**_columns(TRIPS.values()))[PREDICTION].numpy(),
        "another process": _score_elsewhere(trained().model, rows),
    }

    for way, found in scores.items():
        np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0, err_msg=way)
    assert len(np.unique(expected.round(4))) == len(TRIPS)
    assert ((expected > 0) & (expected < 1)).all()


def test_the_scores_that_are_kept_of_the_trained_model_are_those_of_the_saved_one(tmp_path):
    parse = model.LEARNER.recipe(trained().transform_output, 0.01, SPREAD).parse

    keep_scores(trained().keras, parse, trained().patterns("eval"), str(tmp_path))

    rows = tf.constant(trained().serialized("eval"))
    saved = np.sort(signatures_on_disk()["serving_default"](examples=rows)[PREDICTION].numpy().ravel())
    kept = LiveScores.read(tmp_path)
    assert kept is not None and kept.rows == len(saved) > 50
    np.testing.assert_allclose(kept.scores, [saved], atol=1e-6, rtol=0)


def test_a_score_needs_neither_tips_nor_span_and_is_not_moved_by_them():
    serve = signatures_on_disk()["serving_default"]

    scores = serve(examples=tf.constant([example(**TRIP), example(**TRIP, tips=40.0, span=209901010000)]))[PREDICTION].numpy()

    assert scores[0] == scores[1]


def test_the_signatures_say_what_they_take_and_give():
    found = signatures_on_disk()

    shapes = {
        name: {key: (spec.dtype, spec.shape.as_list()) for key, spec in f.structured_input_signature[1].items()}
        for name, f in found.items()
    }
    assert shapes["serving_default"] == shapes["transform_features"] == {"examples": (tf.string, [None])}
    assert set(shapes["raw"]) == {t.name for t in TREATMENTS}
    assert all(shape == [None, 1] for _, shape in shapes["raw"].values())
    assert {name: list(f.structured_outputs) for name, f in found.items() if name != "transform_features"} == {
        "serving_default": [PREDICTION],
        "raw": [PREDICTION],
    }
    assert found["transform_features"].structured_outputs[LABEL].dtype == tf.float32


def test_the_label_of_evaluation_is_that_of_the_trips():
    examples = trained().serialized("eval")
    trips = [tf.train.Example.FromString(e).features.feature for e in examples]

    found = signatures_on_disk()["transform_features"](examples=tf.constant(examples))[LABEL].numpy()

    expected = [float(t["tips"].float_list.value[0] > 0.2 * t["fare"].float_list.value[0]) for t in trips]
    assert found.ravel().tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_the_same_seed_and_rows_give_the_same_model_wherever_the_files_are(tmp_path):
    for name, artifact in zip("ba", trained().transformed, strict=True):
        (tmp_path / name).symlink_to(artifact.uri)
    elsewhere = [f"{tmp_path}/{name}/Split-train/*" for name in "ba"]

    again = trained().train(tmp_path, Plan(STEPS, SEED), patterns=elsewhere)

    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), trained().keras.get_weights(), strict=True))
    assert again.optimizer.iterations.numpy() == STEPS


@given(st.integers(1, 100_000))
def test_training_is_given_as_many_steps_as_asked_for_or_a_few_less_but_never_more(steps):
    epochs, each = Plan(steps, seed=1).schedule()

    assert 0.97 * steps <= epochs * each <= steps


def test_training_that_gets_no_better_stops_and_keeps_the_best_weights(tmp_path):
    keras = trained().train(tmp_path, Plan(2000, seed=1, look_every=5), rate=0.05)

    losses = _logged(tmp_path / "run" / "validation", "epoch_loss")
    parse = model.LEARNER.recipe(trained().transform_output, 0.05, SPREAD).parse
    kept = keras.evaluate(rows.read(trained().patterns("eval")).batch(32).map(parse), verbose=0, return_dict=True)["loss"]
    assert len(losses) < 400
    assert kept == pytest.approx(min(losses), rel=1e-5)
    assert not np.array_equal(keras.get_weights()[0], trained().keras.get_weights()[0])


def test_the_logs_for_tensorboard_are_kept_with_the_run():
    assert [_logged(trained().run / split, "epoch_loss") != [] for split in ("train", "validation")] == [True, True]


def _columns(trips) -> dict[str, tf.Tensor]:
    spec = trained().transform_output.raw_feature_spec()
    kinds = {t.name: spec[t.name].dtype for t in TREATMENTS}
    return {name: tf.constant([[trip.get(name, MISSING[kind])] for trip in trips], kind) for name, kind in kinds.items()}


def _score_elsewhere(saved: pathlib.Path, rows: list[bytes]) -> list[list[float]]:
    code = (
        "import json, sys, tensorflow as tf\n"
        "serve = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "rows = [bytes.fromhex(row) for row in json.loads(sys.argv[2])]\n"
        "print(json.dumps(serve(examples=tf.constant(rows))['score'].numpy().tolist()))"
    )
    command = [sys.executable, "-c", code, str(saved), json.dumps([row.hex() for row in rows])]
    return json.loads(subprocess.run(command, check=True, timeout=300, capture_output=True, text=True).stdout)


def _logged(folder: pathlib.Path, tag: str) -> list[float]:
    events = (
        event_pb2.Event.FromString(record.numpy())
        for path in sorted(folder.glob("events*"))
        for record in tf.data.TFRecordDataset([str(path)])
    )
    return [float(tf.make_ndarray(v.tensor)) for event in events for v in event.summary.value if v.tag == tag]
