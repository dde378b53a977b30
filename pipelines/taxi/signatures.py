"""A trained model and its transform graph -> a SavedModel that takes raw trips.

`serving_default`: serialized tf.Examples of raw columns -> `score`.
`raw`: one `[n, 1]` tensor per raw column that the model uses, missing values as in `features.MISSING` -> `score`.
`transform_features`: serialized tf.Examples -> transformed columns and the label, for evaluation.

The first two need neither tips nor span, and a tf.Example may leave out any column.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras

from pipelines.taxi.features import TREATMENTS, sparse
from pipelines.taxi.policy import LABEL, PREDICTION


def save(model: tf_keras.Model, transform_output: tft.TFTransformOutput, folder: str) -> None:
    """Writes the SavedModel.

    Args:
      model: The trained model, which gets the transform graph attached.
      transform_output: What `transform` learned.
      folder: Where to.
    """
    used = {treatment.name for treatment in TREATMENTS}
    spec = transform_output.raw_feature_spec()
    requested = {name: column for name, column in spec.items() if name in used}
    # A layer for each set of columns it is called with, each an attribute, because Keras saves only what it can reach from the model.
    model.transform_request = transform_output.transform_features_layer()
    model.transform_labelled = transform_output.transform_features_layer()
    signatures = {
        "serving_default": _serving(model, requested),
        "raw": _raw(model, requested),
        "transform_features": _transform_features(model, spec),
    }
    model.save(folder, save_format="tf", signatures=signatures)


def _serving(model: tf_keras.Model, spec: dict[str, Any]) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {PREDICTION: model(model.transform_request(tf.io.parse_example(examples, spec)))}

    return serving_default


def _raw(model: tf_keras.Model, spec: dict[str, Any]) -> Any:
    @tf.function
    def raw(columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {PREDICTION: model(model.transform_request({name: sparse(column) for name, column in columns.items()}))}

    return raw.get_concrete_function({name: tf.TensorSpec([None, 1], column.dtype, name=name) for name, column in spec.items()})


def _transform_features(model: tf_keras.Model, spec: dict[str, Any]) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = model.transform_labelled(tf.io.parse_example(examples, spec))
        # TFMA compares the label with scores, which are floats.
        return {**columns, LABEL: tf.cast(columns[LABEL], tf.float32)}

    return transform_features
