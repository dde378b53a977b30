"""A folder of partitions -> the same partitions in the landing area of a pipeline."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Sequence

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
        held = {name: path for name, path in named.items() if counts[name]}  # a file without rows is nothing to read
        rows = deliver(landing, settings.name, interval, held, {name: counts[name] for name in held}, replace=replace).rows
        yield interval, rows


def _name(path: pathlib.Path, number: int) -> str:
    """The file's name, if a manifest can hold it."""
    return path.name if _PLAIN.fullmatch(path.name) else f"data-{number:03d}{path.suffix}"
