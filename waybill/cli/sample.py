"""`waybill sample`: files with what a model was asked during an interval -> a sample in the landing area, for the data gate."""

from __future__ import annotations

import argparse
import csv
import pathlib

import pyarrow
from pyarrow import parquet

from waybill.cli import load
from waybill.launch.landing import deliver
from waybill.launch.partitions import samples_of
from waybill.launch.window import interval_from
from waybill.records import settings as places
from waybill.records.errors import RecordError
from waybill.records.interval import parse_moment
from waybill.records.settings import Settings


def sample(args: argparse.Namespace) -> int:
    """Delivers a sample; the runs that are frozen from now on have it."""
    rows = deliver_sample(args, places.load())
    print(f"{args.pipeline} {args.interval}: a sample of {rows} rows")
    return 0


def deliver_sample(args: argparse.Namespace, settings: Settings) -> int:
    """Delivers a sample, whole or not at all, and returns its number of rows.

    Raises:
      AlreadyLanded: if the interval has another one, and this is not said to correct it.
      RecordError: if the interval is not the pipeline's, or a file cannot be used.
    """
    interval = interval_from(load.settings_of(args.pipeline), parse_moment(args.interval))
    paths = {path.name: path for path in map(pathlib.Path, args.files)}
    if len(paths) < len(args.files):
        raise RecordError(f"{' '.join(args.files)}: expected files with different names, because they lie in one folder")
    rows = {name: _rows(path) for name, path in paths.items()}
    return deliver(settings.landing, samples_of(args.pipeline), interval, paths, rows, replace=args.replace).rows


def _rows(path: pathlib.Path) -> int:
    """Rows of a Parquet file, or of a CSV file without its header."""
    try:
        if path.suffix == ".parquet":
            return int(parquet.ParquetFile(path).metadata.num_rows)
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
            return max(0, sum(1 for row in csv.reader(handle) if row) - 1)
    except (OSError, csv.Error, pyarrow.ArrowInvalid) as error:
        raise RecordError(
            f"cannot read {path}: {error}; expected a CSV file with a header, such as requests.csv, or requests.parquet"
        ) from error
