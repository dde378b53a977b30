"""Training where servers hold the weights: the chief deals out batches, workers learn from them, each at its own pace.

A worker takes the weights as they are, learns from a batch, and sends back what to change, while others do the same; so a step may be
made with weights that are a few steps old, and no two trainings are quite alike. What is sure is who learns what: the chief reads the rows,
and gives each batch to one worker, once. Before the state is saved it waits for all batches that are out; so a state is whole.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import pathlib
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras
from absl import logging

from waybill.training import rows
from waybill.training.fit import begin
from waybill.training.pace import Pace, profiled
from waybill.training.progress import logs
from waybill.training.recipe import Plan, Recipe
from waybill.training.seat import Seat

_AHEAD = 4  # batches that are out for each worker
_LOOK_EVERY = 0.5  # seconds


def fit_served(recipe: Recipe, plan: Plan, train_files: Sequence[str], eval_files: Sequence[str], folder: pathlib.Path, seat: Seat) -> None:
    """Trains until the steps are used up or the eval split's loss gets no better; the chief's part.

    A step is one batch, learned from by one worker. The arguments are those of `fit.fit`.

    Raises:
      CheckpointDamaged: if an earlier attempt's state is there and cannot be read.
    """
    model, progress = begin(recipe, plan, folder, seat)
    _, each = plan.schedule()
    pace = Pace(progress, plan, seat)
    crew = _Crew(model, recipe, seat, pace)
    batches = iter(rows.stream(train_files, plan.shuffled, plan.seed).batch(seat.distribution.batch_size).skip(progress.step))
    evaluation = rows.read(eval_files).batch(seat.distribution.batch_size)
    with pace.saved_on_sigterm(), _Board(logs(folder), seat, progress.step) as board:
        while pace.going:
            began, first, losses = time.monotonic(), progress.step, []
            while progress.step + crew.out < (first // each + 1) * each:
                crew.learn(next(batches))
                losses += crew.results(keep=_AHEAD * seat.distribution.workers)
                board.stepped(progress.step)
                if pace.due:
                    losses += crew.results(keep=0)
                    if progress.step % each:  # else its look comes first
                        pace.save()
            losses += crew.results(keep=0)
            looked = crew.mean_loss(evaluation)
            progress.look(looked)
            said = {"loss": sum(losses) / len(losses), "val_loss": looked}
            board.looked(first // each, said)
            logging.info("step %d - %.1f s - loss: %.4f - val_loss: %.4f", progress.step, time.monotonic() - began, *said.values())
            if pace.due:
                pace.save()
    progress.finish()


class _Crew:
    """The workers, as the chief sees them."""

    def __init__(self, model: tf_keras.Model, recipe: Recipe, seat: Seat, pace: Pace):
        self._model = model
        self._recipe = recipe
        self._strategy: Any = seat.strategy
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(self._strategy)
        self._pace = pace
        self._workers = seat.distribution.workers
        self._out: deque[Any] = deque()
        self._done_by: dict[int, float] = dict.fromkeys(range(self._workers), time.monotonic())
        self._waiter = concurrent.futures.ThreadPoolExecutor(1, "results")
        self._learn = tf.function(self._train_step)
        self._look = tf.function(self._test_step)
        self._loss = 0.0

    @property
    def out(self) -> int:
        """How many batches are out."""
        return len(self._out)

    def learn(self, batch: tf.Tensor) -> None:
        """Gives a batch of serialized rows to whichever worker is next."""
        self._out.append(self._coordinator.schedule(self._learn, args=(batch,)))

    def results(self, keep: int) -> list[float]:
        """Waits until no more than `keep` batches are out; returns the losses of those that came back, each a step."""
        losses = []
        while len(self._out) > keep:
            loss, count, worker = self._fetched(self._out.popleft())
            self._loss = float(loss)
            losses.append(self._loss)
            self._pace.stepped(self._loss, {worker: int(count)})
        return losses

    def mean_loss(self, batches: tf.data.Dataset) -> float:
        """The mean loss of all rows of a data set, without learning from them."""
        self._out.extend(self._coordinator.schedule(self._look, args=(batch,)) for batch in batches)
        total, count = 0.0, 0
        while self._out:
            loss, number, _ = self._fetched(self._out.popleft())
            total, count = total + float(loss) * int(number), count + int(number)
        return total / count

    def _fetched(self, result: Any) -> tuple[Any, Any, int]:
        future = self._waiter.submit(result.fetch)
        while True:
            with contextlib.suppress(concurrent.futures.TimeoutError):
                values: dict[str, Any] = future.result(_LOOK_EVERY)
                worker = _worker_of(result) or 0
                self._done_by[worker] = time.monotonic()
                return values["loss"], values["rows"], worker
            for other in self._out:
                if (done_by := _worker_of(other)) is not None:
                    self._done_by[done_by] = time.monotonic()
            longest = min(self._done_by, key=lambda worker: self._done_by[worker])
            waited = time.monotonic() - self._done_by[longest]
            self._pace.beat(self._loss, f"worker {longest}, which has returned nothing for {waited:.0f} s")

    def _train_step(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        def learn(serialized: tf.Tensor) -> tf.Tensor:
            inputs, labels = self._recipe.parse(serialized)
            with tf.GradientTape() as tape:
                loss = self._model.compute_loss(inputs, labels, self._model(inputs, training=True))
            self._model.optimizer.minimize(loss, self._model.trainable_variables, tape=tape)
            return loss

        return {"loss": self._strategy.run(learn, args=(batch,)), "rows": tf.size(batch)}

    def _test_step(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        def look(serialized: tf.Tensor) -> tf.Tensor:
            inputs, labels = self._recipe.parse(serialized)
            return self._model.compute_loss(inputs, labels, self._model(inputs, training=False))

        return {"loss": self._strategy.run(look, args=(batch,)), "rows": tf.size(batch)}


def _worker_of(result: Any) -> int | None:
    """Which worker a result was made by; None while it is not there. TensorFlow does not tell, but its tensors know where they are."""
    if not result._has_fetched_to_local:  # to ask a tensor that is still being made is to wait for it
        return None
    return int(tf.DeviceSpec.from_string(result._values["loss"].backing_device).task or 0)


class _Board:
    """TensorBoard's logs, under the names that Keras gives them."""

    def __init__(self, folder: pathlib.Path, seat: Seat, first: int):
        self._folder = folder
        steps = profiled(seat.distribution)
        self._profiled = (first + steps[0], first + steps[1]) if isinstance(steps, tuple) else None
        self._profiling = False
        with tf.device("/job:chief"):
            self._writers = {
                name: tf.summary.create_file_writer(str(folder / folder_name))
                for name, folder_name in (("loss", "train"), ("val_loss", "validation"))
            }

    def __enter__(self) -> _Board:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()
        for writer in self._writers.values():
            writer.close()

    def stepped(self, step: int) -> None:
        """Begins and ends the profile, if one is asked for."""
        if self._profiled and not self._profiling and step >= self._profiled[0]:
            tf.profiler.experimental.start(str(self._folder / "train"))
            self._profiling = True
        if self._profiled and self._profiling and step > self._profiled[1]:
            self._stop()

    def looked(self, epoch: int, losses: dict[str, float]) -> None:
        """Writes the losses of an epoch."""
        with tf.device("/job:chief"):
            for name, loss in losses.items():
                with self._writers[name].as_default():
                    tf.summary.scalar("epoch_loss", loss, step=epoch)

    def _stop(self) -> None:
        if self._profiling:
            tf.profiler.experimental.stop()
            self._profiling, self._profiled = False, None
