"""A column of labels, numbers or words -> the number of each row's class."""

from __future__ import annotations

import dataclasses

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Label:
    """Which class a row is of.

    Attributes:
      name: The column.
      values: What it holds, each the label of one class, all numbers or all words; of two the second is what a score is about.
    """

    name: str
    values: tuple[int | str, ...]

    def number(self, column: tf.Tensor) -> tf.Tensor:
        """Maps `[n, 1]` values to their places among `values`; what is none of them counts as the first, and the data gate stops it."""
        same = tf.cast(tf.equal(column, tf.constant([self.values], column.dtype)), tf.int64)
        return tf.argmax(same, axis=1)[:, tf.newaxis]
