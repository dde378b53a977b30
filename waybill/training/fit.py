"""A recipe, a plan and files of rows -> a training's state on disk, whatever cut it off in between.

A training that was killed goes on from its last saved state, with the rows that would have come next; on SIGTERM it saves first. What
comes out is what an undisturbed training gives, as far as the machine adds numbers in the same order.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import tf_keras
from absl import logging

from waybill.training import rows
from waybill.training.pace import Pace, profiled
from waybill.training.progress import Progress, logs
from waybill.training.recipe import Plan, Recipe
from waybill.training.seat import Seat, dealt_by_row


def fit(
    recipe: Recipe, plan: Plan, train_files: Sequence[str], eval_files: Sequence[str], folder: pathlib.Path, seat: Seat
) -> tf_keras.Model:
    """Trains until the steps are used up or the eval split's loss gets no better.

    Args:
      recipe: The pipeline's half.
      plan: How long.
      train_files: Patterns of the train split's files.
      eval_files: The same of the eval split.
      folder: Where the state is kept, see `Progress`.
      seat: This process's place in the training.

    Returns:
      The model with the weights of the last step; the best ones are in the folder.

    Raises:
      CheckpointDamaged: if an earlier attempt's state is there and cannot be read.
    """
    model, progress = begin(recipe, plan, folder, seat)
    epochs, each = plan.schedule()
    evaluation = dealt_by_row(rows.read(eval_files).batch(seat.distribution.global_batch).map(recipe.parse).cache())
    pace = Pace(progress, plan, seat)
    told = {"log_dir": str(logs(folder)), "write_graph": False, "profile_batch": profiled(seat.distribution)}
    board = [tf_keras.callbacks.TensorBoard(**told)] if seat.chief else []
    with pace.saved_on_sigterm():
        while pace.going:
            epoch, into = divmod(progress.step, each)
            stream = rows.stream(train_files, plan.shuffled, plan.seed)  # a new one: a second look at the same has another order
            model.fit(
                seat.rows(stream, progress.step, recipe.parse),
                initial_epoch=epoch,
                epochs=epoch + 1 if into else epochs,
                steps_per_epoch=each - into,
                validation_data=evaluation,
                callbacks=[_Keeper(pace, progress, plan, seat), *board],
                verbose=2 if seat.chief else 0,
            )
    if seat.chief:
        progress.finish()
    return model


def begin(recipe: Recipe, plan: Plan, folder: pathlib.Path, seat: Seat) -> tuple[tf_keras.Model, Progress]:
    """The model where it belongs, with the state of an earlier attempt if one was cut off.

    Raises:
      CheckpointDamaged: if that state is there and cannot be read.
    """
    tf_keras.utils.set_random_seed(plan.seed)
    with seat.scope():
        model = recipe.build()
        model.jit_compile = seat.distribution.xla
    progress = Progress(model, folder)
    epochs, each = plan.schedule()
    if progress.resume():
        logging.info("an earlier attempt was cut off; training goes on after step %d of %d", progress.step, epochs * each)
    return model, progress


class _Keeper(tf_keras.callbacks.Callback):
    """What happens beside the steps, where Keras makes them."""

    def __init__(self, pace: Pace, progress: Progress, plan: Plan, seat: Seat):
        super().__init__()
        self._pace = pace
        self._progress = progress
        self._each = plan.schedule()[1]
        self._rows = {seat.place.index: seat.distribution.batch_size * seat.distribution.devices}

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._pace.stepped(float((logs or {})["loss"]), self._rows)
        if self._progress.step % self._each:  # after the last step of an epoch comes a look, without which its state is not whole
            self._save_in_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._progress.look(float((logs or {})["val_loss"]))
        self._save_in_time()
        if not self._pace.going:
            self.model.stop_training = True

    def _save_in_time(self) -> None:
        if self._pace.due:
            self._pace.save()
