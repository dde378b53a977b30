"""A run -> the runs of older intervals that have begun and are not over, which may still become its baseline or the release before it.

A run judges its model against the newest release of an older interval. When both are under way at once, the newer one waits, so that its
outcome is the same as when they had run one after the other.
"""

from __future__ import annotations

import dataclasses

from waybill.launch import specs
from waybill.launch.errors import GateClosed, SpecMissing
from waybill.launch.gates import verdict_of
from waybill.launch.lease import is_held
from waybill.records.graph import Graph
from waybill.records.interval import Interval, parse_moment
from waybill.records.run_spec import RunSpec
from waybill.records.settings import Settings
from waybill.records.verdict import Decision
from waybill.store import generations, reads
from waybill.store.connection import Store

RUN = "run"  # the node that the lease of a whole run is named for


@dataclasses.dataclass(frozen=True)
class OpenRun:
    """A run that has begun and has neither ended well nor been blocked.

    Attributes:
      run: Its name in MLMD.
      asked_by: The orchestrator's name of it, which says whether it is still at work; empty where this machine knows that it is.
    """

    run: str
    asked_by: str


def open_runs(spec: RunSpec, graph: Graph, settings: Settings, store: Store) -> list[OpenRun]:
    """The runs of older intervals that are not over as far as the store can tell, oldest first.

    A run whose process was killed and that nobody tries again is among them: only its orchestrator knows. Runs that could only make an
    older release than the newest there is are not, whatever they do; so the answer does not take longer with a longer history.
    """
    released = reads.releases(store, spec.pipeline, upto=f"{spec.interval.start:%Y%m%d%H%M}99", limit=1)
    found = []
    for digest in generations.frozen_between(store, spec.pipeline, _place(released[0]) if released else (0, 0), spec.interval.span):
        try:
            older = specs.load(settings.specs, digest)
        except SpecMissing:
            continue  # no node of it can run without its spec; `waybill doctor` tells of it
        by_hand = older.trigger.kind == "command_line"
        if is_over(older, graph, store) or (by_hand and not is_held(settings.leases, older.run, RUN)):
            continue
        found.append(OpenRun(older.run, "" if by_hand else older.trigger.run))
    return found


def _place(release: reads.ArtifactRow) -> tuple[int, int]:
    """Span and generation of a release."""
    start, end = (parse_moment(str(release.properties[name])) for name in ("interval_start", "interval_end"))
    return Interval(start, end).span, int(release.properties["generation"])


def is_over(spec: RunSpec, graph: Graph, store: Store) -> bool:
    """Whether a run has done all that a newer one may depend on, or a gate has stopped it."""
    last = graph.nodes[-1].id
    if reads.successful_execution(store, spec.pipeline, spec.run, last):
        return True
    for node in graph.nodes:
        done = reads.successful_execution(store, spec.pipeline, spec.run, node.id) if node.gate else None
        if done is None:
            continue
        try:
            verdict = verdict_of(store, done.id)
        except GateClosed:
            return True  # its verdict was tampered with: nothing can follow from that run
        if verdict is not None and verdict.decision is Decision.BLOCKED:
            return True
    return False
