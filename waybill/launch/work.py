"""Everything the two halves of a launch agree on: the light half decides, the heavy half imports TFX and executes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from waybill.launch.units import Unit
from waybill.records.interval import Interval
from waybill.records.run_spec import Partition, RunSpec


@dataclasses.dataclass(frozen=True)
class Work:
    """One attempt at one node, decided and ready to be executed.

    Attributes:
      lineage: Digests of the run's spec and of those it was derived from, newest first.
      node: Node id.
      attempt: Number of the attempt, from 1.
      unit: The unit of work it belongs to.
    """

    lineage: tuple[str, ...]
    node: str
    attempt: int
    unit: Unit

    def to_text(self) -> str:
        """The work as one line of JSON, for a process of its own."""
        unit = dataclasses.asdict(self.unit)
        unit["interval"] = self.unit.interval.to_json()
        unit["partition"]["interval"] = self.unit.partition.interval.to_json()
        return json.dumps({"lineage": self.lineage, "node": self.node, "attempt": self.attempt, "unit": unit})

    @classmethod
    def from_text(cls, text: str) -> Work:
        """The inverse of `to_text`."""
        value = json.loads(text)
        raw = value["unit"]
        partition = Partition(**dict(raw["partition"], interval=Interval.from_json(raw["partition"]["interval"])))
        unit = Unit(raw["name"], partition, Interval.from_json(raw["interval"]), raw["shared"])
        return cls(tuple(value["lineage"]), value["node"], value["attempt"], unit)


def stamps(spec: RunSpec, unit: Unit) -> dict[str, str | int]:
    """What every artifact of a unit says of where it came from, beside its digest."""
    return {
        "pipeline": spec.pipeline,
        "unit": unit.name,
        "interval_start": unit.interval.start.isoformat(),
        "interval_end": unit.interval.end.isoformat(),
        "generation": 0 if unit.shared else spec.generation,
        "run_spec": spec.digest,
    }


def result_refs(outputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Output artifacts as a node's result names them."""
    from waybill.records.node import OutputRef

    return {key: [OutputRef(a.id, a.uri, a.digest) for a in artifacts] for key, artifacts in outputs.items()}
