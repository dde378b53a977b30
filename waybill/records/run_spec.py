"""What a run is about, resolved once -> an immutable record that every later task is given by its digest."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Any

from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.records.interval import Interval


@dataclasses.dataclass(frozen=True)
class Partition:
    """One landed partition, as its manifest described it when the run was frozen.

    Attributes:
      interval: The interval whose data it holds.
      path: Its folder.
      digest: Digest over the manifest's file names, file digests and row counts.
      rows: Number of rows in it.
    """

    interval: Interval
    path: str
    digest: str
    rows: int

    @property
    def version(self) -> int:
        """TFX's integer version of the span: the first 48 bits of the digest, so that it depends on the content alone."""
        return int(self.digest.removeprefix(digest.PREFIX)[:12], 16)


@dataclasses.dataclass(frozen=True)
class Trigger:
    """Who or what asked for the run.

    Attributes:
      kind: `scheduled`, `backfill`, `manual` or `command_line`.
      who: The person, or empty for the schedule.
      run: The orchestrator's own name of the run, such as `orders/backfill__2013-04-01T00:00:00+00:00`.
      ticket: Names this asking: the same for every task of one pass over the run, another after a clear. See `store.generations`.
      reason: What the person wrote in the form, or empty.
      promote: Whether the person asks that what the run releases be served.
    """

    kind: str
    who: str
    run: str
    ticket: str
    reason: str = ""
    promote: bool = False

    def to_json(self) -> dict[str, Any]:
        """The trigger as plain values; `promote` is there only where it was asked for, so that older specs keep their digests."""
        value = dataclasses.asdict(self)
        return value if self.promote else {name: v for name, v in value.items() if name != "promote"}


@dataclasses.dataclass(frozen=True)
class Code:
    """The identity of the code: git's commit for people, the digest of the tree for the machinery."""

    commit: str
    dirty: bool
    digest: str


@dataclasses.dataclass(frozen=True)
class Environment:
    """The identity of the installed environment: its lock's digest, and the versions people ask about."""

    digest: str
    versions: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """Everything about a run that depends on time, place or people.

    Attributes:
      pipeline: Name of the pipeline.
      interval: The interval the run is for.
      generation: Which execution of that interval this is, from 1.
      window: The landed partitions of the window, oldest first; the last one is the interval's own.
      absent: Spans of the window whose partitions had not landed.
      params: Values of the pipeline's parameters, all of them.
      schema: Digest of the curated schema.
      code: Identity of the code.
      environment: Identity of TFX's Python.
      trigger: Who asked.
      sample: A sample of what the model was asked during the interval, if one had landed.
      derived_from: Digest of the spec whose finished nodes this one takes over by reference; empty for a fresh run.
    """

    pipeline: str
    interval: Interval
    generation: int
    window: tuple[Partition, ...]
    absent: tuple[int, ...]
    params: Mapping[str, Any]
    schema: str
    code: Code
    environment: Environment
    trigger: Trigger
    derived_from: str = ""
    sample: Partition | None = None

    @functools.cached_property
    def digest(self) -> str:
        """The spec's name: the digest of its canonical JSON."""
        return digest.of_json(self.to_json())

    @property
    def run(self) -> str:
        """The name of the run in MLMD, such as `orders.201307010000.g1`."""
        return f"{self.pipeline}.{self.interval.span}.g{self.generation}"

    @property
    def version(self) -> int:
        """The version number of the release that this run may make."""
        return self.interval.version(self.generation)

    def shared_key(self, *content: str) -> str:
        """A name for work that is made once for given content, whoever needs it: 16 hexadecimal characters."""
        parts = [self.pipeline, self.schema, self.code.digest, self.environment.digest, *content]
        return digest.of_json(parts).removeprefix(digest.PREFIX)[:16]

    def to_json(self) -> dict[str, Any]:
        """The spec as plain values."""
        value = {
            "pipeline": self.pipeline,
            "interval": self.interval.to_json(),
            "generation": self.generation,
            "window": [_partition(p) for p in self.window],
            "absent": list(self.absent),
            "params": dict(self.params),
            "schema": self.schema,
            "code": dataclasses.asdict(self.code),
            "environment": {"digest": self.environment.digest, "versions": dict(self.environment.versions)},
            "trigger": self.trigger.to_json(),
            "derived_from": self.derived_from,
        }
        # Only where there is one: a run without has the digest that it has always had.
        return value | ({"sample": _partition(self.sample)} if self.sample else {})

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RunSpec:
        """The inverse of `to_json`.

        Raises:
          RecordError: if a field is missing or unknown.
        """
        try:
            return cls(
                **{
                    **value,
                    "interval": Interval.from_json(value["interval"]),
                    "window": tuple(map(_partition_from, value["window"])),
                    "absent": tuple(value["absent"]),
                    "code": Code(**value["code"]),
                    "environment": Environment(**value["environment"]),
                    "trigger": Trigger(**value["trigger"]),
                    "sample": _partition_from(value["sample"]) if value.get("sample") else None,
                }
            )
        except (KeyError, TypeError) as error:
            raise RecordError(f"this is not a run spec of this version of Waybill: {error}") from error


def _partition(partition: Partition) -> dict[str, Any]:
    return dict(dataclasses.asdict(partition), interval=partition.interval.to_json())


def _partition_from(value: dict[str, Any]) -> Partition:
    return Partition(**dict(value, interval=Interval.from_json(value["interval"])))


def check_digest(text: str) -> str:
    """Returns `text` when it is a digest, so that it is safe in a file name.

    Raises:
      RecordError: if it is not.
    """
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", text):
        raise RecordError(f"got {text!r}, expected a digest: sha256: and 64 hexadecimal characters, as `run_spec` printed it")
    return text
