"""`waybill run-spec`, `waybill node run`: what an orchestrator calls, ending with one line of JSON."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from collections.abc import Callable
from typing import Any

from waybill.cli import load, practice
from waybill.cli.person import check_speaks_for_airflow, me
from waybill.launch import freeze
from waybill.launch.backends import ColdBackend, ForkBackend, end_with_standard_input, standby
from waybill.launch.errors import LaunchError
from waybill.launch.node import Backend, run_node
from waybill.launch.partitions import CorruptPartition, EmptyPartition, NotLanded
from waybill.launch.window import interval_from
from waybill.launch.work import Work
from waybill.records import settings as places
from waybill.records.distribution import Distribution
from waybill.records.errors import RecordError
from waybill.records.interval import Interval, parse_moment
from waybill.records.node import RUN_SPEC, NodeRequest, NodeResult, Outcome
from waybill.records.person import airflow_user, one_line
from waybill.records.run_spec import Trigger
from waybill.records.settings import Settings
from waybill.store.connection import Store
from waybill.store.errors import StoreError

EXECUTE = [sys.executable, "-m", "waybill.cli.execute"]


def say(line: str) -> None:
    """A line for the log of whoever watches."""
    print(line, flush=True)


def freeze_run(args: argparse.Namespace) -> int:
    """Freezes a run and prints its spec's digest as a node result."""
    if args.lifeline:
        end_with_standard_input()
    result = frozen(args, places.load(), say)
    print(f"\n{result.to_line()}", flush=True)  # on a line of its own, whatever an executor printed last
    return 0 if result.successful else 1


def frozen(args: argparse.Namespace, settings: Settings, tell: Callable[[str], None]) -> NodeResult:
    """Freezes a run; whatever happens becomes a result."""
    try:
        pipeline = load.settings_of(args.pipeline)
        interval = interval_from(pipeline, parse_moment(args.start))
        if args.end and Interval(interval.start, parse_moment(args.end)) != interval:
            raise RecordError(f"the interval was given an end of {args.end}; by the schedule it ends at {interval.end.isoformat()}")
        if args.who not in ("", me()):
            check_speaks_for_airflow("--who", settings)
        trigger = Trigger(args.kind, args.who, args.run, args.ticket, args.reason, promote=args.promote)
        _check_wish(trigger)
        request = freeze.FreezeRequest(interval, json.loads(args.params), trigger)
        store = Store(settings.store_url)
        try:
            spec = freeze.freeze(request, pipeline, settings, store, tell)
        except NotLanded as error:
            asked = parse_moment(args.asked_at) if args.asked_at else dt.datetime.now(dt.timezone.utc)
            late = freeze.is_late(interval, asked, dt.datetime.now(dt.timezone.utc), pipeline.landing_patience_minutes)
            return NodeResult(RUN_SPEC, Outcome.LATE if late else Outcome.NOT_LANDED, str(error))
    except EmptyPartition as error:
        return NodeResult(RUN_SPEC, Outcome.EMPTY, str(error))
    except CorruptPartition as error:
        return NodeResult(RUN_SPEC, Outcome.CORRUPT, str(error))
    except (RecordError, LaunchError, json.JSONDecodeError) as error:
        return NodeResult(RUN_SPEC, Outcome.REFUSED, str(error))
    except (StoreError, OSError) as error:
        return NodeResult(RUN_SPEC, Outcome.FAILED, f"{type(error).__name__}: {error}")
    spans = [{"index": i, "label": p.interval.label} for i, p in enumerate(spec.window)]
    processes = max(1, len(Distribution.of(spec.params).places))
    extra = {"spec": spec.digest, "run": spec.run, "window": spans, "processes": processes}
    return NodeResult(RUN_SPEC, Outcome.COMPLETE, f"{spec.run}: {len(spans)} spans, {spec.digest}", run=spec.run, extra=extra)


def _check_wish(trigger: Trigger) -> None:
    """Raises RecordError if somebody asks that the release be served who is not named, or does not say why."""
    if trigger.promote:
        airflow_user(trigger.who)
        one_line("the reason why the release should be served", trigger.reason)


def run(args: argparse.Namespace) -> int:
    """Runs one node of a frozen run in a process of its own."""
    if args.lifeline:
        end_with_standard_input()
    settings = places.load()
    if settings.training_job and settings.training_index:
        return _join(settings)
    status = _run(args, ColdBackend(EXECUTE, settings.node_memory))
    if settings.training_job and status == 0:
        _pods().over(settings)
    return status


def _join(settings: Settings) -> int:
    """Takes part in a training whose node another process runs."""
    try:
        _pods().join(settings, say)
    except LaunchError as error:
        say(f"{type(error).__name__}: {error}")
        return 1
    return 0


def _pods() -> Any:
    from waybill.launch.process import prepare

    prepare()
    from waybill.training import pods

    return pods


def ready(ahead: bool) -> Callable[[list[str]], int]:
    """Makes a fork of the warm host, which has TFX imported, ready for `node run` or `run-spec`; returns what runs it.

    Args:
      ahead: Whether there is time to fork, ahead of need, the process that executes.
    """
    executing = standby(execute_work, practice.of_executing()) if ahead else None

    def command(words: list[str]) -> int:
        from waybill.cli.main import parser

        args = parser().parse_args(words)
        if args.verb == "run-spec":
            return freeze_run(args)
        if args.verb in ("answer", "ask-waiver", "answer-waiver"):
            from waybill.cli import answer, waiver_answer

            return {"answer": answer.answer, "ask-waiver": waiver_answer.ask, "answer-waiver": waiver_answer.answer}[args.verb](args)
        return _run(args, ForkBackend(execute_work, places.load().node_memory, ready=executing, reap=False))

    return command


def _run(args: argparse.Namespace, backend: Backend) -> int:
    request = NodeRequest(args.spec, args.node, args.attempt, args.ticket, args.index, tuple(args.over), args.asked_by)
    result = run_node(request, load.graph_of, places.load(), backend, say)
    print(f"\n{result.to_line()}", flush=True)  # on a line of its own, whatever an executor printed last
    return 0 if result.successful else 1


def execute_work(todo: Work) -> NodeResult:
    """Executes decided work in this process; imports TFX unless it is there already."""
    from waybill.launch.execute import execute

    settings = places.load()
    pipeline = todo.unit.name.split(".")[0]
    return execute(todo, load.create_pipeline_of(pipeline), load.graph_of(pipeline), settings)
