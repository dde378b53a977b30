"""A pipeline's settings and the graph compiled from it: what Airflow draws its DAG from, as plain data."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any, Literal

from waybill.records.errors import RecordError
from waybill.records.waivable import WaiverPolicy

Scope = Literal["spec", "shared", "span", "run"]


@dataclasses.dataclass(frozen=True)
class Param:
    """A typed parameter of a run, as the trigger form shows it.

    Attributes:
      name: Key in the run spec's params.
      default: Value of a run that does not name it; its Python type is the parameter's type.
      description: What a person reads beside the field.
      minimum: Smallest allowed number, or None.
      maximum: Largest allowed number, or None.
      choices: The allowed texts; empty for any.
    """

    name: str
    default: int | float | str | bool
    description: str
    minimum: int | float | None = None
    maximum: int | float | None = None
    choices: tuple[str, ...] = ()

    def check(self, value: Any) -> int | float | str | bool:
        """Returns `value` when the parameter can hold it.

        Raises:
          RecordError: with what was given and what is allowed.
        """
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise RecordError(f"parameter {self.name} is {value!r}; expected {kind.__name__}, such as {self.default!r}")
        if self.choices and value not in self.choices:
            raise RecordError(f"parameter {self.name} is {value!r}; expected one of {', '.join(self.choices)}")
        low, high = self.minimum, self.maximum
        within = isinstance(value, str) or ((low is None or value >= low) and (high is None or value <= high))
        if not within:
            raise RecordError(f"parameter {self.name} is {value}; expected {low} to {high}")
        return value


@dataclasses.dataclass(frozen=True)
class Stage:
    """A group of nodes that the UI shows together.

    Attributes:
      name: Group name.
      scope: `shared`: once per content of the schema; `span`: once per content of a partition, mapped over the window;
        `run`: once per generation of an interval.
      nodes: Node ids in it.
      says: One sentence for the group's tooltip.
    """

    name: str
    scope: Scope
    nodes: tuple[str, ...]
    says: str


@dataclasses.dataclass(frozen=True)
class PipelineSettings:
    """What the machinery must know of a pipeline, beside `create_pipeline`.

    Attributes:
      name: The pipeline's, its folder's and its model's name.
      description: One sentence.
      schedule: Cron expression of its data intervals.
      timezone: IANA name of the zone the cron expression is read in.
      start: First interval's start, ISO 8601.
      end: End of the last interval, ISO 8601, or empty for no end.
      schema: Schema file, relative to the project.
      stages: All nodes, by group, in reading order.
      params: The run's parameters. `window` (number of partitions) and `reason` are always among them.
      approval: When a promotion needs a second person: `never`, for an interval `older` than the promoted one, or `always`.
      landing_patience_minutes: How long a run waits for its partition, from the later of the interval's end and the run's start.
      owner: Airflow owner.
      tags: Airflow tags.
      waivers: How far waivers may go.
    """

    name: str
    description: str
    schedule: str
    timezone: str
    start: str
    end: str
    schema: str
    stages: tuple[Stage, ...]
    params: tuple[Param, ...]
    landing_patience_minutes: int
    owner: str
    tags: tuple[str, ...]
    waivers: WaiverPolicy = dataclasses.field(default_factory=WaiverPolicy)
    approval: Literal["never", "older", "always"] = "older"

    def __post_init__(self) -> None:
        if self.approval not in ("never", "older", "always"):
            raise RecordError(f"approval of {self.name} is {self.approval!r}; expected never, older or always")

    def resolve_params(self, given: dict[str, Any]) -> dict[str, Any]:
        """All parameters' values: the given ones, checked, and defaults for the rest.

        Raises:
          RecordError: for an unknown name or a value the parameter cannot hold.
        """
        known = {p.name: p for p in self.params}
        if unknown := sorted(set(given) - set(known)):
            raise RecordError(f"unknown parameter {', '.join(unknown)}; {self.name} has {', '.join(known)}")
        return {name: param.check(given.get(name, param.default)) for name, param in known.items()}


@dataclasses.dataclass(frozen=True)
class Node:
    """One stop: a TFX node, an Airflow task.

    Attributes:
      id: The one word for it.
      stage: Name of its stage.
      scope: As `Stage.scope`; `spec` for `run_spec`.
      upstream: Ids of the nodes that must be done before, sorted.
      gate: Whether it writes a verdict that later nodes need to be PASS or WAIVED.
      says: What it does, in a line.
      trains: Whether it trains a model, in as many processes as a run's parameters ask for.
      releases: Whether it puts a model into the release store.
      promotes: Whether it decides if a release is served.
      looks_back: Whether it chooses among what older intervals' runs made, and so waits for those under way.
    """

    id: str
    stage: str
    scope: Scope
    upstream: tuple[str, ...]
    gate: bool
    says: str
    trains: bool = False
    releases: bool = False
    promotes: bool = False
    looks_back: bool = False


@dataclasses.dataclass(frozen=True)
class Graph:
    """A compiled pipeline: its settings and its nodes in topological order, `run_spec` first."""

    settings: PipelineSettings
    nodes: tuple[Node, ...]

    def node(self, node_id: str) -> Node:
        """The node of that id.

        Raises:
          RecordError: naming the ids there are.
        """
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise RecordError(f"no node {node_id!r} in pipeline {self.settings.name}; it has {', '.join(n.id for n in self.nodes)}")

    @property
    def pusher(self) -> str:
        """Id of the node that releases.

        Raises:
          RecordError: unless there is exactly one.
        """
        found = [node.id for node in self.nodes if node.releases]
        if len(found) != 1:
            raise RecordError(f"pipeline {self.settings.name} has {len(found)} nodes that release a model; expected one")
        return found[0]

    @property
    def promoter(self) -> str:
        """Id of the node that decides whether a release is served; empty when there is none."""
        return next((node.id for node in self.nodes if node.promotes), "")

    def gates_before(self, node_id: str) -> tuple[str, ...]:
        """Ids of all gates on any path to the node, in the graph's order."""
        seen: set[str] = set()
        todo = list(self.node(node_id).upstream)
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                todo += self.node(current).upstream
        return tuple(n.id for n in self.nodes if n.id in seen and n.gate)

    def to_text(self) -> str:
        """The graph as the text of `graph.json`."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Graph:
        """The inverse of `to_text`.

        Raises:
          RecordError: if the text was not written by this version.
        """
        try:
            value = json.loads(text)
            raw = value["settings"]
            stages = tuple(Stage(**dict(s, nodes=tuple(s["nodes"]))) for s in raw["stages"])
            params = tuple(Param(**dict(p, choices=tuple(p["choices"]))) for p in raw["params"])
            waivers = WaiverPolicy(**raw["waivers"])
            settings = PipelineSettings(**dict(raw, stages=stages, params=params, tags=tuple(raw["tags"]), waivers=waivers))
            return cls(settings, tuple(Node(**dict(n, upstream=tuple(n["upstream"]))) for n in value["nodes"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"graph.json is not of this version ({error}); write it again with `make graph`") from error

    @classmethod
    def load(cls, path: pathlib.Path) -> Graph:
        """Reads a pipeline's `graph.json`.

        Raises:
          RecordError: if it is missing or of another version.
        """
        if not path.is_file():
            raise RecordError(f"{path.name} of pipeline {path.parent.name} is missing; write it with `make graph`")
        return cls.from_text(path.read_text())
