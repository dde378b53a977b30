"""A raw column -> what a model learns from, in a graph that training and serving share.

    amount 27.05, kind "large", colour missing    ->    amount_xf 1.17, kind_xf 0, colour_xf 44

A treatment is one column's; a pipeline lists its own in `features.py`, and its model makes an input of each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf
import tensorflow_transform as tft

from waybill.training.servable import MISSING

_FARTHEST = 10.0  # standard deviations; one nonsensical number in a million should not be all that the model sees


@dataclasses.dataclass(frozen=True)
class Scaled:
    """A number -> its logarithm's distance from the mean in standard deviations; a missing one is average.

    Attributes:
      name: The column: a number, 0 or more.
    """

    name: str

    def apply(self, column: tf.Tensor) -> tf.Tensor:
        """Maps `[n, 1]` numbers to `[n, 1]` floats."""
        value = tf.cast(column, tf.float32)
        logarithm = tf.math.log1p(tf.maximum(value, 0.0))
        # Comparisons with NaN are false: what is not 0 or more is missing, be it the sign for it or nonsense.
        known = tf.where(tf.logical_and(value >= 0.0, tf.math.is_finite(value)), logarithm, MISSING[tf.float32])
        scaled = tft.scale_to_z_score(known)
        return tf.where(tf.math.is_finite(scaled), scaled, tf.zeros_like(scaled))


@dataclasses.dataclass(frozen=True)
class Standardized:
    """A number -> its distance from the mean in standard deviations, ten of them at most; a missing one is average.

    Attributes:
      name: The column: a number, also one below 0; whole numbers are 0 or more.
    """

    name: str

    def known(self, column: tf.Tensor) -> tf.Tensor:
        """Maps `[n, 1]` numbers to `[n, 1]` floats, NaN where there is none."""
        value = tf.cast(column, tf.float32)
        known = tf.math.is_finite(value) if column.dtype.is_floating else column != MISSING[column.dtype]
        return tf.where(known, value, MISSING[tf.float32])


@dataclasses.dataclass(frozen=True)
class Bucketed:
    """A number -> the number of its quantile; a missing one has a number of its own.

    Attributes:
      name: The column.
      buckets: Number of quantiles.
    """

    name: str
    buckets: int

    @property
    def ids(self) -> int:
        """How many different ids there can be."""
        return self.buckets + 1

    def apply(self, column: tf.Tensor) -> tf.Tensor:
        """Maps `[n, 1]` floats to `[n, 1]` ids."""
        bucket = tft.bucketize(column, self.buckets)
        return tf.where(tf.math.is_finite(column), bucket, self.buckets)


@dataclasses.dataclass(frozen=True)
class Numbered:
    """A whole number from a known range -> its place in it; a missing one, or one from outside, has an id of its own.

    Attributes:
      name: The column.
      low: Smallest number.
      high: Largest number.
    """

    name: str
    low: int
    high: int

    @property
    def ids(self) -> int:
        """How many different ids there can be."""
        return self.high - self.low + 2

    def apply(self, column: tf.Tensor) -> tf.Tensor:
        """Maps `[n, 1]` integers to `[n, 1]` ids."""
        inside = tf.logical_and(column >= self.low, column <= self.high)
        return tf.where(inside, column - self.low, self.ids - 1)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """A text or code -> its rank among the most frequent; others share out-of-vocabulary ids, a missing one has an id of its own.

    Attributes:
      name: The column.
      size: How many of the most frequent values are told apart.
      unseen: Number of ids that all other values share, by a hash.
    """

    name: str
    size: int
    unseen: int

    @property
    def ids(self) -> int:
        """How many different ids there can be, however many values the data had."""
        return self.size + self.unseen + 1

    def apply(self, column: tf.Tensor) -> tf.Tensor:
        """Maps `[n, 1]` texts or integers to `[n, 1]` ids."""
        missing = tf.equal(column, tf.constant(MISSING[column.dtype], column.dtype))
        text = column if column.dtype == tf.string else tf.strings.as_string(column)
        text = tf.where(missing, tf.zeros_like(text), text)  # an empty text is not counted as a value
        rank = tft.compute_and_apply_vocabulary(text, top_k=self.size, num_oov_buckets=self.unseen, vocab_filename=self.name)
        return tf.where(missing, tf.cast(self.ids - 1, rank.dtype), rank)


Number = Scaled | Standardized
Treatment = Number | Bucketed | Numbered | Vocabulary


def transformed(name: str) -> str:
    """The name of a column after its treatment; another one, because an evaluation sees both."""
    return f"{name}_xf"


def treat(columns: Mapping[str, tf.Tensor], treatments: Sequence[Treatment]) -> dict[str, tf.Tensor]:
    """Dense columns by name -> the treated ones, by their new names."""
    standard = [t for t in treatments if isinstance(t, Standardized)]
    others = {transformed(t.name): t.apply(columns[t.name]) for t in treatments if not isinstance(t, Standardized)}
    return {**others, **_standardized({transformed(t.name): t.known(columns[t.name]) for t in standard})}


def _standardized(columns: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Columns of numbers, NaN where there is none -> their distances from the mean."""
    if not columns:
        return {}
    # All at once: for each by itself Beam would have a pass of its own, thirty for thirty columns.
    side_by_side = tf.reshape(tf.concat(list(columns.values()), axis=1), [-1, len(columns)])
    scaled = tft.scale_to_z_score(side_by_side, elementwise=True)
    near = tf.where(tf.math.is_finite(scaled), tf.clip_by_value(scaled, -_FARTHEST, _FARTHEST), tf.zeros_like(scaled))
    return dict(zip(columns, tf.split(near, len(columns), axis=1), strict=True))


def dense_columns(inputs: Mapping[str, tf.SparseTensor], names: Iterable[str]) -> dict[str, tf.Tensor]:
    """The columns of those names, each `[n, 1]`."""
    # Asked of one column for all, because what is asked is traced five times, saved and loaded.
    shape = tf.stack([next(iter(inputs.values())).dense_shape[0], 1])
    return {name: dense(inputs[name], shape) for name in names}


def dense(column: tf.SparseTensor, shape: tf.Tensor) -> tf.Tensor:
    """A column with one value or none in each row -> `[n, 1]` values, missing ones as their sign; undone by `servable.sparse`."""
    return tf.sparse.to_dense(tf.SparseTensor(column.indices, column.values, shape), default_value=MISSING[column.dtype])
