"""A folder of tables -> its partitions, oldest first, and the schedule that their names tell.

2013-01-01.csv, 2013-04-01.csv            two partitions, a quarter apart
orders_2013-01/part-1.parquet, ...        a folder for each partition, with one file or more
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
import re
from collections.abc import Callable, Sequence

from waybill.records.interval import UTC
from waybill.scaffold.errors import FolderUnfit

TABLES = (".csv", ".parquet")
_DATE = re.compile(
    r"(?<!\d)(?P<year>(?:19|20)\d\d)(?:[-_]?[Qq](?P<quarter>[1-4])|[-_]?[Ww](?P<week>\d\d)"
    r"|[-_](?P<month>\d\d)(?:[-_](?P<day>\d\d))?|(?P<month2>\d\d)(?P<day2>\d\d)?)?(?!\d)"
)
_SHOWN = 5
# From the coarsest on: the first whose beginnings all partitions are.
SCHEDULES: dict[str, tuple[str, Callable[[dt.datetime], bool]]] = {
    "yearly": ("0 0 1 1 *", lambda d: (d.month, d.day) == (1, 1)),
    "quarterly": ("0 0 1 */3 *", lambda d: d.day == 1 and d.month % 3 == 1),
    "monthly": ("0 0 1 * *", lambda d: d.day == 1),
    "weekly": ("0 0 * * {weekday}", lambda _: False),
    "daily": ("0 0 * * *", lambda _: True),
}


@dataclasses.dataclass(frozen=True)
class Delivered:
    """One partition of the folder.

    Attributes:
      start: Start of its interval, midnight in UTC.
      files: Its files, sorted by name.
    """

    start: dt.datetime
    files: tuple[pathlib.Path, ...]

    @property
    def label(self) -> str:
        """The date of its start."""
        return self.start.strftime("%Y-%m-%d")


def partitions(folder: pathlib.Path) -> list[Delivered]:
    """The partitions in a folder, oldest first.

    Raises:
      FolderUnfit: if there is none, or one whose date cannot be told or is another's too.
    """
    if not folder.is_dir():
        raise FolderUnfit(f"{str(folder)!r} is no folder; expected one with a CSV or Parquet file, or a folder of them, for each interval")
    found: dict[dt.datetime, Delivered] = {}
    for entry in sorted(folder.iterdir()):
        files = _files(entry)
        if not files:
            continue
        start = start_of(entry.name)
        if start in found:
            raise FolderUnfit(
                f"{found[start].files[0].relative_to(folder)} and {files[0].relative_to(folder)} are both of {start:%Y-%m-%d}; expected "
                "one file or one folder for each interval; put files of the same interval into a folder with its date as the name"
            )
        found[start] = Delivered(start, files)
    if not found:
        there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:_SHOWN]) or "nothing"
        raise FolderUnfit(
            f"{str(folder)!r} holds {there}, and no partition; expected .csv or .parquet files, or folders of them, named by the start of "
            "their interval, such as 2013-01-01.csv"
        )
    return [found[start] for start in sorted(found)]


def start_of(name: str) -> dt.datetime:
    """The start that a file's or folder's name tells.

    Raises:
      FolderUnfit: if it tells none, or more than one.
    """
    dates = list(_DATE.finditer(name))
    if len(dates) == 1:
        try:
            return _start(dates[0])
        except ValueError:
            pass
    raise FolderUnfit(
        f"{name[:80]!r} does not tell the start of its interval; expected exactly one date in the name, such as 2013-01-01, 2013-01, "
        "2013-Q1, 2013-W05 or 2013; rename it"
    )


def schedule_of(starts: Sequence[dt.datetime], asked: str = "") -> str:
    """The cron expression of a schedule.

    Args:
      starts: The partitions' starts, oldest first.
      asked: One of `SCHEDULES`, a cron expression, or nothing: then it is deduced.

    Raises:
      FolderUnfit: if it cannot be deduced from a single partition.
    """
    weekday = (starts[0].weekday() + 1) % 7  # cron's week begins with Sunday
    if asked:
        return SCHEDULES[asked][0].format(weekday=weekday) if asked in SCHEDULES else asked
    if len(starts) == 1:
        raise FolderUnfit(
            f"one partition, of {starts[0]:%Y-%m-%d}, does not tell how often they come; say it with --schedule, such as monthly"
        )
    for name, (cron, fits) in SCHEDULES.items():
        if name == "weekly":
            if len({start.weekday() for start in starts}) == 1:
                return cron.format(weekday=weekday)
        elif all(map(fits, starts)):
            return cron
    return SCHEDULES["daily"][0]


def _files(entry: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """The tables of an entry of the folder; what is hidden or no table is no partition."""
    if entry.name.startswith((".", "_")):
        return ()
    if entry.is_dir():
        return tuple(path for path in sorted(entry.iterdir()) if path.suffix in TABLES and path.is_file() and path.name[0] not in "._")
    return (entry,) if entry.suffix in TABLES and entry.is_file() else ()


def _start(date: re.Match[str]) -> dt.datetime:
    """What a date in a name means.

    Raises:
      ValueError: if there is no such day.
    """
    part = {name: int(value) for name, value in date.groupdict().items() if value}
    if "week" in part:
        return dt.datetime.fromisocalendar(part["year"], part["week"], 1).replace(tzinfo=UTC)
    month = part.get("quarter", 0) * 3 - 2 if "quarter" in part else part.get("month", part.get("month2", 1))
    return dt.datetime(part["year"], month, part.get("day", part.get("day2", 1)), tzinfo=UTC)
