"""A training that is cut off, wherever and however, goes on and gives the model that an undisturbed one gives."""

from __future__ import annotations

import functools
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from waybill.records.distribution import Distribution, Place
from waybill.records.settings import PROJECT
from waybill.training import rows
from waybill.training.progress import CheckpointDamaged
from waybill.training.recipe import Plan, Recipe
from waybill.training.seat import Seat
from waybill.training.train import train as spread

ALONE = Distribution(batch_size=8)
PLAN = Plan(steps=1200, seed=3, look_every=40, patience=100, save_seconds=0.02)
TRAIN = f"""
import pathlib, sys
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
import test_training as t
t.train(pathlib.Path(sys.argv[1]), t.PLAN)
print("trained")
"""


def build() -> tf_keras.Model:
    inputs = {"x": tf_keras.Input([4], name="x")}
    hidden = tf_keras.layers.Dense(8, activation="tanh")(inputs["x"])
    model = tf_keras.Model(inputs, tf_keras.layers.Dense(1)(hidden))
    optimizer = tf_keras.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "mse", ["mae"])
    return model


def parse(serialized: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    values = tf.ensure_shape(tf.io.decode_raw(serialized, tf.float32), [None, 5])
    return {"x": values[:, :4]}, values[:, 4:]


class Plain(tf_keras.optimizers.Optimizer):
    """Gradient descent that keeps nothing of its own. Keras's SGD goes through a momentum even where that is nought; two workers that do so
    at once, as they may with servers, apply each other's steps a second time.
    """

    def __init__(self) -> None:
        super().__init__("plain")
        self._learning_rate = self._build_learning_rate(1.0)

    def update_step(self, gradient: tf.IndexedSlices, variable: tf.Variable) -> None:
        variable.scatter_sub(gradient)

    def get_config(self) -> dict[str, object]:
        return {}


def build_counter(apart: int) -> tf_keras.Model:
    """A model that counts: a step takes, from the number kept for each row of its batch, the reciprocal of the batch's size.

    Args:
      apart: How far the numbers of two rows are from each other, in a table with room for all of them.
    """
    inputs = {"x": tf_keras.Input([4], name="x"), "number": tf_keras.Input([1], dtype=tf.int64, name="number")}
    kept = tf_keras.layers.Embedding(203 * apart, 1, embeddings_initializer="zeros")(inputs["number"])
    model = tf_keras.Model(inputs, tf_keras.layers.Flatten()(kept))
    optimizer = Plain()
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, lambda labels, scores: tf.reduce_mean(scores, -1))
    return model


def parse_counted(serialized: tf.Tensor, apart: int) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    inputs, label = parse(serialized)
    return {**inputs, "number": tf.cast(tf.round(tf.abs(label) // 1000), tf.int64) * apart}, label


def counted(folder: pathlib.Path, plan: Plan, distribution: Distribution, apart: int) -> list[float]:
    """How often a training learned from each row of the train split."""
    write(folder, numbered=True)
    files = [str(folder / "train")], [str(folder / "eval")]
    recipe = Recipe(lambda: build_counter(apart), lambda rows: parse_counted(rows, apart))
    model = spread(recipe, plan, distribution, *files, str(folder / "run"), folder / "checkpoints")
    [table] = model.get_weights()
    return list(-table[::apart, 0] * distribution.global_batch)


def train(folder: pathlib.Path, plan: Plan, distribution: Distribution = ALONE) -> tf_keras.Model:
    """Trains on the rows in a folder, which get there at the first call; logs and checkpoints go there too."""
    write(folder)
    files = [str(folder / "train")], [str(folder / "eval")]
    return spread(Recipe(build, parse), plan, distribution, *files, str(folder / "run"), folder / "checkpoints")


def write(folder: pathlib.Path, *, numbered: bool = False) -> None:
    """Rows of four numbers, and a fifth that follows from them, or from the row's own number."""
    for split, count in (("train", 203), ("eval", 50)):
        if not (folder / split).exists():
            draw = np.random.default_rng(count)
            with tf.io.TFRecordWriter(str(folder / split), "GZIP") as file:
                for number in range(count):
                    x = draw.normal(size=4).astype(np.float32)
                    fifth = number * 1000 + 500 if numbered else x[0] * x[1] + number % 2
                    file.write(np.append(x, fifth).astype(np.float32).tobytes())


@functools.lru_cache(maxsize=1)
def undisturbed_weights(folder: pathlib.Path) -> list[np.ndarray]:
    return list(train(folder, PLAN).get_weights())


@pytest.fixture
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """The weights of a training that nobody cut off."""
    return undisturbed_weights(tmp_path_factory.getbasetemp())


@pytest.fixture
def cut(tmp_path: pathlib.Path) -> Iterator[subprocess.Popen[str]]:
    """A training in a process of its own that has looked at the eval split three times."""
    command = [sys.executable, "-c", TRAIN, str(tmp_path)]
    environ = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while step(tmp_path) < 3 * PLAN.look_every:
        assert process.poll() is None, process.communicate()[0][-2000:]
        assert time.monotonic() < deadline, "no third look"
        time.sleep(0.005)
    with process:
        yield process
        process.kill()


def step(folder: pathlib.Path) -> int:
    """The newest saved step of a training."""
    newest = tf.train.latest_checkpoint(str(folder / "checkpoints" / "state"))
    return int(newest.rpartition("-")[2]) if newest else 0


def test_a_killed_training_goes_on_and_gives_the_same_model(
    undisturbed: list[np.ndarray], cut: subprocess.Popen[str], tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    cut.kill()
    cut.wait()
    saved = step(tmp_path)
    assert 0 < saved < PLAN.steps, "it was not cut off in its work"

    with caplog.at_level("INFO", logger="absl"):
        model = train(tmp_path, PLAN)

    assert f"goes on after step {saved} of 1200" in caplog.text
    assert int(model.optimizer.iterations.numpy()) == step(tmp_path) <= PLAN.steps
    same(model, undisturbed)


def test_on_sigterm_a_training_saves_the_very_step_it_is_at_and_dies_of_the_signal(
    undisturbed: list[np.ndarray], cut: subprocess.Popen[str], tmp_path: pathlib.Path
) -> None:
    cut.send_signal(signal.SIGTERM)
    said, _ = cut.communicate(timeout=60)

    assert cut.returncode == -signal.SIGTERM
    assert f"the state after step {step(tmp_path)} is saved" in said
    assert "trained" not in said
    same(train(tmp_path, PLAN), undisturbed)


def test_training_that_was_cut_after_it_got_no_better_does_not_begin_to_wait_anew(tmp_path: pathlib.Path) -> None:
    impatient = Plan(steps=100_000, seed=3, look_every=5, patience=2, save_seconds=0)
    train(tmp_path, impatient)
    stopped = step(tmp_path)

    train(tmp_path, impatient)

    assert step(tmp_path) == stopped < impatient.steps


def test_a_state_that_cannot_be_read_is_removed_and_said_and_the_next_attempt_trains_from_the_start(tmp_path: pathlib.Path) -> None:
    short = Plan(steps=80, seed=3, look_every=40, save_seconds=0)
    expected = train(tmp_path, short).get_weights()
    (tmp_path / "checkpoints" / "finished.json").unlink()  # as if it had been cut off before its end
    [data] = (tmp_path / "checkpoints" / "state").glob("*.data-*")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])

    with pytest.raises(CheckpointDamaged, match=r"step-80 cannot be read .*trains from the start"):
        train(tmp_path, short)

    assert not (tmp_path / "checkpoints").exists()
    same(train(tmp_path, short), expected)


@pytest.mark.parametrize("what", ["finished.json", "best/*.npz"])
@pytest.mark.parametrize("left", [0, 0.5])
def test_a_finished_training_of_which_half_is_left_is_trained_again(tmp_path: pathlib.Path, what: str, left: float) -> None:
    short = Plan(steps=80, seed=3, look_every=40, save_seconds=0)
    expected = train(tmp_path, short).get_weights()
    [half] = (tmp_path / "checkpoints").glob(what)
    half.write_bytes(half.read_bytes()[: int(half.stat().st_size * left)])

    with pytest.raises(CheckpointDamaged, match=r"cannot be read .*trains from the start"):
        train(tmp_path, short)

    same(train(tmp_path, short), expected)


def test_only_the_newest_state_and_the_best_weights_are_kept(tmp_path: pathlib.Path) -> None:
    train(tmp_path, Plan(steps=200, seed=3, look_every=40, save_seconds=0))

    kept = [sorted({path.name.split(".")[0] for path in (tmp_path / "checkpoints" / name).iterdir()}) for name in ("state", "best")]
    assert kept[0] == ["checkpoint", "step-200"]
    assert len(kept[1]) == 1


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_each_pass_gives_every_row_once_whoever_gets_it_and_a_resumed_one_the_rest(tmp_path: pathlib.Path, workers: int) -> None:
    train(tmp_path, Plan(steps=1, seed=1))
    files = [str(tmp_path / "train")]
    distribution = Distribution("multi_worker" if workers > 1 else "none", workers, batch_size=6 // workers)

    def drawn(done: int, steps: int) -> list[list[bytes]]:
        """The rows of each step, of all workers."""
        seats = [Seat(distribution, Place("worker", number)) for number in range(workers)]
        shares = [seat.rows(rows.stream(files, 1000, 5), done, lambda batch: batch).take(steps).as_numpy_iterator() for seat in seats]
        return [sorted(row for batch in step for row in batch) for step in zip(*shares, strict=True)]

    found, all_rows = drawn(0, 68), sorted(rows.read(files).as_numpy_iterator())
    alone = list(rows.stream(files, 1000, 5).take(68 * 6).as_numpy_iterator())
    assert len(all_rows) == 203, "which is no multiple of a batch"
    assert sorted(alone[:203]) == sorted(alone[203:406]) == all_rows
    assert alone[:203] != alone[203:406], "each pass has an order of its own"
    assert found == [sorted(alone[6 * step : 6 * step + 6]) for step in range(68)], "a step learns from the same rows, however spread"
    assert drawn(20, 48) == found[20:]


def test_no_thread_tunes_how_rows_are_read_since_whoever_lets_go_of_them_might_wait_for_it(tmp_path: pathlib.Path) -> None:
    train(tmp_path, Plan(steps=1, seed=1))
    files = [str(tmp_path / "train")]
    for read in (rows.read(files), rows.stream(files, 1000, 5)):
        assert Seat(Distribution(batch_size=6)).rows(read, 0, lambda batch: batch).options().autotune.enabled is False


def same(model: tf_keras.Model, weights: list[np.ndarray]) -> None:
    for found, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
