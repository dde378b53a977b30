"""Treatments -> the inputs of a model, and what its first layer sees of each."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf
import tf_keras

from waybill.tables.treatments import Number, Treatment, transformed


def inputs(treatments: Iterable[Treatment], embedding: int) -> tuple[dict[str, tf_keras.Input], tf_keras.Input]:
    """A model's inputs by name, `[n, 1]` each, and all of them side by side.

    Args:
      treatments: How the columns are treated. Numbers stay as they are, ids become embeddings.
      embedding: Numbers of which an embedding consists.
    """
    layers = tf_keras.layers
    named, seen = {}, []
    for treatment in treatments:
        name = transformed(treatment.name)
        if isinstance(treatment, Number):
            named[name] = tf_keras.Input([1], dtype=tf.float32, name=name)
            seen.append(named[name])
        else:
            named[name] = tf_keras.Input([1], dtype=tf.int64, name=name)
            seen.append(layers.Flatten()(layers.Embedding(treatment.ids, embedding, name=f"{name}_embedding")(named[name])))
    return named, layers.Concatenate()(seen) if len(seen) > 1 else seen[0]
