"""What a pipeline says about its training: how the model is made, how a row is read, how long and how fast."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import tensorflow as tf
import tf_keras

Parse = Callable[[tf.Tensor], tuple[Mapping[str, tf.Tensor], tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The pipeline's own half of a training.

    Attributes:
      build: Makes the compiled model, its optimizer's variables included. It has to have a loss; what is looked at is its `val_loss`.
      parse: From `[n]` serialized rows to the model's inputs by name and the `[n, 1]` labels.
    """

    build: Callable[[], tf_keras.Model]
    parse: Parse


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long to train, and when to look.

    Attributes:
      steps: Training steps at most.
      seed: Seed of the first weights and of the order of the rows.
      look_every: Steps between two looks at the eval split.
      patience: Looks without a better loss before training stops.
      shuffled: Rows held in memory to draw from.
      stall_seconds: How long a worker of several may show no step before the training is ended.
      save_seconds: How much work a cut may cost at most.
    """

    steps: int
    seed: int
    look_every: int = 50
    patience: int = 5
    shuffled: int = 100_000
    stall_seconds: float = 300.0
    save_seconds: float = 10.0

    def schedule(self) -> tuple[int, int]:
        """How many epochs to train and of how many steps each: together as many as asked for, or a few less, never more."""
        epochs = max(1, round(self.steps / self.look_every))
        return epochs, self.steps // epochs
