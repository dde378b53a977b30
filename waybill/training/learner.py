"""How a pipeline's model is made and asked -> the training of a run, and the SavedModel that comes out of it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from absl import logging
from tfx.components.trainer.fn_args_utils import FnArgs

from waybill.records.distribution import Distribution
from waybill.training import servable
from waybill.training.live import keep_scores
from waybill.training.recipe import Parse, Plan, Recipe
from waybill.training.train import train


@dataclasses.dataclass(frozen=True)
class Learner:
    """A pipeline's model.

    Attributes:
      build: From the learning rate to the compiled, untrained model, which takes transformed columns by name.
      asked: What it is asked.
    """

    build: Callable[[float], tf_keras.Model]
    asked: servable.Asked

    def run(self, fn_args: FnArgs) -> None:
        """Trains and exports the model, as TFX's Trainer asks for.

        Args:
          fn_args: Files of both splits in the window's order, where the transform graph is and where to write; `custom_config` holds the
            run's seed and learning rate, how training is spread, and the folder for checkpoints.
        """
        asked = fn_args.custom_config
        logging.info("training with %s", asked)
        transform_output = tft.TFTransformOutput(fn_args.transform_graph_path)
        distribution = Distribution.of(asked["distribution"])
        how = self.recipe(transform_output, asked["learning_rate"], distribution)
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
        self.save(model, transform_output, fn_args.serving_model_dir)

    def recipe(self, transform_output: tft.TFTransformOutput, learning_rate: float, distribution: Distribution) -> Recipe:
        """What training has to know of this model.

        Args:
          transform_output: What `transform` learned.
          learning_rate: Step size on one device.
          distribution: Over how many devices training is spread.
        """
        rate = distribution.rate(learning_rate)
        return Recipe(build=lambda: self.build(rate), parse=_parser(transform_output.transformed_feature_spec(), self.asked.label))

    def save(self, model: tf_keras.Model, transform_output: tft.TFTransformOutput, folder: str) -> None:
        """Writes the SavedModel, which takes raw rows; arguments as of `servable.save`."""
        servable.save(model, transform_output, self.asked, folder)


def _parser(spec: Mapping[str, Any], label: str) -> Parse:
    """A function from a batch of serialized transformed examples to the model's inputs and the label."""

    def parse(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        columns = tf.io.parse_example(serialized, spec)
        return columns, columns.pop(label)

    return parse
