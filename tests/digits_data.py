"""Small real partitions of handwritten digits, and what can go wrong with them."""

from __future__ import annotations

import functools
from collections.abc import Callable

from pipelines.digits import land

Rows = list[tuple[bytes, int]]  # a PNG file, and what it shows
RUINED = 8


@functools.lru_cache(maxsize=1)
def drawings() -> dict[str, Rows]:
    """All real drawings by the label of their month."""
    months = land.months()
    return {
        interval.label: list(zip(*(rows.column(n).to_pylist() for n in ("drawing", "digit")), strict=True)) for interval, rows in months
    }


def partition(label: str, spoil: Callable[[Rows], Rows] = list) -> tuple[bytes, int]:
    """A month's drawings as Parquet, spoilt on the way, and how many they are."""
    rows = spoil(list(drawings()[label]))
    return land.parquet(land.table([drawing for drawing, _ in rows], [digit for _, digit in rows])), len(rows)


def bad_in_four_ways(rows: Rows) -> Rows:
    """No eights at all; one drawing of another size, one cut short, one not delivered."""
    (_, zero), (second, one), (_, two), *others = [row for row in rows if row[1] != RUINED]
    return [(land.png([[255] * 9] * 8), zero), (second[:90], one), (b"", two), *others]


def eights_seven_times(rows: Rows) -> Rows:
    return rows + 6 * [row for row in rows if row[1] == RUINED]


def eights_of_other_digits(rows: Rows) -> Rows:
    """One class ruined: half of the eights are drawings of something else; all other digits are as they were."""
    others = [drawing for drawing, digit in rows if digit != RUINED]
    return [(others[i % len(others)] if digit == RUINED and i % 2 else drawing, digit) for i, (drawing, digit) in enumerate(rows)]
