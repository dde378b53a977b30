"""A trained model and its transform graph -> a SavedModel that takes raw trips.

`serving_default`: serialized tf.Examples of raw columns -> `score`.
`raw`: one `[n, 1]` tensor per raw column that the model uses, missing values as in `features.MISSING` -> `score`.
`transform_features`: serialized tf.Examples -> transformed columns and the label, for evaluation.

The first two need neither tips nor span, and a tf.Example may leave out any column.

What is saved is variables, tables and these three functions, not Keras' own objects: those would be traced once more for every layer,
which took three quarters of the time to save a model and to load it again, and nobody who serves or evaluates a model asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras

from pipelines.taxi.features import TREATMENTS, sparse
from pipelines.taxi.policy import LABEL, PREDICTION

Columns = Mapping[str, tf.SparseTensor]


def save(model: tf_keras.Model, transform_output: tft.TFTransformOutput, folder: str) -> None:
    """Writes the SavedModel.

    Args:
      model: The trained model.
      transform_output: What `transform` learned.
      folder: Where to.
    """
    servable = _Servable(model, transform_output)
    used = {treatment.name for treatment in TREATMENTS}
    requested = {name: column for name, column in servable.spec.items() if name in used}
    signatures = {"serving_default": _serving(servable, requested), "raw": _raw(servable, requested)}
    signatures["transform_features"] = _transform_features(servable)
    # Nobody learns through a released model, so no gradients are traced to be saved.
    tf.saved_model.save(servable, folder, signatures, tf.saved_model.SaveOptions(experimental_custom_gradients=False))


class _Servable(tf.Module):
    """A trained model behind its transform graph; what the signatures need is an attribute, because only that is saved.

    Attributes:
      spec: Raw columns by name.
      graph: The transform graph with its tables.
      weights: The model's variables.
    """

    def __init__(self, model: tf_keras.Model, transform_output: tft.TFTransformOutput):
        super().__init__()
        self.spec = transform_output.raw_feature_spec()
        self.graph = tf.saved_model.load(transform_output.transform_savedmodel_dir)
        self.weights = model.variables
        # A function, because an attribute that is a Keras model would be saved as one.
        self._predict: Callable[[Mapping[str, tf.Tensor]], tf.Tensor] = lambda columns: model(columns, training=False)

    def transform(self, columns: Columns, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raw columns of so many rows -> transformed ones; columns that are not given are missing in every row."""
        absent = {name: _absent(kind.dtype, rows) for name, kind in self.spec.items() if name not in columns}
        transformed: dict[str, tf.Tensor] = self.graph.transform_fn({**columns, **absent})
        return transformed

    def score(self, columns: Columns, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raw columns -> what `serving_default` and `raw` answer."""
        transformed = self.transform(columns, rows)
        return {PREDICTION: self._predict({name: column for name, column in transformed.items() if name != LABEL})}


def _serving(servable: _Servable, spec: dict[str, Any]) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return servable.score(tf.io.parse_example(examples, spec), tf.size(examples, tf.int64))

    return serving_default


def _raw(servable: _Servable, spec: dict[str, Any]) -> Any:
    @tf.function(autograph=False)
    def raw(columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        rows = tf.shape(next(iter(columns.values())), out_type=tf.int64)[0]
        return servable.score({name: sparse(column) for name, column in columns.items()}, rows)

    return raw.get_concrete_function({name: tf.TensorSpec([None, 1], column.dtype, name=name) for name, column in spec.items()})


def _transform_features(servable: _Servable) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = servable.transform(tf.io.parse_example(examples, servable.spec), tf.size(examples, tf.int64))
        # TFMA compares the label with scores, which are floats.
        return {**columns, LABEL: tf.cast(columns[LABEL], tf.float32)}

    return transform_features


def _absent(dtype: tf.DType, rows: tf.Tensor) -> tf.SparseTensor:
    """A column without a value in any row."""
    return tf.SparseTensor(tf.zeros([0, 2], tf.int64), tf.zeros([0], dtype), tf.stack([rows, tf.constant(0, tf.int64)]))
