"""A partition's files -> a table of cells as they were written, read as ingestion will read them once they are landed."""

from __future__ import annotations

import csv
import dataclasses
import keyword
import pathlib
import re
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from components import landed_parquet
from components.landed_rows import SPAN, csv_batches, csv_columns
from waybill.scaffold.errors import ColumnsUnfit, FolderUnfit
from waybill.scaffold.folder import Delivered

_LONGEST, _SHOWN = 80, 5
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")  # TensorFlow's Python loader changes all others


@dataclasses.dataclass(frozen=True)
class Part:
    """One partition, read.

    Attributes:
      delivered: Where it is.
      counts: Rows of each of its files, in their order.
      table: All its rows, every column as bytes; a missing value is empty bytes.
      renamed: New names of columns, by the old ones; of all partitions.
    """

    delivered: Delivered
    counts: tuple[int, ...]
    table: pa.Table
    renamed: Mapping[str, str]


def read(parts: Sequence[Delivered], rename: bool = False) -> list[Part]:
    """Reads partitions; columns that one of them lacks are missing in its rows.

    Args:
      parts: Where they are.
      rename: Whether columns whose names no model can be asked by are to get others.

    Raises:
      FolderUnfit: if a file cannot be read, or a partition has no rows.
      ColumnsUnfit: if a column cannot be told from another, or bears a name that none can.
    """
    found = []
    for part in parts:
        tables = [_table(path) for path in part.files]
        rows = sum(table.num_rows for table in tables)
        if not rows:
            raise FolderUnfit(f"the partition of {part.label} has no rows; expected at least one; take it away until there are some")
        found.append(Part(part, tuple(table.num_rows for table in tables), pa.concat_tables(tables, promote_options="default"), {}))
    names = list(dict.fromkeys(name for part in found for name in part.table.column_names))
    given = {name: plain(name) for name in names if plain(name) != name} if rename else {}
    check_columns([given.get(name, name) for name in names])
    return [dataclasses.replace(part, table=_all_of(part.table, names, given), renamed=given) for part in found]


def plain(name: str) -> str:
    """The name that a column gets if it must have another: `petal length (cm)` becomes `petal_length_cm`."""
    if _is_plain(name):
        return name
    words = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[: _LONGEST - 2]
    return words if _is_plain(words) else f"c_{words}"


def _is_plain(name: str) -> bool:
    """Whether TensorFlow takes it for the name of an argument."""
    return bool(_NAME.fullmatch(name)) and not keyword.iskeyword(name) and name != "self"


def check_columns(names: Sequence[str]) -> None:
    """Checks that a pipeline can be written with these columns.

    Raises:
      ColumnsUnfit: naming those that cannot be.
    """
    odd = [name for name in names if plain(name) != name or len(name) > _LONGEST]
    if odd:
        shown = ", ".join(repr(name[:_LONGEST]) for name in odd[:_SHOWN]) + (f" and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else "")
        raise ColumnsUnfit(
            f"the columns {shown} have names that a model cannot be asked by; expected letters, 0 to 9 and _, beginning with a letter, no "
            f"word of Python's, {_LONGEST} at most; rename them in the files, or add --rename to have them landed as "
            f"{', '.join(map(plain, odd[:_SHOWN]))}"
        )
    lowered: dict[str, str] = {}
    for name in names:
        if name == SPAN:
            raise ColumnsUnfit(f"a column is called {SPAN!r}, as the one that ingestion adds; rename it in the files")
        if name.lower() in lowered:
            raise ColumnsUnfit(f"the columns {lowered[name.lower()]!r} and {name!r} differ by capitals only, or not at all; rename one")
        lowered[name.lower()] = name


def _table(path: pathlib.Path) -> pa.Table:
    """The rows of one file."""
    try:
        if path.suffix == ".parquet":
            content = path.read_bytes()
            columns, batches = landed_parquet.names(content), list(landed_parquet.batches(content))
        else:
            columns = csv_columns(path)
            with path.open("rb") as handle:
                batches = list(csv_batches(handle, columns)) if columns else []
    except (pa.ArrowInvalid, landed_parquet.NoCells, UnicodeEncodeError, csv.Error) as error:
        kind = "Parquet" if path.suffix == ".parquet" else "CSV with a header in UTF-8"
        raise FolderUnfit(f"{path.parent.name}/{path.name} cannot be read: {error}; expected {kind}; mend or remove it") from error
    if len(set(columns)) != len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise ColumnsUnfit(f"{path.name} has more than one column {twice[:_LONGEST]!r}; expected each name once; rename one")
    return pa.Table.from_batches(batches, schema=pa.schema([(name, pa.binary()) for name in columns]))


def _all_of(table: pa.Table, names: Sequence[str], renamed: Mapping[str, str]) -> pa.Table:
    """The table with all those columns, in that order."""
    empty = pa.array([b""] * table.num_rows, pa.binary())
    return pa.table({renamed.get(name, name): pc.fill_null(table[name], b"") if name in table.column_names else empty for name in names})
