"""The real trips that the tfx package carries -> one delivered partition per calendar quarter.

A trip that started at 1380593700, in the evening of 2013-09-30 in Chicago and after midnight in UTC, goes to `2013-10-01/data.csv`.
"""

from __future__ import annotations

import collections
import csv
import datetime as dt
import importlib.util
import io
import pathlib

from waybill.launch.landing import deliver
from waybill.records.errors import RecordError
from waybill.records.interval import UTC, Interval

PIPELINE = "taxi"
_SOURCE = pathlib.PurePath("examples", "chicago_taxi_pipeline", "data", "simple", "data.csv")
_TIME = "trip_start_timestamp"  # seconds since 1970, UTC
_MONTHS = 3


def land(landing: pathlib.Path) -> list[tuple[Interval, int]]:
    """Delivers every quarter of the trips; those that are there already stay as they are.

    Args:
      landing: The landing area.

    Returns:
      Each quarter and its number of rows, oldest first.

    Raises:
      RecordError: if the trips are not to be found or not as expected.
      AlreadyLanded: if a quarter has other content there.
    """
    with source().open(newline="", encoding="utf-8") as handle:
        reader = csv.reader(handle)
        header = next(reader)
        if _TIME not in header:
            raise RecordError(
                f"{source()} has the columns {', '.join(header)}; expected {_TIME} among them; install the locked requirements"
            )
        position = header.index(_TIME)
        quarters = collections.defaultdict(list)
        for row in reader:
            quarters[quarter(dt.datetime.fromtimestamp(int(row[position]), UTC))].append(row)
    landed = []
    for interval, rows in sorted(quarters.items()):
        landed.append((interval, deliver(landing, PIPELINE, interval, {"data.csv": _csv([header, *rows])}, len(rows)).rows))
    return landed


def source() -> pathlib.Path:
    """The file of trips in the installed tfx package, which is not imported for it.

    Raises:
      RecordError: if there is none.
    """
    found = importlib.util.find_spec("tfx")
    for folder in (found.submodule_search_locations or []) if found else []:
        path = pathlib.Path(folder, _SOURCE)
        if path.is_file():
            return path
    raise RecordError(f"no {_SOURCE} in an installed tfx package; run this in TFX's Python, with the locked requirements installed")


def quarter(moment: dt.datetime) -> Interval:
    """The calendar quarter that a moment is in, in UTC."""
    months = moment.year * 12 + (moment.month - 1) // _MONTHS * _MONTHS
    start, end = (dt.datetime(m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in (months, months + _MONTHS))
    return Interval(start, end)


def _csv(rows: list[list[str]]) -> bytes:
    """The rows as CSV, quoted only where the text needs it, so that the same rows are always the same bytes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
