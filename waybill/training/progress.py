"""How far a training has come -> a folder that outlives the attempt, and back.

    state/step-350.*    weights, optimizer and counters after step 350; the file `checkpoint` names the newest, once it is whole
    best/after-300.*    the weights with the best loss so far; named by their step, so that none is ever written over
    logs/               TensorBoard's event files of all attempts
    finished.json       what it came to, once nothing more is to be learned

Killed between any two writes, the newest whole state and the best weights that it names are there.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import re
import shutil
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from waybill.launch.errors import LaunchError

_FINISHED = "finished.json"
_PART = re.compile(r"/part_([0-9]+)(?::0)?$")
_DAMAGE = (AssertionError, EOFError, ValueError, IndexError, FileNotFoundError, zipfile.BadZipFile)


class CheckpointDamaged(LaunchError):
    """A training's state is there and cannot be read; it has been removed, so that the next attempt starts from nothing."""


class Progress:
    """A training's counters, and its state on disk.

    Args:
      model: A built and compiled `tf_keras.Model`.
      folder: Where its state is kept; made when something is saved.

    Attributes:
      step: Training steps that are done.
      best_loss: The lowest loss of the eval split so far.
      best_step: The step after which it was measured; 0 before the first look.
      waited: Looks since then.
    """

    def __init__(self, model: Any, folder: pathlib.Path):
        self._folder = folder
        self._numbers = {name: tf.Variable(0.0, dtype=tf.float64, trainable=False) for name in ("step", "best_loss", "best_step", "waited")}
        # Not the model as a whole: its metrics are sums over all workers, which one of them alone cannot read.
        self._state = tf.train.Checkpoint(weights=list(model.weights), optimizer=list(model.optimizer.variables), **self._numbers)
        _ = self._state.save_counter  # is made now: made by the first save, it would be made together with all workers
        self._weights = list(model.weights)
        self._best: list[Any] = []
        self._manager = tf.train.CheckpointManager(self._state, str(folder / "state"), max_to_keep=1, checkpoint_name="step")
        self.step = self.best_step = self.waited = 0
        self.best_loss = math.inf

    def resume(self) -> bool:
        """Takes up the newest state; tells whether there was one.

        Raises:
          CheckpointDamaged: if it cannot be read, or is another model's.
        """
        newest = self._manager.latest_checkpoint
        if newest is None:
            return False
        try:
            self._restore(newest)
        except (*_DAMAGE, tf.errors.DataLossError, tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
            raise _damaged(self._folder, newest, error) from None
        return True

    def _restore(self, newest: str) -> None:
        self._state.restore(newest).assert_existing_objects_matched().assert_consumed()
        numbers = {name: float(variable.numpy()) for name, variable in self._numbers.items()}
        self.step, self.best_step, self.waited = (int(numbers[name]) for name in ("step", "best_step", "waited"))
        self.best_loss = numbers["best_loss"]
        if self.best_step:
            self._best = _arrays(_best(self._folder, self.best_step))

    def look(self, loss: float) -> None:
        """Notes a look at the eval split, and keeps the weights in memory when they are the best so far."""
        self.waited += 1
        if loss < self.best_loss or not self.best_step:
            self.best_loss = min(self.best_loss, loss)  # of a loss that is not a number: what it was
            self.best_step, self.waited = self.step, 0
            self._best = _whole(self._weights)

    def save(self) -> None:
        """Saves the state, whole or not at all."""
        best = _best(self._folder, self.best_step)
        if self.best_step and not best.exists():
            best.parent.mkdir(parents=True, exist_ok=True)
            part = best.with_name(f".{best.name}")
            with part.open("wb") as file:
                np.savez(file, *self._best)
            part.rename(best)
        for name, variable in self._numbers.items():
            variable.assign(float(getattr(self, name)))
        self._manager.save(checkpoint_number=self.step)
        for path in best.parent.glob("after-*"):
            if path != best:
                path.unlink()

    def finish(self) -> None:
        """Saves the state and says that nothing more is to be learned, so that an attempt that is cut off after it need not train."""
        self.save()
        part = self._folder / f".{_FINISHED}"
        with part.open("w") as file:
            json.dump(dataclasses.asdict(Finished(self.step, self.best_step, self.best_loss)), file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._folder / _FINISHED)


@dataclasses.dataclass(frozen=True)
class Finished:
    """A training that is done.

    Attributes:
      step: Steps it took.
      best_step: The step after which the eval split's loss was lowest.
      best_loss: That loss.
    """

    step: int
    best_step: int
    best_loss: float

    @classmethod
    def read(cls, folder: pathlib.Path) -> Finished | None:
        """What a folder's training came to; None when it is not done.

        Raises:
          CheckpointDamaged: if that cannot be read.
        """
        path = folder / _FINISHED
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise _damaged(folder, path, error) from None

    def give_best(self, folder: pathlib.Path, model: Any) -> None:
        """Gives a model that is built like the trained one the weights with the best loss.

        Raises:
          CheckpointDamaged: if they cannot be read.
        """
        path = _best(folder, self.best_step)
        try:
            model.set_weights(_arrays(path))
        except _DAMAGE as error:
            raise _damaged(folder, path, error) from None


def logs(folder: pathlib.Path) -> pathlib.Path:
    """TensorBoard's event files of all attempts."""
    return folder / "logs"


def _best(folder: pathlib.Path, step: int) -> pathlib.Path:
    return folder / "best" / f"after-{step}.npz"


def _arrays(path: pathlib.Path) -> list[Any]:
    with path.open("rb") as file, np.load(file) as found:  # opened here: of half a file NumPy leaves it open
        return [found[name] for name in found.files]


def _damaged(folder: pathlib.Path, path: object, error: Exception) -> CheckpointDamaged:
    shutil.rmtree(folder)
    why = (str(error).strip() or type(error).__name__).splitlines()[0]
    return CheckpointDamaged(
        f"the training's state in {path} cannot be read ({why}). It has been removed; the next attempt trains from the start"
    )


def _whole(weights: Sequence[Any]) -> list[Any]:
    """The values of a model's weights; of one that is cut into parts on several servers, the whole."""
    values: list[list[Any]] = []
    for weight in weights:
        part = _PART.search(weight.name)
        if part and int(part[1]):
            values[-1].append(weight.numpy())
        else:
            values.append([weight.numpy()])
    return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in values]
