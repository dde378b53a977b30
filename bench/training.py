"""One model, trained by one process and by several on the same cores, and as fast as its graph alone goes -> seconds of a step of each.

Every training is a process of its own and does what a node's does: reads files, looks at the eval split, saves its state. What spreading
costs shows between a step early on, when everything has been built, and the last one. What training costs beside its compute shows in one
that is timed whole, from the call of `train` to its return: built, traced, looked at, saved, and the best weights read back.
"""

from __future__ import annotations

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from waybill.records.settings import PROJECT

ALONE, DEVICES, ONE, TWO, SERVED = "one process", "two devices, mirrored", "one worker", "two workers", "two workers, one server"
WHOLE, COMPUTE = "one process, from start to end", "compute alone"
READING = "rows a second read and parsed, no model"
_COLUMNS, _WIDTH, _ROWS, _LOOKED_AT, _BATCH = 256, 1024, 40_000, 2_000, 8192
_STEPS, _SETTLED, _LOOK_EVERY = 30, 6, 15
_WHOLE_STEPS, _WHOLE_LOOK_EVERY = 120, 30
_SPREAD: Mapping[str, Mapping[str, Any]] = {
    ALONE: {"batch_size": _BATCH},
    DEVICES: {"strategy": "mirrored", "devices": 2, "batch_size": _BATCH // 2},
    ONE: {"strategy": "multi_worker", "workers": 1, "batch_size": _BATCH},
    TWO: {"strategy": "multi_worker", "workers": 2, "batch_size": _BATCH // 2},
    SERVED: {"strategy": "parameter_server", "workers": 2, "servers": 1, "batch_size": _BATCH},
}


def measure(rounds: int, say: Callable[[str], None]) -> dict[str, float]:
    """Median seconds of a step of each kind, and how many rows a second the input pipeline alone gives."""
    found: dict[str, list[float]] = {name: [] for name in (*_SPREAD, WHOLE, COMPUTE, READING)}
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as rows:
        _run(rows, "write")
        for number in range(rounds):
            for name in found:
                found[name].append(_run(rows, name))
                unit = "rows/s" if name == READING else "s a step"
                say(f"training, round {number + 1} of {rounds}: {name:<42} {found[name][-1]:10,.3f} {unit}")
    return {name: statistics.median(values) for name, values in found.items()}


def table(found: Mapping[str, float]) -> list[str]:
    """The lines of a table."""
    kinds = {**dict.fromkeys(_SPREAD, ""), WHOLE: f", {_WHOLE_STEPS} steps", COMPUTE: ""}
    steps = [f"| {name}{more} | {found[name] * 1000:.0f} ms | {found[name] / found[ALONE]:.2f} |" for name, more in kinds.items()]
    return [
        "| training, 256 columns, 1.6 million weights, 8,192 rows a step | a step | to one process |",
        "|---|---|---|",
        *steps,
        "",
        f"The input pipeline alone gives {found[READING]:,.0f} rows a second; one process learns from {_BATCH / found[ALONE]:,.0f}.",
    ]


def _run(rows: str, name: str) -> float:
    done = subprocess.run([sys.executable, "-m", "bench.training", rows, name], cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} ended with status {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def _main(folder: pathlib.Path, name: str) -> float:
    from waybill.launch.process import prepare

    prepare()
    if name == "write":
        return _write(folder)
    if name == WHOLE:
        return _whole(folder)
    if name == COMPUTE:
        return _compute(folder)
    if name == READING:
        return _reading(folder)
    return _train(folder, name)


def _train(folder: pathlib.Path, name: str) -> float:
    from waybill.records.distribution import Distribution
    from waybill.training import pace
    from waybill.training.recipe import Plan, Recipe
    from waybill.training.train import train

    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as state:
        times = pathlib.Path(state) / "times"
        stepped = pace.Pace.stepped

        def noted(self: pace.Pace, loss: float, rows: Mapping[int, int]) -> None:
            stepped(self, loss, rows)
            if self._seat.chief and self._progress.step in (_SETTLED, _STEPS):
                with times.open("a") as file:
                    file.write(f"{time.monotonic()}\n")

        pace.Pace.stepped = noted  # type: ignore[method-assign]
        plan = Plan(_STEPS, seed=1, look_every=_LOOK_EVERY)
        files = [str(folder / "train")], [str(folder / "eval")]
        train(Recipe(_build, _parse), plan, Distribution(**_SPREAD[name]), *files, f"{state}/logs", pathlib.Path(state) / "state")
        first, last = map(float, times.read_text().split())
        return (last - first) / (_STEPS - _SETTLED)


def _whole(folder: pathlib.Path) -> float:
    """A training's seconds from start to end, for each of its steps."""
    from waybill.records.distribution import Distribution
    from waybill.training.recipe import Plan, Recipe
    from waybill.training.train import train

    plan = Plan(_WHOLE_STEPS, seed=1, look_every=_WHOLE_LOOK_EVERY, patience=_WHOLE_STEPS)
    files = [str(folder / "train")], [str(folder / "eval")]
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as state:
        began = time.monotonic()
        train(Recipe(_build, _parse), plan, Distribution(**_SPREAD[ALONE]), *files, f"{state}/logs", pathlib.Path(state) / "state")
        return (time.monotonic() - began) / _WHOLE_STEPS


def _compute(folder: pathlib.Path) -> float:
    """Seconds of a step that reads nothing and tells nobody: Keras's own, as a graph, on a batch that is in memory."""
    import tensorflow as tf

    from waybill.training import rows

    model = _build()
    batch = next(iter(rows.read([str(folder / "train")]).batch(_BATCH).map(_parse)))
    step = tf.function(model.train_step)
    for _ in range(_SETTLED):
        step(batch)
    began = time.monotonic()
    for _ in range(_STEPS - _SETTLED):
        loss = step(batch)["loss"]
    loss.numpy()  # the last one has been computed, whatever was done ahead
    return (time.monotonic() - began) / (_STEPS - _SETTLED)


def _reading(folder: pathlib.Path) -> float:
    from waybill.training import rows

    batches = iter(rows.stream([str(folder / "train")], 100_000, 1).batch(_BATCH).map(_parse))
    next(batches)
    began = time.monotonic()
    for _ in range(_STEPS):
        next(batches)
    return _STEPS * _BATCH / (time.monotonic() - began)


def _build() -> Any:
    import tf_keras

    layers = tf_keras.layers
    inputs = tf_keras.Input([_COLUMNS], name="x")
    hidden = layers.Dense(_WIDTH, activation="relu")(layers.Dense(_WIDTH, activation="relu")(inputs))
    model = tf_keras.Model({"x": inputs}, layers.Dense(1)(layers.Dense(256, activation="relu")(hidden)))
    optimizer = tf_keras.optimizers.Adam(0.001)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "mse")
    return model


def _parse(serialized: Any) -> Any:
    import tensorflow as tf

    spec = {"x": tf.io.FixedLenFeature([_COLUMNS], tf.float32), "y": tf.io.FixedLenFeature([1], tf.float32)}
    columns = tf.io.parse_example(serialized, spec)
    return {"x": columns["x"]}, columns["y"]


def _write(folder: pathlib.Path) -> float:
    import numpy as np
    import tensorflow as tf

    draw = np.random.default_rng(1)
    for split, count in (("train", _ROWS), ("eval", _LOOKED_AT)):
        with tf.io.TFRecordWriter(str(folder / split), "GZIP") as file:
            for values in draw.normal(size=(count, _COLUMNS)).astype(np.float32):
                features = {"x": _floats(values), "y": _floats([float(values[:8].sum())])}
                file.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return 0.0


def _floats(values: Sequence[float]) -> Any:
    import tensorflow as tf

    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


if __name__ == "__main__":
    print(json.dumps(_main(pathlib.Path(sys.argv[1]), sys.argv[2])))
