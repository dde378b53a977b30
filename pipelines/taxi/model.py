"""Transformed examples -> a wide and deep model with the transform graph inside.

The wide part remembers single ids, the deep part generalises over embeddings and numbers. Both are small: a few thousand trips are what
there is to learn from.
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

from pipelines.taxi.features import TREATMENTS, Scaled, transformed
from pipelines.taxi.policy import LABEL, PREDICTION
from waybill.records.distribution import Distribution
from waybill.training import servable
from waybill.training.live import keep_scores
from waybill.training.recipe import Plan, Recipe
from waybill.training.train import train

_HIDDEN = (32, 16)
_EMBEDDING = 4
_L2 = 1e-5


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
      transform_output: What `transform` learned.
      learning_rate: Step size of Adam on one device.
      distribution: Over how many devices training is spread.
    """
    rate = distribution.rate(learning_rate)
    return Recipe(build=lambda: build(rate), parse=_parser(transform_output.transformed_feature_spec()))


def build(learning_rate: float) -> tf_keras.Model:
    """The untrained model: transformed columns by name, `[n, 1]` each, to a score from 0 to 1, `[n, 1]`."""
    layers = tf_keras.layers
    inputs, wide, deep = {}, [], []
    for treatment in TREATMENTS:
        name = transformed(treatment.name)
        if isinstance(treatment, Scaled):
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


def save(model: tf_keras.Model, transform_output: tft.TFTransformOutput, folder: str) -> None:
    """Writes the SavedModel, which takes raw trips; arguments as of `servable.save`."""
    servable.save(model, transform_output, servable.Asked([treatment.name for treatment in TREATMENTS], LABEL, PREDICTION), folder)


def _parser(spec: Mapping[str, Any]) -> Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], tf.Tensor]]:
    """A function from a batch of serialized transformed examples to the model's inputs and the label."""

    def parse(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        columns = tf.io.parse_example(serialized, spec)
        label = columns.pop(LABEL)
        return columns, label

    return parse
