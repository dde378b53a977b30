"""A trained model behind its transform graph -> a SavedModel that takes raw rows.

`serving_default`: serialized tf.Examples of raw columns -> the model's answer.
`raw`: one `[n, 1]` tensor per raw column that the model uses, missing values as in `MISSING` -> the same answer.
`transform_features`: serialized tf.Examples -> transformed columns and the label, for evaluation.

The first two take the columns that the model uses and no others. One with a shape in the schema must be in every request; of the others a
tf.Example may leave out any.

What is saved is variables, tables and these three functions, not Keras' own objects: those would be traced once more for every layer,
which took three quarters of the time to save a model and to load it again, and nobody who serves or evaluates a model asks for them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras

Column: TypeAlias = "tf.Tensor | tf.SparseTensor"

# What stands for a missing value where every row must have one; no column should have these as values.
MISSING = {tf.float32: float("nan"), tf.int64: -1, tf.string: b""}


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a model is asked, and how its answer is called.

    Attributes:
      columns: The raw columns that it uses.
      label: Name of the label among the transformed columns.
      output: Name of the answer.
    """

    columns: Collection[str]
    label: str
    output: str


def save(model: tf_keras.Model, transform_output: tft.TFTransformOutput, asked: Asked, folder: str) -> None:
    """Writes the SavedModel.

    Args:
      model: The trained model, from transformed columns by name to its answer.
      transform_output: What `transform` learned.
      asked: What it is asked.
      folder: Where to.
    """
    servable = _Servable(model, transform_output, asked)
    requested = {name: column for name, column in servable.spec.items() if name in asked.columns}
    signatures = {"serving_default": _serving(servable, requested), "raw": _raw(servable, requested)}
    signatures["transform_features"] = _transform_features(servable)
    # Nobody learns through a released model, so no gradients are traced to be saved.
    tf.saved_model.save(servable, folder, signatures, tf.saved_model.SaveOptions(experimental_custom_gradients=False))


def sparse(column: tf.Tensor) -> tf.SparseTensor:
    """Values of the shape `[n, 1]`, with the sign for missing ones -> a column with one value or none in each row."""
    missing = tf.math.is_nan(column) if column.dtype.is_floating else tf.equal(column, tf.constant(MISSING[column.dtype], column.dtype))
    present = tf.where(tf.logical_not(missing))
    return tf.SparseTensor(present, tf.gather_nd(column, present), tf.shape(column, out_type=tf.int64))


class _Servable(tf.Module):
    """A trained model behind its transform graph; what the signatures need is an attribute, because only that is saved.

    Attributes:
      spec: Raw columns by name.
      graph: The transform graph with its tables.
      weights: The model's variables.
    """

    def __init__(self, model: tf_keras.Model, transform_output: tft.TFTransformOutput, asked: Asked):
        super().__init__()
        self.spec = transform_output.raw_feature_spec()
        self.graph = tf.saved_model.load(transform_output.transform_savedmodel_dir)
        self.weights = model.variables
        self.asked = asked
        # A function, because an attribute that is a Keras model would be saved as one.
        self._predict: Callable[[Mapping[str, tf.Tensor]], tf.Tensor] = lambda columns: model(columns, training=False)

    def transform(self, columns: Mapping[str, Column], rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raw columns of so many rows -> transformed ones; columns that are not given are missing in every row."""
        absent = {name: _absent(kind, rows) for name, kind in self.spec.items() if name not in columns}
        transformed: dict[str, tf.Tensor] = self.graph.transform_fn({**columns, **absent})
        return transformed

    def answer(self, columns: Mapping[str, Column], rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raw columns -> what `serving_default` and `raw` answer."""
        transformed = self.transform(columns, rows)
        return {self.asked.output: self._predict({name: column for name, column in transformed.items() if name != self.asked.label})}


def _serving(servable: _Servable, spec: dict[str, Any]) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def serving_default(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return servable.answer(tf.io.parse_example(examples, spec), tf.size(examples, tf.int64))

    return serving_default


def _raw(servable: _Servable, spec: dict[str, Any]) -> Any:
    @tf.function(autograph=False)
    def raw(columns: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        rows = tf.shape(next(iter(columns.values())), out_type=tf.int64)[0]
        return servable.answer({name: column if _whole(spec[name]) else sparse(column) for name, column in columns.items()}, rows)

    return raw.get_concrete_function({name: tf.TensorSpec([None, 1], column.dtype, name=name) for name, column in spec.items()})


def _transform_features(servable: _Servable) -> Any:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def transform_features(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        columns = servable.transform(tf.io.parse_example(examples, servable.spec), tf.size(examples, tf.int64))
        # TFMA compares the label with scores, which are floats.
        return {**columns, servable.asked.label: tf.cast(columns[servable.asked.label], tf.float32)}

    return transform_features


def _whole(kind: Any) -> bool:
    """Whether each row has a value of the column, as its shape in the schema says."""
    return isinstance(kind, tf.io.FixedLenFeature)


def _absent(kind: Any, rows: tf.Tensor) -> Column:
    """A column that nobody asks for: no value in any row, or, where each row must have one, a blank."""
    if _whole(kind):
        return tf.zeros(tf.concat([[rows], tf.constant(kind.shape, tf.int64)], 0), kind.dtype)
    return tf.SparseTensor(tf.zeros([0, 2], tf.int64), tf.zeros([0], kind.dtype), tf.stack([rows, tf.constant(0, tf.int64)]))
