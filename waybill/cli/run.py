"""`waybill run`: a whole run on this machine without Airflow, through the same launcher, node after node."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import pathlib
import select
import shlex
import signal
import sys
import time
import uuid
from collections.abc import Iterator

from waybill.cli import load, nodes, person
from waybill.launch.backends import ForkBackend
from waybill.launch.lease import lease
from waybill.launch.node import run_node
from waybill.launch.older import RUN
from waybill.launch.process import prepare
from waybill.launch.standby import fork
from waybill.records import settings as places
from waybill.records.graph import Graph
from waybill.records.node import RUN_SPEC, WAITS_FOR, NodeRequest, NodeResult, Outcome
from waybill.records.settings import Settings

_MARKS = {Outcome.COMPLETE: "done", Outcome.CACHED: "had it"}
_LOOK_AGAIN = 2.0  # seconds


@dataclasses.dataclass(frozen=True)
class Step:
    """One node to run: its id, its position in the window, and what to call it."""

    node: str
    index: int | None
    title: str


def run(args: argparse.Namespace) -> int:
    """Freezes the interval and runs every node; 0 when the last one succeeded."""
    settings = places.load()
    ticket = args.ticket or f"command_line/{uuid.uuid4().hex}"
    graph = load.graph_of(args.pipeline)
    asked = argparse.Namespace(
        pipeline=args.pipeline, start=args.interval, end="", kind="command_line", who=person.me(), run=f"waybill run/{ticket}",
        ticket=ticket, reason=args.reason, promote=False, asked_at="", params=args.params,
    )  # fmt: skip
    spec = nodes.frozen(asked, settings, nodes.say)
    print(f"{RUN_SPEC}: {spec.message}", flush=True)
    if not spec.successful:
        return 1
    logs = settings.home / "logs" / str(spec.extra["run"])
    logs.mkdir(parents=True, exist_ok=True)
    with lease(settings.leases, str(spec.extra["run"]), RUN, nodes.say):  # newer intervals' runs see by it that this one is at work
        _import_tfx(args.pipeline)
        for step in steps(graph, [str(span["label"]) for span in spec.extra["window"]]):
            request = NodeRequest(str(spec.extra["spec"]), step.node, 1, ticket, step.index)
            log = logs / f"{step.title.replace(' ', '_').replace(':', '')}.log"
            result = _patiently(request, settings, log, step.title)
            if not result.successful:
                print(f"\n{result.message}\n\nThe log: {log}")
                # What a gate has said, it has said for this asking; mended data or a waiver are judged by another.
                anew = f" --params {shlex.quote(args.params)}" if args.params != "{}" else ""
                going_on = anew if result.outcome is Outcome.BLOCKED else f" --ticket {ticket}"
                print(f"When it is mended, go on with: waybill run {args.pipeline} --interval {args.interval}{going_on}")
                return 1
    print(f"run {spec.extra['run']} ended well: {result.message}")
    return 0


def _patiently(request: NodeRequest, settings: Settings, log: pathlib.Path, title: str) -> NodeResult:
    """Runs one node; while it waits for older runs of this command, waits along. Whether Airflow's are at work it cannot know."""
    while True:
        result = run_apart(request, settings, log, title)
        if result.outcome is not Outcome.WAITING:
            return result
        elsewhere = [run for run, asked_by in dict(result.extra[WAITS_FOR]).items() if asked_by]
        if elsewhere:
            print(f"  does not wait for what Airflow may be running: {', '.join(elsewhere)}", flush=True)
            request = dataclasses.replace(request, over=(*request.over, *elsewhere))
        else:
            time.sleep(_LOOK_AGAIN)


def steps(graph: Graph, window: list[str]) -> Iterator[Step]:
    """The nodes in the order they run: per span from start to end, everything else once."""
    done: set[str] = set()
    for stage in graph.settings.stages:
        if stage.scope == "span":
            for index, label in enumerate(window):
                yield from (Step(node, index, f"{node} {label}") for node in stage.nodes)
        else:
            yield from (Step(node, None, node) for node in stage.nodes if node not in done)
        done.update(stage.nodes)


def run_apart(request: NodeRequest, settings: Settings, log: pathlib.Path, title: str) -> NodeResult:
    """Runs one node in a forked process with its output in a log file, and shows how long it takes."""
    reader, writer = os.pipe()

    def attempt() -> int:
        os.close(reader)
        os.setpgid(0, 0)
        _into_file(log)
        logging.getLogger().setLevel(logging.INFO)
        result = run_node(request, load.graph_of, settings, ForkBackend(nodes.execute_work, settings.node_memory), nodes.say)
        os.write(writer, result.to_line().encode())
        return 0

    child = fork(attempt)
    os.close(writer)
    try:
        answer = _wait(reader, title)
    except BaseException:
        os.killpg(child, signal.SIGKILL)  # a person pressed Ctrl-C: nothing of the node survives
        raise
    finally:
        os.waitpid(child, 0)
    lost = NodeResult(request.node, Outcome.KILLED, "the node's supervisor was killed")
    result = NodeResult.from_line(answer.decode()) or lost if answer else lost
    _line(title, f"{_MARKS.get(result.outcome, result.outcome.value):<8} {result.seconds:6.1f} s", end="\n")
    return result


def _wait(reader: int, title: str) -> bytes:
    started = time.monotonic()
    chunks: list[bytes] = []
    while True:
        ready, _, _ = select.select([reader], [], [], 0.5)
        if not ready:
            _line(title, f"running  {time.monotonic() - started:6.1f} s", end="\r")
            continue
        chunk = os.read(reader, 65536)
        if not chunk:
            os.close(reader)
            return b"".join(chunks)
        chunks.append(chunk)


def _line(title: str, state: str, end: str) -> None:
    if end == "\n" or sys.stdout.isatty():
        print(f"  {title:<32} {state}", end=end, flush=True)


def _into_file(log: pathlib.Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _import_tfx(pipeline: str) -> None:
    """Imports what every node needs, once; the nodes are forks of this process."""
    started = time.monotonic()
    print("importing TFX once for all nodes ...", flush=True)
    prepare(logging.ERROR)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the fewer threads before a fork, the better
    load.create_pipeline_of(pipeline)
    import waybill.launch.execute  # noqa: F401

    print(f"imported in {time.monotonic() - started:.1f} s", flush=True)
