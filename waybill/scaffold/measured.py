"""A table and its label -> what a plain model reaches, and how far partitions are from each other: what limits are derived from."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2

from components import typed_rows
from waybill.gates.distance import infinity_norm, jensen_shannon_divergence
from waybill.gates.spread import NUMBERS, Spread
from waybill.scaffold.cells import Part
from waybill.scaffold.columns import Column
from waybill.scaffold.errors import FolderUnfit
from waybill.scaffold.inferred import statistics
from waybill.scaffold.label import Classes

_FOLDS = 5
_ROWS = 20_000  # enough to know what a plain model reaches
_WORDS = 50
BUCKETS, EVAL_BUCKETS = 3, 1  # of example_gen, as the journey leaves them


@dataclasses.dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
      splits: Rows of the train and of the eval split, of each partition.
      commonest: Share of the commonest class.
      accuracy: Share of rows that a logistic regression tells right of which it has not learned.
      auc: Of two classes, the area under its ROC curve; else NaN.
      recall: The accuracy in the class where it is worst.
      drift: Largest distance of two neighbouring partitions, by column.
    """

    splits: tuple[tuple[int, int], ...]
    commonest: float
    accuracy: float
    auc: float
    recall: float
    drift: dict[str, float]

    @property
    def least(self) -> tuple[int, int]:
        """Rows of the smallest train and of the smallest eval split."""
        train, evaluation = zip(*self.splits, strict=True)
        return min(train), min(evaluation)


def measure(parts: Sequence[Part], columns: Sequence[Column], label: Classes, schema: schema_pb2.Schema) -> Measured:
    """Looks at a table as a plain model would, and at its partitions one after the other."""
    whole = pa.concat_tables([part.table for part in parts]).combine_chunks()
    truth = label.numbers(whole[label.name])
    accuracy, auc, recall = _plain(_matrix(whole, columns), truth, label)
    shares = np.bincount(truth) / len(truth)
    return Measured(tuple(map(_split, parts)), float(shares.max()), accuracy, auc, recall, _drift(parts, columns, schema))


def _split(part: Part) -> tuple[int, int]:
    """Rows of the train and of the eval split, as example_gen will deal them."""
    [cells] = part.table.combine_chunks().to_batches()
    for_eval = int((typed_rows.buckets(cells, part.table.column_names, BUCKETS) < EVAL_BUCKETS).sum())
    if not 0 < for_eval < part.table.num_rows:
        raise FolderUnfit(
            f"the partition of {part.delivered.label} has {part.table.num_rows} rows, {for_eval} in the eval split; expected some in "
            "both splits, as about 12 different rows give; put more into one partition, such as by a longer interval"
        )
    return part.table.num_rows - for_eval, for_eval


def _matrix(table: pa.Table, columns: Sequence[Column]) -> np.ndarray:
    """The columns that a model takes, as numbers around 0."""
    found = []
    for column in columns:
        if not column.treatment:
            continue
        cells = table[column.name]
        if column.categorical:
            found += [pc.equal(cells, value).to_numpy().astype(float) for value in column.values[:_WORDS]]
            continue
        filled = pc.if_else(pc.equal(pc.binary_length(cells), 0), b"nan", cells)
        numbers = filled.cast(pa.string()).cast(pa.float64()).to_numpy()
        numbers = np.log1p(numbers) if column.treatment.startswith("Scaled") else numbers
        known = np.isfinite(numbers)
        spread = numbers[known].std() or 1.0
        found.append(np.where(known, np.clip((numbers - numbers[known].mean()) / spread, -10, 10), 0.0))
    return np.stack(found, axis=1)


def _plain(matrix: np.ndarray, truth: np.ndarray, label: Classes) -> tuple[float, float, float]:
    """Accuracy, AUC and worst recall of a logistic regression in rows that it has not learned from."""
    # Here, because it takes two seconds.
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    order = np.random.default_rng(0).permutation(len(truth))[:_ROWS]
    matrix, truth = matrix[order], truth[order]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is no matter
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
        said = cross_val_predict(LogisticRegression(max_iter=300), matrix, truth, cv=folds, method="predict_proba")
    right = said.argmax(axis=1) == truth
    auc = float(roc_auc_score(truth, said[:, 1])) if label.binary else float("nan")
    return float(right.mean()), auc, min(float(right[truth == number].mean()) for number in np.unique(truth))


def _drift(parts: Sequence[Part], columns: Sequence[Column], schema: schema_pb2.Schema) -> dict[str, float]:
    """The largest distance of neighbours, by column; empty for a single partition."""
    spreads = [_spreads(part, schema) for part in parts]
    found: dict[str, float] = {}
    for before, now in itertools.pairwise(spreads):
        for column in columns:
            old, new = before[column.name], now[column.name]
            if old.kind == new.kind:
                distance = jensen_shannon_divergence if old.kind == NUMBERS else infinity_norm
                found[column.name] = max(found.get(column.name, 0.0), distance(old, new).value)
    return found


def _spreads(part: Part, schema: schema_pb2.Schema) -> dict[str, Spread]:
    counted = {feature.path.step[0]: feature for feature in statistics([part.table], schema).datasets[0].features}
    return {name: Spread.read(counted.get(name), part.table.num_rows) for name in part.table.column_names}
