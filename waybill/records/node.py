"""What a node is asked to do, and how it ended: the contract between an orchestrator and the launcher."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping, Sequence
from typing import Any

from waybill.records.errors import RecordError

RUN_SPEC = "run_spec"  # the first task of every run: it freezes the run's spec
EXECUTOR_SECONDS = "executor_seconds"  # in a result's extra: how much of the node was its executor's own work
WAITS_FOR = "waits_for"  # in a waiting result's extra: runs by name, each with the orchestrator's own name of it
_MARK = "waybill_node_result"


class Outcome(str, enum.Enum):
    """How a node ended; the table in docs/outcomes.md maps each to MLMD and Airflow."""

    COMPLETE = "complete"
    CACHED = "cached"
    BLOCKED = "blocked"
    NOT_LANDED = "not_landed"
    LATE = "late"
    WAITING = "waiting"
    EMPTY = "empty"
    CORRUPT = "corrupt"
    UNRESOLVED = "unresolved"
    REFUSED = "refused"
    FAILED = "failed"
    KILLED = "killed"


SUCCESSFUL = frozenset({Outcome.COMPLETE, Outcome.CACHED})
RETRIED = frozenset({Outcome.FAILED, Outcome.KILLED})


@dataclasses.dataclass(frozen=True)
class NodeRequest:
    """One attempt at one node of one frozen run.

    Attributes:
      spec: Digest of the run spec.
      node: Node id in the pipeline, the same word as the Airflow task id.
      attempt: Number of the attempt, from 1.
      ticket: Which asking this is; see `Trigger.ticket`.
      index: For a node mapped over the window, the position of its span, from 0; None otherwise.
      over: Names of older intervals' runs that the orchestrator knows to be over, although the store does not show it.
      asked_by: The orchestrator's name of the run that asks, as in `Trigger.run`; empty where it does not say.
    """

    spec: str
    node: str
    attempt: int
    ticket: str
    index: int | None = None
    over: tuple[str, ...] = ()
    asked_by: str = ""


@dataclasses.dataclass(frozen=True)
class OutputRef:
    """One output artifact: its MLMD id, folder and content digest."""

    id: int
    uri: str
    digest: str


@dataclasses.dataclass(frozen=True)
class NodeResult:
    """How one attempt ended.

    Attributes:
      node: Node id.
      outcome: How it ended.
      message: One sentence or more for a person: what happened, and for a bad end what to do next.
      run: Name of the MLMD pipeline run the execution belongs to.
      execution: MLMD execution id; 0 when there is none.
      outputs: Output artifacts by key, as MLMD records them.
      seconds: Wall time of the attempt.
      extra: What only some nodes report, such as the frozen spec of `run_spec`, or the verdict of a gate.
    """

    node: str
    outcome: Outcome
    message: str
    run: str = ""
    execution: int = 0
    outputs: Mapping[str, Sequence[OutputRef]] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def successful(self) -> bool:
        """Whether what the node was asked for is there now."""
        return self.outcome in SUCCESSFUL

    @property
    def retried(self) -> bool:
        """Whether another attempt might end otherwise."""
        return self.outcome in RETRIED

    def to_line(self) -> str:
        """The result as the one line of JSON that a node's log ends with."""
        return json.dumps({_MARK: dict(dataclasses.asdict(self), outcome=self.outcome.value)})

    @classmethod
    def from_line(cls, line: str) -> NodeResult | None:
        """Reads what `to_line` wrote; None when the line is something else.

        Raises:
          RecordError: if the line claims to be a result and is not one.
        """
        if not line.startswith('{"' + _MARK + '"'):
            return None
        try:
            value = json.loads(line)[_MARK]
            outputs = {key: [OutputRef(**ref) for ref in refs] for key, refs in value["outputs"].items()}
            return cls(**dict(value, outcome=Outcome(value["outcome"]), outputs=outputs))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise RecordError(f"a node's last line is damaged ({error}): {line[:200]!r}") from error
