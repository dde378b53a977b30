"""What was measured on a table -> the limits of a new pipeline's policy: far from what is there, near enough to stop what is broken.

Noise falls with the number of rows. So each limit is the larger of a plain one and of what chance alone does to the smallest split.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from waybill.scaffold.columns import Column
from waybill.scaffold.label import Classes
from waybill.scaffold.measured import Measured

DRIFT_ROWS = 100  # with fewer in the train split, chance alone moves the shares by as much as damage does
_SLICES = 3
_SLICE_VALUES = 10  # a column with more has slices too small to judge


@dataclasses.dataclass(frozen=True)
class Limits:
    """The numbers of a policy.

    Attributes:
      numbers: Drift of a column of numbers: a warning above the first, blocks above the second.
      values: The same of a column of categories.
      own: The same of single columns that have drifted more than that among the partitions there are.
      min_rows: Fewest rows of the train and of the eval split.
      volume: Largest fall and rise of the number of rows, as shares.
      auc: Smallest AUC, of two classes.
      accuracy: Smallest accuracy.
      accuracy_of_slices: Smallest accuracy in a slice.
      calibration: Smallest and largest calibration, of two classes.
      fall: How far the model may fall behind the release before.
      slices: Columns whose values are slices.
    """

    numbers: tuple[float, float]
    values: tuple[float, float]
    own: dict[str, tuple[float, float]]
    min_rows: tuple[int, int]
    volume: tuple[float, float]
    auc: float
    accuracy: float
    accuracy_of_slices: float
    calibration: tuple[float, float]
    fall: float
    slices: tuple[str, ...]


def derive(found: Measured, columns: Sequence[Column], label: Classes) -> Limits:
    """The limits for a table; `columns` are those beside the label."""
    train, evaluation = found.least
    rows = max(train, DRIFT_ROWS)
    # Two samples of n rows of the same thing: the divergence over 11 bins is about 10 / (4 n ln 2), a share moves by sqrt(1 / (2 n)).
    numbers = _both(max(0.15, 4 * 10 / (4 * rows * math.log(2))))
    values = _both(max(0.15, 4 * math.sqrt(0.5 / rows)))
    own = {
        column.name: (_up(min(1.0, drift * 1.25)), _up(min(1.0, drift * 2)))
        for column in columns
        if (drift := found.drift.get(column.name, 0.0)) * 1.5 > (values if column.categorical else numbers)[1]
    }
    chance = math.sqrt(0.25 / evaluation)
    plain = found.commonest + (found.accuracy - found.commonest) / 2
    rarer = min(label.rows) / sum(label.rows)
    spread = max(0.5, 3 * math.sqrt((1 - rarer) / (rarer * evaluation)))
    return Limits(
        numbers=numbers,
        values=values,
        own=own,
        min_rows=(max(1, train // 2), max(1, evaluation // 2)),
        volume=_volume([sum(split) for split in found.splits]),
        auc=_down(0.5 + (found.auc - 0.5) / 2) if label.binary else math.nan,
        accuracy=_down(min(found.commonest, found.accuracy) - 2 * chance) if label.binary else _down(max(plain, found.commonest)),
        accuracy_of_slices=_down(found.recall / 2),
        calibration=(_down(math.exp(-spread)), _up(math.exp(spread))),
        fall=_up(max(0.03, 1.5 * chance)),
        slices=_slices(columns, label),
    )


def _volume(rows: Sequence[int]) -> tuple[float, float]:
    """Half to twice as many as usual, or as far as they have been from the median."""
    usual = sorted(rows)[len(rows) // 2]
    return _up(min(0.9, max(0.5, 1.2 * (1 - min(rows) / usual)))), _up(max(1.0, 1.5 * (max(rows) / usual - 1)))


def _slices(columns: Sequence[Column], label: Classes) -> tuple[str, ...]:
    """The label, where there are more than two classes, the columns with the fewest values, and the partitions."""
    few = sorted((c for c in columns if c.categorical and len(c.values) <= _SLICE_VALUES), key=lambda column: len(column.values))
    return (*(() if label.binary else (label.name,)), *(column.name for column in few[:_SLICES]), "span")


def _both(block: float) -> tuple[float, float]:
    """A limit that warns half-way."""
    return _up(block / 2), _up(block)


def _down(value: float) -> float:
    return max(0.0, math.floor(value * 100) / 100)


def _up(value: float) -> float:
    return math.ceil(round(value * 100, 6)) / 100
