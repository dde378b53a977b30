"""Raw columns of a trip -> what the model learns from, in a graph that training and serving share.

    fare 27.05, payment_type "Cash", company missing    ->    fare_xf 1.17, payment_type_xf 0, company_xf 44

How each column is treated is one entry of `TREATMENTS`. A column that is not there is not used: the pickup's census tract is empty in
nearly every row, the timestamp would teach the model the calendar of the past, and span and tips are not known when a score is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft

from pipelines.taxi.policy import LABEL
from waybill.training.servable import MISSING

BIG_TIP = 0.2  # the label is whether the tip is above this part of the fare


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


Treatment = Scaled | Bucketed | Numbered | Vocabulary

TREATMENTS: tuple[Treatment, ...] = (
    Scaled("fare"),
    Scaled("trip_miles"),
    Scaled("trip_seconds"),
    Bucketed("pickup_latitude", 10),
    Bucketed("pickup_longitude", 10),
    Bucketed("dropoff_latitude", 10),
    Bucketed("dropoff_longitude", 10),
    Numbered("trip_start_month", 1, 12),
    Numbered("trip_start_day", 1, 7),
    Numbered("trip_start_hour", 0, 23),
    Numbered("pickup_community_area", 1, 77),
    Numbered("dropoff_community_area", 1, 77),
    Vocabulary("payment_type", 10, 2),
    Vocabulary("company", 40, 4),
    Vocabulary("dropoff_census_tract", 100, 4),
)


def transformed(name: str) -> str:
    """The name of a column after its treatment; another one, because an evaluation sees both."""
    return f"{name}_xf"


def preprocessing_fn(inputs: Mapping[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
    """The graph that `transform` learns and the model carries along.

    Args:
      inputs: Raw columns by name, one value or none in each row.

    Returns:
      The treated columns and the label, `[n, 1]` each.
    """
    # Asked of one column for all, because what is asked is traced five times, saved and loaded.
    shape = tf.stack([next(iter(inputs.values())).dense_shape[0], 1])
    columns = {name: dense(inputs[name], shape) for name in ("tips", *(t.name for t in TREATMENTS))}
    outputs = {transformed(t.name): t.apply(columns[t.name]) for t in TREATMENTS}
    outputs[LABEL] = big_tip(columns["tips"], columns["fare"])
    return outputs


def big_tip(tips: tf.Tensor, fare: tf.Tensor) -> tf.Tensor:
    """The label, 1 or 0. Where tip or fare is missing or NaN it is 0: a comparison with NaN is false."""
    return tf.cast(tips > BIG_TIP * fare, tf.int64)


def dense(column: tf.SparseTensor, shape: tf.Tensor) -> tf.Tensor:
    """A column with one value or none in each row -> `[n, 1]` values, missing ones as their sign; undone by `servable.sparse`."""
    return tf.sparse.to_dense(tf.SparseTensor(column.indices, column.values, shape), default_value=MISSING[column.dtype])
