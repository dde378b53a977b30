"""Transformed examples -> a wide and deep model with the transform graph inside.

The wide part remembers single ids, the deep part generalises over embeddings and numbers. Both are small: a few thousand trips are what
there is to learn from.
"""

from __future__ import annotations

import tensorflow as tf
import tf_keras
from tfx.components.trainer.fn_args_utils import FnArgs

from pipelines.taxi.features import TREATMENTS
from pipelines.taxi.policy import LABEL, PREDICTION
from waybill.tables.treatments import Number, transformed
from waybill.training.learner import Learner
from waybill.training.servable import Asked

_HIDDEN = (32, 16)
_EMBEDDING = 4
_L2 = 1e-5


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports the model; TFX's Trainer calls it."""
    LEARNER.run(fn_args)


def build(learning_rate: float) -> tf_keras.Model:
    """The untrained model: transformed columns by name, `[n, 1]` each, to a score from 0 to 1, `[n, 1]`."""
    layers = tf_keras.layers
    inputs, wide, deep = {}, [], []
    for treatment in TREATMENTS:
        name = transformed(treatment.name)
        if isinstance(treatment, Number):
            inputs[name] = tf_keras.Input([1], dtype=tf.float32, name=name)
            deep.append(inputs[name])
            continue
        inputs[name] = tf_keras.Input([1], dtype=tf.int64, name=name)
        l2 = tf_keras.regularizers.L2(_L2)
        weight = layers.Embedding(treatment.ids, 1, embeddings_initializer="zeros", embeddings_regularizer=l2, name=f"{name}_wide")
        wide.append(layers.Flatten()(weight(inputs[name])))
        embedding = layers.Embedding(treatment.ids, _EMBEDDING, embeddings_regularizer=l2, name=f"{name}_deep")
        deep.append(layers.Flatten()(embedding(inputs[name])))
    hidden = layers.Concatenate()(deep)
    for units in _HIDDEN:
        hidden = layers.Dense(units, activation="relu")(hidden)
    logit = layers.Add()([layers.Dense(1)(hidden), *wide])
    model = tf_keras.Model(inputs, layers.Activation("sigmoid", dtype="float32", name=PREDICTION)(logit))
    metrics = [tf_keras.metrics.BinaryAccuracy(name="accuracy"), tf_keras.metrics.AUC(name="auc")]
    optimizer = tf_keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)  # if the first training step had to do it, it would be traced a second time without
    model.compile(optimizer, tf_keras.losses.BinaryCrossentropy(), metrics)
    return model


LEARNER = Learner(build, Asked([treatment.name for treatment in TREATMENTS], LABEL, PREDICTION))
