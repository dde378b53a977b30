"""The text of a partition's manifest.json -> what was delivered: names, digests and row counts."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.records.interval import Interval
from waybill.records.run_spec import check_digest

MANIFEST = "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}\.(csv|parquet)")


@dataclasses.dataclass(frozen=True)
class LandedFile:
    """One file of a partition.

    Attributes:
      name: Its name in the partition's folder: letters, numbers, `.`, `_` and `-`, ending in `.csv` or `.parquet`.
      digest: Digest of its bytes.
      rows: Rows in it, without the header.
    """

    name: str
    digest: str
    rows: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise RecordError(f"file name {self.name!r}; expected a plain name such as data.csv or data.parquet, without folders")
        if not isinstance(self.digest, str):
            raise RecordError(f"digest {self.digest!r} of {self.name}; expected sha256: and 64 hexadecimal characters")
        check_digest(self.digest)
        _check_rows(self.rows, self.name)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What an upstream job says it delivered.

    Attributes:
      interval: The interval whose data the partition holds.
      files: Its files, by name.
      rows: Rows in all of them.
    """

    interval: Interval
    files: tuple[LandedFile, ...]
    rows: int

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise RecordError(f"files {', '.join(sorted(names))}; expected each name once")
        _check_rows(self.rows, "all files")
        if self.rows != (total := sum(file.rows for file in self.files)):
            raise RecordError(f"{self.rows} rows in all and {total} when the files' are added up; expected them to agree")
        object.__setattr__(self, "files", tuple(sorted(self.files, key=lambda file: file.name)))

    @property
    def digest(self) -> str:
        """The partition's digest: names, digests and row counts, whatever the manifest's layout."""
        return digest.of_json({"files": [dataclasses.asdict(file) for file in self.files], "rows": self.rows})

    def to_text(self) -> str:
        """The manifest as the text of `manifest.json`."""
        files = [dataclasses.asdict(file) for file in self.files]
        return json.dumps({"interval": self.interval.to_json(), "files": files, "rows": self.rows}, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Manifest:
        """The inverse of `to_text`; other layouts of the same JSON are fine.

        Raises:
          RecordError: if the text is no manifest.
        """
        try:
            value: dict[str, Any] = json.loads(text)
            files = tuple(LandedFile(**file) for file in value["files"])
            return cls(Interval.from_json(value["interval"]), files, value["rows"])
        except RecordError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise RecordError(f"damaged JSON, or fields missing or unknown ({type(error).__name__}: {error})") from error


def _check_rows(rows: object, what: str) -> None:
    if type(rows) is not int or rows < 0:
        raise RecordError(f"{rows!r} rows in {what}; expected a whole number, 0 or more")
