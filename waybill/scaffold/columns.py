"""The cells of a column -> what it holds, and how a model should take it.

b"12.6", b"", b"-3"        numbers, a third missing      ->    Standardized
b"red", b"blue", b"red"    words, two of them            ->    Vocabulary
b"1", b"2", b"3", ...      every row has the next one    ->    left out: it counts the rows
"""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["INT", "FLOAT", "BYTES"]

DOMAIN = 20  # a column with no more different words has a domain in the schema
_WORDS = 100  # the most frequent words that are told apart
_NUMBERED, _WIDEST = 12, 50  # so many different whole numbers, no further apart, are categories
_OFTEN = 5  # rows for each of them
_FEW = 20  # rows of which nothing is said
_LARGEST = float(np.finfo(np.float32).max)
_DATE = re.compile(rb"\d{4}-\d\d-\d\d([T ].*)?")
_LOOKED_AT = 1000


@dataclasses.dataclass(frozen=True)
class Column:
    """What a column holds.

    Attributes:
      name: Its name.
      kind: Its type in the schema.
      rows: How many rows there are.
      present: How many of them have a value.
      values: The different values as they were written, the most frequent first.
      numbers: Its values as numbers; empty for words.
      treatment: The treatment, as it is written in `features.py`; empty where the model does not take the column.
      why: Why it does not; or what is worth knowing.
    """

    name: str
    kind: Kind
    rows: int
    present: int
    values: tuple[bytes, ...]
    numbers: np.ndarray = dataclasses.field(repr=False, compare=False, default_factory=lambda: np.array([]))
    treatment: str = ""
    why: str = ""

    @property
    def categorical(self) -> bool:
        """Whether its values are categories, each a slice of the rows."""
        return self.treatment.startswith(("Numbered", "Vocabulary"))


def look(name: str, cells: pa.ChunkedArray) -> Column:
    """What a column holds and how it should be taken."""
    present = cells.filter(pc.greater(pc.binary_length(cells), 0))
    counted = sorted(pc.value_counts(present).to_pylist(), key=lambda found: (-found["counts"], found["values"]))
    values = tuple(found["values"] for found in counted)
    kind, numbers = _typed(present)
    column = Column(name, kind, len(cells), len(present), values, numbers)
    treatment, why = _of_words(column) if kind == "BYTES" else _of_numbers(column)
    return dataclasses.replace(column, treatment=treatment, why=why)


def _typed(present: pa.ChunkedArray) -> tuple[Kind, np.ndarray]:
    """The narrowest type that holds every value, and the values as numbers."""
    try:
        text = present.cast(pa.string())
        numbers = text.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return "BYTES", np.array([])
    if np.isinf(numbers).any() or (np.abs(numbers[np.isfinite(numbers)]) > _LARGEST).any():
        return "BYTES", np.array([])
    try:
        text.cast(pa.int64())
    except pa.ArrowInvalid:
        return "FLOAT", numbers
    # -1 stands for a missing whole number where every row must have one; so numbers below 0 are taken as fractions are.
    return ("INT" if len(numbers) and numbers.min() >= 0 else "FLOAT"), numbers


def _of_numbers(column: Column) -> tuple[str, str]:
    """How numbers should be taken."""
    known, different = column.numbers[np.isfinite(column.numbers)], len(column.values)
    if not len(known) or known.min() == known.max():
        return "", "it says the same in every row"
    low, high = known.min(), known.max()
    if column.kind == "INT" and different == column.rows > _FEW and high - low < 2 * column.rows:
        return "", "it counts the rows"
    if column.kind == "INT" and different <= _NUMBERED and high - low <= _WIDEST and column.present >= _OFTEN * different:
        return f"Numbered({literal(column.name)}, {low:.0f}, {high:.0f})", ""
    skewed = low >= 0 and known.mean() > 2 * np.median(known)
    return f"{'Scaled' if skewed else 'Standardized'}({literal(column.name)})", ""


def _of_words(column: Column) -> tuple[str, str]:
    """How words should be taken."""
    different = len(column.values)
    if not different or (different == 1 and column.present == column.rows):
        return "", "it says the same in every row"
    if all(map(_DATE.fullmatch, column.values[:_LOOKED_AT])):
        return "", "it is a date, and would teach the model the calendar of the past"
    note = _nearly_numbers(column)
    if not all(map(_is_text, column.values[:_LOOKED_AT])):
        return "", "it holds bytes that are no text"
    if different > max(_FEW, column.present / 2):
        return "", note or "nearly every row has a word of its own"
    size = min(different, _WORDS)
    return f"Vocabulary({literal(column.name)}, {size}, {2 if different <= DOMAIN else 4})", note


def _nearly_numbers(column: Column) -> str:
    """That a few words keep a column of numbers from being one."""
    odd = [value for value in column.values if not _is_number(value)]
    if len(odd) > 3 or len(odd) * 2 > len(column.values):
        return ""
    words = ", ".join(shown(value[:10]) for value in odd)
    return f"all of it would be numbers, were it not for {words}; write missing values as empty cells"


def _is_number(value: bytes) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def shown(value: bytes | str) -> str:
    """A value of the data for a person, on one line and not too long."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return repr(text if len(text) <= 40 else text[:37] + "...")


def literal(text: str) -> str:
    """A text as Python source, in double quotes where that needs no escape."""
    plain = repr(text)
    return f'"{text}"' if plain == f"'{text}'" and '"' not in text else plain
