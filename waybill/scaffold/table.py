"""A folder and a label -> what is in the table, checked: everything that can be refused before TFX is imported."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import pyarrow as pa

from waybill.launch.window import interval_from
from waybill.records.errors import RecordError
from waybill.records.graph import PipelineSettings
from waybill.scaffold import cells, folder
from waybill.scaffold.columns import Column, look
from waybill.scaffold.errors import ColumnsUnfit, FolderUnfit, LabelUnfit
from waybill.scaffold.label import Classes, classes

_SHOWN = 40


@dataclasses.dataclass(frozen=True)
class Table:
    """A table in partitions.

    Attributes:
      schedule: Cron expression of its intervals.
      parts: The partitions, oldest first.
      columns: What each column holds, in the files' order.
    """

    schedule: str
    parts: Sequence[cells.Part]
    columns: Sequence[Column]

    def labelled(self, name: str, positive: str, without: Sequence[str]) -> tuple[Table, Classes]:
        """The table with one of its columns as the label, and the label's classes.

        Args:
          name: The column.
          positive: Of two values the one that a score is about, or nothing.
          without: Columns that the model is not to take.

        Raises:
          LabelUnfit: if it is none.
          ColumnsUnfit: if nothing is left to learn from.
        """
        given, names = self.parts[0].renamed, [column.name for column in self.columns]
        name, without = given.get(name, name), [given.get(column, column) for column in without]
        for asked in (name, *without):
            if asked not in names:
                error = LabelUnfit if asked == name else ColumnsUnfit
                raise error(f"there is no column {asked[:80]!r}; expected one of {', '.join(names[:_SHOWN])}; name one of them")
        found = classes(self.columns[names.index(name)], self.cells(name), positive)
        columns = [_of_label(column, found) if column.name == name else _without(column, without) for column in self.columns]
        if not any(column.treatment for column in columns if column.name != name):
            why = "; ".join(f"{column.name}: {column.why}" for column in columns[:_SHOWN] if column.name != name)
            raise ColumnsUnfit(f"no column is left to learn from ({why or 'there is the label alone'}); expected one at least; add columns")
        return dataclasses.replace(self, columns=columns), found

    def cells(self, name: str) -> pa.ChunkedArray:
        """The cells of a column in all partitions."""
        return _whole(self.parts, name)


def read(where: pathlib.Path, schedule: str = "", rename: bool = False) -> Table:
    """Reads a folder of partitions.

    Args:
      where: The folder.
      schedule: One of `folder.SCHEDULES`, a cron expression, or nothing: then the names tell.
      rename: Whether columns with odd names are to get others.

    Raises:
      RecordError: if it is no such folder, or a partition does not begin when the schedule says.
    """
    delivered = folder.partitions(where)
    cron = folder.schedule_of([part.start for part in delivered], schedule)
    check_starts(delivered, settings_for("the new pipeline", cron, delivered[0].label))
    parts = cells.read(delivered, rename)
    return Table(cron, parts, looked_at(parts))


def looked_at(parts: Sequence[cells.Part]) -> list[Column]:
    """What each column of the partitions holds."""
    return [look(name, _whole(parts, name)) for name in parts[0].table.column_names]


def check_starts(delivered: Sequence[folder.Delivered], settings: PipelineSettings) -> None:
    """Checks that each partition's interval is one of the schedule's.

    Raises:
      FolderUnfit: naming the first that is not, or what is wrong with the schedule.
    """
    for part in delivered:
        try:
            interval_from(settings, part.start)
        except (RecordError, ValueError, KeyError) as error:
            known = ", ".join(folder.SCHEDULES)
            raise FolderUnfit(
                f"the partition of {part.label} does not go with the schedule {settings.schedule!r}: {error}; rename it, or give a "
                f"--schedule that fits, one of {known}, or a cron expression"
            ) from error


def settings_for(name: str, schedule: str, start: str) -> PipelineSettings:
    """As much of a pipeline's settings as intervals follow from."""
    return PipelineSettings(name, "", schedule, "UTC", start, "", "", (), (), 0, "", ())


def _whole(parts: Sequence[cells.Part], name: str) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for part in parts for chunk in part.table[name].chunks], pa.binary())


def _of_label(column: Column, found: Classes) -> Column:
    """The label's column, which is one of categories whatever it holds."""
    return dataclasses.replace(
        column, kind="INT" if found.kind == "INT" else "BYTES", treatment="Numbered" if found.kind == "INT" else "Vocabulary"
    )


def _without(column: Column, names: Sequence[str]) -> Column:
    return dataclasses.replace(column, treatment="", why="it was to be left out") if column.name in names else column
