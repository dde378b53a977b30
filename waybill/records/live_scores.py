"""What a trained model says of its eval split, before it is exported <-> `live_scores.json` beside its logs.

The exported model has to say the same of the same rows. Transformed rows bear no name by which a raw row could be told, so the scores are
kept in the order of their size: when each row's score is right up to a tolerance, so is each of the sorted ones. A model that gives a row
several numbers, such as one for each class, has a column for each, sorted by itself, so that classes that changed places are noticed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Iterable, Sequence

from waybill.records.errors import RecordError

FILE_NAME = "live_scores.json"
MAX_ROWS = 100_000  # of a larger eval split no scores are kept


@dataclasses.dataclass(frozen=True)
class LiveScores:
    """The scores of a model in memory.

    Attributes:
      rows: Rows of the eval split.
      scores: For each number that the model gives a row, those of all rows, smallest first; none when there are more rows than `MAX_ROWS`.
    """

    rows: int
    scores: tuple[tuple[float, ...], ...] | None

    def write(self, folder: pathlib.Path) -> None:
        """Writes the file into a folder that is there."""
        text = json.dumps({"rows": self.rows, "scores": self.scores})
        (folder / FILE_NAME).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: pathlib.Path) -> LiveScores | None:
        """The inverse of `write`; None when there is no such file.

        Raises:
          RecordError: if it is damaged.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            return None
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            scores = None if value["scores"] is None else tuple(tuple(map(float, column)) for column in value["scores"])
            return cls(int(value["rows"]), scores)
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{str(path)!r} is damaged ({error}); run trainer again") from error


def by_size(scores: Iterable[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """Rows of numbers, as many in each -> columns of them, each sorted.

    Raises:
      ValueError: if one row has more numbers than another.
    """
    return tuple(tuple(sorted(column)) for column in zip(*scores, strict=True))


def largest_difference(some: Sequence[float], others: Sequence[float]) -> float:
    """Of scores in the same order, the largest difference; NaN when one of them is none, infinite when they are not as many."""
    if len(some) != len(others):
        return math.inf
    differences = [abs(a - b) for a, b in zip(some, others, strict=True)]
    return math.nan if any(map(math.isnan, differences)) else max(differences, default=0.0)
