"""Files of examples -> rows, in an order that depends on nothing but what is in them."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

_KEPT = 256 << 20  # bytes of packed files


def read(patterns: Sequence[str]) -> tf.data.Dataset:
    """The files' serialized examples, in the order of the patterns and then of the names.

    TFX's own reader orders files by their paths, which hold numbers of executions, so that a rebuilt store would train another model.
    """
    return _rows_of(_paths(patterns))


def stream(patterns: Sequence[str], shuffled: int, seed: int) -> tf.data.Dataset:
    """Shuffled rows without end: each pass over the files has an order of its own, each row once.

    Small files are read and unpacked once and kept in memory: every worker goes through all of them in every pass.

    Args:
      patterns: Files, as `read` takes them.
      shuffled: Rows held in memory to draw from.
      seed: What the orders follow from.
    """
    paths = _paths(patterns)
    rows = _rows_of(paths)
    if sum(tf.io.gfile.stat(path).length for path in paths) <= _KEPT:
        rows = rows.cache()
    return rows.shuffle(shuffled, seed).repeat()


def _paths(patterns: Sequence[str]) -> list[str]:
    return [path for pattern in patterns for path in sorted(tf.io.gfile.glob(pattern))]


def _rows_of(paths: Sequence[str]) -> tf.data.Dataset:
    """The rows, without the thread by which TensorFlow tunes how they are read: nothing here is left to be tuned.

    That thread sleeps twice as long each time, and now and then misses that it is to end. Whoever lets go of the rows then waits until it
    wakes: about half as long again as the training has taken (TensorFlow 2.21, in one of two trainings).
    """
    untuned = tf.data.Options()
    untuned.autotune.enabled = False
    rows = tf.data.Dataset.from_tensor_slices(paths).flat_map(lambda path: tf.data.TFRecordDataset(path, compression_type="GZIP"))
    return rows.with_options(untuned)
