"""A recipe, spread as a run's parameters say -> the model with the best loss."""

from __future__ import annotations

import os
import pathlib
import shutil
from collections.abc import Callable, Sequence

import tensorflow as tf
import tf_keras
from absl import logging

from waybill.launch.errors import LaunchError
from waybill.launch.process import compute_with
from waybill.records import settings
from waybill.records.distribution import Distribution, Place
from waybill.training import cluster, network, pods, seat
from waybill.training.fit import fit
from waybill.training.progress import Finished, logs
from waybill.training.recipe import Plan, Recipe
from waybill.training.served import fit_served


def train(
    recipe: Recipe,
    plan: Plan,
    distribution: Distribution,
    train_files: Sequence[str],
    eval_files: Sequence[str],
    log_dir: str,
    folder: pathlib.Path,
    say: Callable[[str], None] = print,
) -> tf_keras.Model:
    """Trains until the steps are used up or the eval split's loss gets no better, and keeps the best weights.

    For several workers, or several devices, this process must not have run a TensorFlow op.

    Args:
      recipe: The pipeline's half.
      plan: How long.
      distribution: Over which processes and devices.
      train_files: Patterns of the train split's files.
      eval_files: The same of the eval split.
      log_dir: Where TensorBoard's logs go, those of earlier attempts included.
      folder: Where a training that is cut off leaves its state for the next attempt.
      say: Takes lines for the log.

    Returns:
      The model as for one process, whatever it was trained on.

    Raises:
      CheckpointDamaged: if an earlier attempt's state is there and cannot be read.
      WorkerFailed: if one of several workers ended early; none of them runs any more then.
    """
    model = None
    earlier = Finished.read(folder)
    if earlier is None:
        model = _fit(recipe, plan, distribution, train_files, eval_files, folder, say)
    else:
        logging.info("an earlier attempt had finished training after step %d and was cut off later", earlier.step)
    finished = earlier or Finished.read(folder)
    if finished is None:
        raise LaunchError(f"the training ended well and left no {folder / 'finished.json'}; something removed it. Run the node again")
    model = model or recipe.build()
    finished.give_best(folder, model)
    shutil.copytree(logs(folder), log_dir, dirs_exist_ok=True)
    logging.info("%d steps; the best loss, %.4f, was that after step %d", finished.step, finished.best_loss, finished.best_step)
    return model


def _fit(
    recipe: Recipe,
    plan: Plan,
    distribution: Distribution,
    train_files: Sequence[str],
    eval_files: Sequence[str],
    folder: pathlib.Path,
    say: Callable[[str], None],
) -> tf_keras.Model | None:
    """Trains here, or in as many processes as are asked for; returns the model if it is one that can be exported as it is."""
    if not distribution.places:
        with seat.precision(distribution):
            model = fit(recipe, plan, train_files, eval_files, folder, seat.take(distribution))
        return model if distribution.strategy == "none" and not distribution.mixed_precision and not distribution.xla else None
    threads = max(1, (tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1) // distribution.workers)

    def work(place: Place, report: cluster.Report) -> None:
        compute_with(threads)
        tf.config.threading.set_inter_op_parallelism_threads(os.cpu_count() or 1)  # some of them wait for other processes
        if distribution.served and place.job != "chief":
            seat.serve(distribution, place)
        with seat.precision(distribution):
            train_as = fit_served if distribution.served else fit
            train_as(recipe, plan, train_files, eval_files, folder, seat.take(distribution, place, report))

    asked = settings.load()
    if asked.training_job:
        with pods.led(asked, distribution, work, plan.stall_seconds) as where:
            cluster.run(distribution.places, work, plan.stall_seconds, where, say, here=distribution.places[:1])
        return None
    with network.open_to_all() if asked.open_workers else network.private() as local:
        cluster.run(distribution.places, work, plan.stall_seconds, local, say)
    return None
