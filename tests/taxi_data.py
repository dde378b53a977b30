"""Small real partitions of taxi trips, and what can go wrong with them."""

from __future__ import annotations

import csv
import functools
import io
import random
from collections.abc import Callable

from pipelines.taxi import land

Rows = list[dict[str, str]]
RUINED = "KOAM Taxi Association"  # has few trips of its own


@functools.lru_cache(maxsize=1)
def trips() -> dict[str, Rows]:
    """All real trips by the label of their quarter."""
    import datetime as dt

    quarters: dict[str, Rows] = {}
    with land.source().open(newline="") as handle:
        for row in csv.DictReader(handle):
            moment = dt.datetime.fromtimestamp(int(row["trip_start_timestamp"]), dt.timezone.utc)
            quarters.setdefault(land.quarter(moment).label, []).append(row)
    return quarters


def partition(label: str, spoil: Callable[[Rows], Rows] = list, rows: int | None = None) -> bytes:
    """A quarter's trips as CSV, spoilt on the way.

    Args:
      label: First day of the quarter.
      spoil: Turns the rows into worse ones.
      rows: How many of them, or all.
    """
    chosen = spoil([dict(row) for row in trips()[label][:rows]])
    text = io.StringIO()
    writer = csv.DictWriter(text, list(chosen[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(chosen)
    return text.getvalue().encode()


def without_payment_type(rows: Rows) -> Rows:
    return [{k: v for k, v in row.items() if k != "payment_type"} for row in rows]


def new_payment_type_in_a_tenth(rows: Rows) -> Rows:
    return [dict(row, payment_type="Barter") if i % 10 == 0 else row for i, row in enumerate(rows)]


def nan_in_fare(rows: Rows) -> Rows:
    return [dict(row, fare="NaN") if i == 7 else row for i, row in enumerate(rows)]


def words_in_fare(rows: Rows) -> Rows:
    return [dict(row, fare="twelve") if i == 7 else row for i, row in enumerate(rows)]


def fares_in_cents(rows: Rows) -> Rows:
    return [dict(row, fare=str(round(float(row["fare"]) * 100))) for row in rows]


def labels_shuffled(rows: Rows) -> Rows:
    tips, fares = [r["tips"] for r in rows], [float(r["fare"]) for r in rows]
    big = [float(tip) > 0.2 * fare for tip, fare in zip(tips, fares, strict=True)]
    random.Random(7).shuffle(big)
    return [dict(row, tips=str(round(0.5 * fare + 1, 2)) if tipped else "0") for row, tipped, fare in zip(rows, big, fares, strict=True)]


def one_company_tipped_at_random(rows: Rows) -> Rows:
    """One slice ruined: a company takes over a third of the trips, and its tips mean nothing; all others are as they were."""
    chance = random.Random(7)
    tips = [str(round(0.5 * float(row["fare"]) + 1, 2)) if chance.random() < 0.5 else "0" for row in rows]
    return [dict(row, company=RUINED, tips=tips[i]) if i % 3 == 0 else row for i, row in enumerate(rows)]
