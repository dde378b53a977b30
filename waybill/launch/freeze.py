"""An interval, a form and a landing area -> the frozen spec of one run.

This is the only place that resolves what depends on time, place or people. Everything after it is told the spec's digest.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from waybill.launch import identity, specs, window
from waybill.launch.partitions import LandingArea, NotLanded, samples_of
from waybill.records import digest, fault_points
from waybill.records.distribution import Distribution
from waybill.records.graph import PipelineSettings
from waybill.records.interval import Interval, parse_moment
from waybill.records.node import RUN_SPEC
from waybill.records.run_spec import Partition, RunSpec, Trigger
from waybill.records.settings import PROJECT, Settings
from waybill.store import contexts, generations
from waybill.store.connection import Store


@dataclasses.dataclass(frozen=True)
class FreezeRequest:
    """What an orchestrator knows when it asks for a run.

    Attributes:
      interval: The run's data interval.
      params: Values from the form; what is missing gets the pipeline's default.
      trigger: Who asked.
    """

    interval: Interval
    params: Mapping[str, Any]
    trigger: Trigger


def freeze(request: FreezeRequest, pipeline: PipelineSettings, settings: Settings, store: Store, say: Callable[[str], None]) -> RunSpec:
    """Freezes a run, or finds the spec that the same asking froze before.

    Raises:
      RecordError: if a parameter or the interval is not the pipeline's, or parameters do not go together.
      NotLanded: if the interval's own partition is not there yet.
      EmptyPartition: if a partition of the window is there without data.
      CorruptPartition: if a partition's bytes are not those of its manifest.
    """
    fault_points.work_on(RUN_SPEC)
    interval = window.interval_from(pipeline, request.interval.start)
    params = pipeline.resolve_params(dict(request.params))
    generation = generations.find(store, pipeline.name, interval.span, request.trigger.ticket)
    if generation is not None and generation.spec:
        say(f"the same asking froze this run before: {generation.spec}")
        return specs.load(settings.specs, generation.spec)
    distribution = Distribution.of(params)
    landed, absent = _window(pipeline, interval, params["window"], settings.landing, say)
    sample = _sample(pipeline, interval, settings.landing, say)
    distribution.check_rows(sum(partition.rows for partition in landed))
    # Only now, so that a run that waits for its partition uses up no generation.
    generation = generations.allocate(store, pipeline.name, interval.span, request.trigger.ticket)
    fault_points.reached("freeze.allocated")
    spec = RunSpec(
        pipeline=pipeline.name,
        interval=interval,
        generation=generation.number,
        window=landed,
        absent=absent,
        params=params,
        schema=digest.of_file(PROJECT / pipeline.schema),
        code=identity.code(PROJECT, pipeline.name, pipeline.schema),
        environment=identity.environment(PROJECT),
        trigger=request.trigger,
        sample=sample,
    )
    return record(spec, spec.digest, settings, store)


def derive(tip: RunSpec, ticket: str, root: str, settings: Settings, store: Store) -> RunSpec:
    """The next generation of a run that was frozen before: the same in everything but its number and the asking."""
    generation = generations.allocate(store, tip.pipeline, tip.interval.span, ticket)
    if generation.spec:
        return specs.load(settings.specs, generation.spec)
    trigger = dataclasses.replace(tip.trigger, ticket=ticket)
    spec = dataclasses.replace(tip, generation=generation.number, trigger=trigger, derived_from=tip.digest)
    return record(spec, root, settings, store)


def record(spec: RunSpec, root: str, settings: Settings, store: Store) -> RunSpec:
    """Makes a spec durable: as a file, on the run's MLMD context, and as its generation's; the first to get there wins."""
    specs.save(settings.specs, spec)
    fault_points.reached("freeze.saved")
    contexts.record_run(store, spec)
    fault_points.reached("freeze.recorded")
    settled = generations.settle(store, spec.pipeline, spec.interval.span, spec.generation, root=root, spec=spec.digest)
    fault_points.reached("freeze.settled")
    if settled.spec == spec.digest:
        return spec
    winner = specs.load(settings.specs, settled.spec)
    contexts.record_run(store, winner)
    return winner


def is_late(interval: Interval, asked_at: dt.datetime, now: dt.datetime, patience_minutes: int) -> bool:
    """Whether a run has waited for its partition long enough."""
    return now >= max(interval.end, asked_at) + dt.timedelta(minutes=patience_minutes)


def _sample(pipeline: PipelineSettings, interval: Interval, landing: pathlib.Path, say: Callable[[str], None]) -> Partition | None:
    """The sample of what the model was asked during the interval, if one has landed."""
    try:
        found = LandingArea(landing, samples_of(pipeline.name)).partition(interval)
    except NotLanded:
        return None
    say(f"serving sample: {found.rows} rows, {found.digest[:19]}")
    return found


def _window(
    pipeline: PipelineSettings, interval: Interval, length: int, landing: pathlib.Path, say: Callable[[str], None]
) -> tuple[tuple[Partition, ...], tuple[int, ...]]:
    """The landed partitions of the window, oldest first, and the spans that had not landed; the interval's own must be there."""
    area = LandingArea(landing, pipeline.name)
    found, absent = [area.partition(interval)], []
    for earlier in reversed(window.window(pipeline, interval, length)[:-1]):
        if earlier.start < parse_moment(pipeline.start):
            continue
        try:
            found.append(area.partition(earlier))
        except NotLanded:
            absent.append(earlier.span)
    found.reverse()
    for partition in found:
        say(f"span {partition.interval.span}: {partition.rows} rows, {partition.digest[:19]}")
    for span in sorted(absent):
        say(f"span {span}: not landed, left out of the window")
    return tuple(found), tuple(sorted(absent))
