"""A trained model in memory and its eval split -> its scores, kept beside its logs, for the exported model to be compared with."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import tf_keras

from waybill.records.live_scores import MAX_ROWS, LiveScores, by_size
from waybill.training import rows
from waybill.training.recipe import Parse

_BATCH = 4096


def keep_scores(model: tf_keras.Model, parse: Parse, eval_files: Sequence[str], folder: str) -> None:
    """Scores the eval split with the model as it was trained, and writes the scores into the folder.

    Args:
      model: The trained model, whose output is a score for each row, or as many for each.
      parse: The recipe's.
      eval_files: Patterns of the eval split's files, transformed.
      folder: Where to; the folder of the training's logs.
    """
    scores: list[list[float]] = []
    count = 0
    for batch in rows.read(eval_files).batch(_BATCH):
        count += int(batch.shape[0])
        if count <= MAX_ROWS:
            columns, _ = parse(batch)
            scores += model(columns, training=False).numpy().reshape(int(batch.shape[0]), -1).tolist()
    LiveScores(count, by_size(scores) if count <= MAX_ROWS else None).write(pathlib.Path(folder))
