"""A column of cells -> the classes that a model is to tell apart, or why there are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from waybill.scaffold.columns import Column, shown
from waybill.scaffold.errors import LabelUnfit

CLASSES = 20  # a model that tells more apart wants more than is written here
ROWS = 10  # of each class
_YES = ("1", "true", "yes", "y", "t", "positive", "pos", "on", "present")
_SHOWN = 6


@dataclasses.dataclass(frozen=True)
class Classes:
    """What is to be told apart.

    Attributes:
      name: The column.
      kind: Its type in the schema, INT or BYTES.
      values: One value for each class; of two the second is what a score is about.
      rows: How many rows there are of each.
    """

    name: str
    kind: str
    values: tuple[int | str, ...]
    rows: tuple[int, ...]

    @property
    def binary(self) -> bool:
        """Whether there are two."""
        return len(self.values) == 2

    def numbers(self, cells: pa.ChunkedArray) -> np.ndarray:
        """The class of each row, as its place in `values`."""
        places = {str(value).encode(): place for place, value in enumerate(self.values)}
        if self.kind == "INT":
            return np.array([self.values.index(int(cell)) for cell in cells.to_pylist()])
        return np.array([places[cell] for cell in cells.to_pylist()])


def classes(column: Column, cells: pa.ChunkedArray, positive: str = "") -> Classes:
    """The classes of a label.

    Args:
      column: What the column holds.
      cells: Its cells.
      positive: Of two values the one that a score is about; nothing: the one that says yes, or else the last.

    Raises:
      LabelUnfit: if its values are too many, too few, too rare or not all there.
    """
    _check(column)
    counts = {found["values"]: found["counts"] for found in pc.value_counts(cells).to_pylist()}
    if column.kind == "INT":
        merged: dict[int, int] = {}
        for cell, count in counts.items():
            merged[int(cell)] = merged.get(int(cell), 0) + count
        found: list[tuple[int | str, int]] = [(value, merged[value]) for value in sorted(merged)]
    else:
        found = [(value.decode(), count) for value, count in sorted(counts.items())]
    if rare := [f"{shown(str(value))} ({count} rows)" for value, count in found if count < ROWS]:
        raise LabelUnfit(
            f"the label {column.name!r} has classes of few rows: {', '.join(rare[:_SHOWN])}; expected {ROWS} rows of each at least; merge "
            "rare classes in the files, or leave their rows out"
        )
    values, rows = zip(*(_two(found, column.name, positive) if len(found) == 2 else found), strict=True)
    if positive and len(found) != 2:
        raise LabelUnfit(f"--positive is {positive!r} and the label has {len(found)} classes; expected two, or no --positive")
    return Classes(column.name, "INT" if column.kind == "INT" else "BYTES", values, rows)


def _check(column: Column) -> None:
    """Whether the values may be classes at all."""
    says, different = f"the label {column.name!r} ", len(column.values)
    if column.present < column.rows:
        raise LabelUnfit(
            f"{says}is missing in {column.rows - column.present} of {column.rows} rows; expected a value in each; leave those rows out, or "
            "fill them in"
        )
    if different < 2:
        value = shown(column.values[0]) if different else "nothing"
        raise LabelUnfit(
            f"{says}is {value} in every row; expected two different values or more; choose another column, or land other rows too"
        )
    if different > CLASSES:
        what = "different numbers, as a quantity has" if column.kind != "BYTES" else "different words"
        raise LabelUnfit(
            f"{says}has {different} {what}; expected 2 to {CLASSES} classes, because the gates judge models that tell classes apart; "
            "write a column of classes into the files, such as whether it is above a bound, and name that"
        )
    if any(not _readable(value) for value in column.values):
        raise LabelUnfit(f"{says}holds bytes that are no printable text; expected numbers or words; write it as one of them")


def _readable(value: bytes) -> bool:
    try:
        return value.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _two(found: Sequence[tuple[int | str, int]], name: str, positive: str) -> list[tuple[int | str, int]]:
    """Two classes, the one that a score is about last."""
    texts = [str(value) for value, _ in found]
    if positive and positive not in texts:
        raise LabelUnfit(f"--positive is {positive!r}; expected one of the values of {name!r}: {texts[0]!r} or {texts[1]!r}")
    says_yes = [text.lower() in _YES for text in texts]
    first_is_it = positive == texts[0] if positive else says_yes[0] and not says_yes[1]
    return [found[1], found[0]] if first_is_it else list(found)
