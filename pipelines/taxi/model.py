"""Transformed examples -> a wide and deep model with the transform graph inside.

The wide part remembers single ids, the deep part generalises over embeddings and numbers. Both are small: a few thousand trips are what
there is to learn from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from absl import logging
from tfx.components.trainer.fn_args_utils import FnArgs

from pipelines.taxi import signatures
from pipelines.taxi.features import TREATMENTS, Scaled, transformed
from pipelines.taxi.policy import LABEL, PREDICTION

_EPOCH_STEPS = 50  # steps between two looks at the eval split
_PATIENCE = 5  # looks without a better loss before training stops
_SHUFFLED = 100_000  # rows held in memory to draw from
_HIDDEN = (32, 16)
_EMBEDDING = 4
_L2 = 1e-5


@dataclasses.dataclass(frozen=True)
class Hyperparameters:
    """What a run's parameters say about training.

    Attributes:
      steps: Training steps at most.
      seed: Seed of the first weights and of the order of the rows.
      batch_size: Rows in a step.
      learning_rate: Step size of Adam.
    """

    steps: int
    seed: int
    batch_size: int
    learning_rate: float


def run_fn(fn_args: FnArgs) -> None:
    """Trains and exports the model; TFX's Trainer calls it.

    Args:
      fn_args: Files of both splits in the window's order, where the transform graph is and where to write; `custom_config` holds the run's
        seed, batch size and learning rate.
    """
    asked = Hyperparameters(steps=fn_args.train_steps, **fn_args.custom_config)
    logging.info("training with %s", asked)
    transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
    model = train(transform_output, fn_args.train_files, fn_args.eval_files, asked, fn_args.model_run_dir)
    signatures.save(model, transform_output, fn_args.serving_model_dir)


def train(
    transform_output: tft.TFTransformOutput, train_files: Sequence[str], eval_files: Sequence[str], asked: Hyperparameters, log_dir: str
) -> tf_keras.Model:
    """Trains until the steps are used up or the eval split's loss gets no better, and keeps the best weights.

    Args:
      transform_output: What `transform` learned.
      train_files: Patterns of transformed examples' files.
      eval_files: The same of the eval split.
      asked: How to train.
      log_dir: Where TensorBoard's logs go.
    """
    tf_keras.utils.set_random_seed(asked.seed)
    model = build(asked.learning_rate)
    parse = _parser(transform_output.transformed_feature_spec())
    epochs, steps = schedule(asked.steps)
    history = model.fit(
        rows(train_files).shuffle(_SHUFFLED, asked.seed).repeat().batch(asked.batch_size).map(parse),
        epochs=epochs,
        steps_per_epoch=steps,
        validation_data=rows(eval_files).batch(asked.batch_size).map(parse).cache(),
        callbacks=[
            tf_keras.callbacks.EarlyStopping("val_loss", patience=_PATIENCE, restore_best_weights=True),
            tf_keras.callbacks.TensorBoard(log_dir=log_dir, write_graph=False),
        ],
        verbose=2,
    ).history
    best = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
    found = ", ".join(f"{name} {values[best]:.4f}" for name, values in history.items())
    logging.info("%d epochs of %d steps; best after epoch %d: %s", len(history["loss"]), steps, best + 1, found)
    return model


def schedule(steps: int) -> tuple[int, int]:
    """How many epochs to train and of how many steps each: together as many as asked for, or a few less, never more."""
    epochs = max(1, round(steps / _EPOCH_STEPS))
    return epochs, steps // epochs


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
    model = tf_keras.Model(inputs, layers.Activation("sigmoid", name=PREDICTION)(logit))
    metrics = [tf_keras.metrics.BinaryAccuracy(name="accuracy"), tf_keras.metrics.AUC(name="auc")]
    optimizer = tf_keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)  # if the first training step had to do it, it would be traced a second time without
    model.compile(optimizer, tf_keras.losses.BinaryCrossentropy(), metrics)
    return model


def rows(patterns: Sequence[str]) -> tf.data.Dataset:
    """The files' serialized examples, in the order of the patterns and then of the names.

    TFX's own reader orders files by their paths, which hold numbers of executions, so that a rebuilt store would train another model.
    """
    paths = [path for pattern in patterns for path in sorted(tf.io.gfile.glob(pattern))]
    files = tf.data.Dataset.from_tensor_slices(paths)
    return files.flat_map(lambda path: tf.data.TFRecordDataset(path, compression_type="GZIP"))


def _parser(spec: Mapping[str, Any]) -> Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], tf.Tensor]]:
    """A function from a batch of serialized transformed examples to the model's inputs and the label."""

    def parse(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        columns = tf.io.parse_example(serialized, spec)
        label = columns.pop(LABEL)
        return columns, label

    return parse
