"""Transformed examples -> a small convolutional model with the transform graph inside.

A few hundred drawings of 8 by 8 are what there is to learn from, so two layers of filters and one of words about them are enough.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from absl import logging
from tfx.components.trainer.fn_args_utils import FnArgs

from pipelines.digits.features import DRAWING, INK, SIDE
from pipelines.digits.policy import LABEL, PREDICTION
from waybill.records.distribution import Distribution
from waybill.training import servable
from waybill.training.live import keep_scores
from waybill.training.recipe import Plan, Recipe
from waybill.training.train import train

DIGITS = 10
_FILTERS = (16, 32)
_HIDDEN = 64


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports the model; TFX's Trainer calls it.

    Args:
      fn_args: Files of both splits in the window's order, where the transform graph is and where to write; `custom_config` holds the run's
        seed and learning rate, how training is spread, and the folder for checkpoints.
    """
    asked = fn_args.custom_config
    logging.info("training with %s", asked)
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    distribution = Distribution.of(asked["distribution"])
    how = recipe(transform_output, asked["learning_rate"], distribution)
    model = train(
        how,
        Plan(fn_args.train_steps, asked["seed"]),
        distribution,
        fn_args.train_files,
        fn_args.eval_files,
        fn_args.model_run_dir,
        pathlib.Path(asked["checkpoints"]),
    )
    keep_scores(model, how.parse, fn_args.eval_files, fn_args.model_run_dir)
    save(model, transform_output, fn_args.serving_model_dir)


def recipe(transform_output: tft.TFTransformOutput, learning_rate: float, distribution: Distribution) -> Recipe:
    """What training has to know of this model.

    Args:
      transform_output: What `transform` kept.
      learning_rate: Step size of Adam on one device.
      distribution: Over how many devices training is spread.
    """
    rate = distribution.rate(learning_rate)
    return Recipe(build=lambda: build(rate), parse=_parser(transform_output.transformed_feature_spec()))


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


def save(model: tf_keras.Model, transform_output: tft.TFTransformOutput, folder: str) -> None:
    """Writes the SavedModel, which takes raw drawings; arguments as of `servable.save`."""
    servable.save(model, transform_output, servable.Asked([DRAWING], LABEL, PREDICTION), folder)


def _parser(spec: Mapping[str, Any]) -> Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], tf.Tensor]]:
    """A function from a batch of serialized transformed examples to the model's inputs and the label."""

    def parse(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        columns = tf.io.parse_example(serialized, spec)
        label = columns.pop(LABEL)
        return columns, label

    return parse
