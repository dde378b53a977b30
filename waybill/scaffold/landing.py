"""A folder of partitions -> the same partitions in the landing area of a pipeline."""

from __future__ import annotations

import csv
import io
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence

from pyarrow import parquet

from waybill.launch.landing import deliver
from waybill.launch.window import interval_from
from waybill.records.graph import PipelineSettings
from waybill.records.interval import Interval
from waybill.scaffold.cells import Part

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")


def land(parts: Sequence[Part], settings: PipelineSettings, landing: pathlib.Path, replace: bool = False) -> Iterator[tuple[Interval, int]]:
    """Delivers partitions; those that are there already with the same bytes stay as they are.

    Args:
      parts: The partitions.
      settings: The pipeline's settings, whose schedule says where each interval ends.
      landing: The landing area.
      replace: Whether they correct what is there.

    Yields:
      Each interval and its number of rows.

    Raises:
      AlreadyLanded: if one is there with other content, and these are not said to correct it.
    """
    for part in parts:
        interval = interval_from(settings, part.delivered.start)
        named = {_name(path, number): path for number, path in enumerate(part.delivered.files, start=1)}
        counts = dict(zip(named, part.counts, strict=True))
        # A file without rows is nothing to read.
        held = {name: renamed(path, part.renamed) if part.renamed else path for name, path in named.items() if counts[name]}
        rows = deliver(landing, settings.name, interval, held, {name: counts[name] for name in held}, replace=replace).rows
        yield interval, rows


def renamed(path: pathlib.Path, names: Mapping[str, str]) -> bytes:
    """A file's content with other names for its columns; what is below them stays as it is."""
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        buffer = io.BytesIO()
        parquet.write_table(table.rename_columns([names.get(name, name) for name in table.column_names]), buffer)
        return buffer.getvalue()
    with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as handle:
        reader = csv.reader(handle)
        header = [names.get(name, name) for name in next(reader)]
        lines = reader.line_num  # a name may hold the end of a line
    rest = path.read_bytes().split(b"\n", lines)[lines:]
    return ",".join(header).encode() + b"\n" + b"".join(rest)


def _name(path: pathlib.Path, number: int) -> str:
    """The file's name, if a manifest can hold it."""
    return path.name if _PLAIN.fullmatch(path.name) else f"data-{number:03d}{path.suffix}"
