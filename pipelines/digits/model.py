"""Transformed examples -> a small convolutional model with the transform graph inside.

A few hundred drawings of 8 by 8 are what there is to learn from, so two layers of filters and one of words about them are enough.
"""

from __future__ import annotations

import tensorflow as tf
import tf_keras
from tfx.components.trainer.fn_args_utils import FnArgs

from pipelines.digits.features import DRAWING, INK, SIDE
from pipelines.digits.policy import LABEL, PREDICTION
from waybill.training.learner import Learner
from waybill.training.servable import Asked

DIGITS = 10
_FILTERS = (16, 32)
_HIDDEN = 64


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports the model; TFX's Trainer calls it."""
    LEARNER.run(fn_args)


def build(learning_rate: float) -> tf_keras.Model:
    """The untrained model: ink, `[n, 8, 8, 1]`, to a probability for each digit, `[n, 10]`."""
    layers = tf_keras.layers
    ink = tf_keras.Input([SIDE, SIDE, 1], dtype=tf.float32, name=INK)
    seen = ink
    for filters in _FILTERS:
        seen = layers.Conv2D(filters, 3, padding="same", activation="relu")(seen)
    seen = layers.Flatten()(layers.MaxPooling2D()(seen))
    logits = layers.Dense(DIGITS)(layers.Dense(_HIDDEN, activation="relu")(seen))
    model = tf_keras.Model({INK: ink}, layers.Activation("softmax", dtype="float32", name=PREDICTION)(logits))
    optimizer = tf_keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)  # if the first training step had to do it, it would be traced a second time without
    metrics = [tf_keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    model.compile(optimizer, tf_keras.losses.SparseCategoricalCrossentropy(), metrics)
    return model


LEARNER = Learner(build, Asked([DRAWING], LABEL, PREDICTION))
