"""The lineage store and a version -> the release: its bytes, the run that made it, the gates that let it pass."""

from __future__ import annotations

import dataclasses
import pathlib

from waybill.launch import specs
from waybill.launch.errors import LaunchError
from waybill.launch.gates import check_before, verdict_of
from waybill.launch.inputs import InputResolver
from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.records.graph import Graph
from waybill.records.interval import Interval, parse_moment
from waybill.records.run_spec import RunSpec
from waybill.records.settings import Settings
from waybill.records.verdict import MODEL_DIGEST, Verdict
from waybill.serving.errors import NoSuchRelease, ReleaseRefused
from waybill.store import reads
from waybill.store.connection import Store
from waybill.store.reads import ArtifactRow


@dataclasses.dataclass(frozen=True)
class Release:
    """One release on record.

    Attributes:
      model: Name of the model, which is its pipeline's.
      version: Its number.
      interval: The interval of its run.
      generation: Which execution of that interval made it.
      path: Its folder in the release store.
      digest: Digest of its bytes.
      spec: Digest of its run's spec.
      run: Name of its run in MLMD.
      artifact: MLMD id of its PushedModel artifact.
    """

    model: str
    version: int
    interval: Interval
    generation: int
    path: pathlib.Path
    digest: str
    spec: str
    run: str
    artifact: int

    @classmethod
    def of(cls, artifact: ArtifactRow) -> Release:
        """Reads a PushedModel's stamps."""
        said = artifact.properties
        return cls(
            model=str(said["pipeline"]),
            version=int(said["pushed_version"]),
            interval=Interval(parse_moment(str(said["interval_start"])), parse_moment(str(said["interval_end"]))),
            generation=int(said["generation"]),
            path=pathlib.Path(str(said["pushed_destination"])),
            digest=str(said["release_digest"]),
            spec=str(said["run_spec"]),
            run=str(said["unit"]),
            artifact=artifact.id,
        )


def find(store: Store, model: str, version: int) -> Release:
    """The release of a version.

    Raises:
      NoSuchRelease: if there is none; the message names the newest ones.
    """
    found = reads.release(store, model, version)
    if found is None:
        raise NoSuchRelease(model, version, tuple(release.version for release in newest(store, model, 5)))
    return Release.of(found)


def newest(store: Store, model: str, limit: int) -> list[Release]:
    """The releases with the highest versions, highest first."""
    return [Release.of(artifact) for artifact in reads.releases(store, model, limit=limit)]


def of_interval(store: Store, model: str, interval: Interval) -> list[Release]:
    """All releases of an interval, newest generation first."""
    found = reads.releases(store, model, upto=str(interval.version(99)), limit=99)
    return [release for release in map(Release.of, found) if release.interval == interval]


def lineage_of(release: Release, settings: Settings) -> list[RunSpec]:
    """The spec of a release's run, then those it was derived from.

    Raises:
      SpecMissing: if one of them is gone or damaged.
    """
    found = [specs.load(settings.specs, release.spec)]
    while found[-1].derived_from:
        found.append(specs.load(settings.specs, found[-1].derived_from))
    return found


def check(release: Release, graph: Graph, settings: Settings, store: Store) -> None:
    """Derives once more, from MLMD and from the bytes on disk, that a release may be served; no task's colour is looked at.

    Raises:
      ReleaseRefused: with every reason against it.
    """
    reasons = []
    try:
        resolver = InputResolver(store, graph, lineage_of(release, settings))
        check_before(graph.pusher, graph, resolver, store)
        judged = _judged_digests(graph, resolver, store)
        if judged != {release.digest}:
            reasons.append(f"the gates judged a model with digest {', '.join(sorted(judged)) or 'none'}; the release has {release.digest}")
    except (LaunchError, RecordError) as error:
        reasons.append(str(error))
    try:
        found = digest.of_tree(release.path) if release.path.is_dir() else "no folder"
    except (RecordError, OSError) as error:
        found = str(error)
    if found != release.digest:
        reasons.append(f"{str(release.path)!r} does not hold what was released: expected {release.digest}, found {found}")
    if reasons:
        raise ReleaseRefused(release.model, release.version, tuple(reasons))


def verdicts(release: Release, graph: Graph, settings: Settings, store: Store) -> list[Verdict]:
    """What the gates before a release said, in the graph's order.

    Raises:
      LaunchError: if one is missing or cannot be trusted.
    """
    return _verdicts(graph, InputResolver(store, graph, lineage_of(release, settings)), store)


def _verdicts(graph: Graph, resolver: InputResolver, store: Store) -> list[Verdict]:
    found = []
    for gate in graph.gates_before(graph.pusher):
        [(_, execution)] = resolver.executions_of(gate)
        found.append(verdict_of(store, execution.id))
    return [verdict for verdict in found if verdict]


def _judged_digests(graph: Graph, resolver: InputResolver, store: Store) -> set[str]:
    """The digests of the models that the verdicts before a release are about."""
    return {rule.found for verdict in _verdicts(graph, resolver, store) for rule in verdict.rules if rule.name == MODEL_DIGEST}
