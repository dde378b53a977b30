"""`waybill demo`: real data through a real Airflow to served models, with a look at what came out.

Which pipelines take part, and with which intervals, is in `pipelines/demo.py`. The schedule catches up the intervals by itself, and each is
promoted; then one of them may be backfilled again, as a data scientist would do it, and held; then the newest is rolled back and put back.
It ends well only if every run did, what is served is what was decided, every release is on disk, answers, and leads back to the landed
files, and the model server says of real rows what the served release says of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from pipelines.demo import STORIES, Story
from waybill.cli import asked, load, person, setup
from waybill.cli.airflow_client import AirflowClient
from waybill.cli.serve_address import Address
from waybill.cli.services import AirflowService
from waybill.cli.serving import decision_words
from waybill.cli.summary import summarise
from waybill.cli.watch import Done, Watcher, label, until
from waybill.launch.window import interval_from
from waybill.lineage import chain
from waybill.records import settings as places
from waybill.records.interval import Interval, parse_moment
from waybill.records.settings import Settings
from waybill.serving import base_path, releases, standing, state
from waybill.serving.promotion import Decided, Desk
from waybill.store import generations, journal
from waybill.store.connection import Store

_MINUTES = 40  # for the schedule's runs, and again for the backfill; far more than they need


def demo(args: argparse.Namespace) -> int:
    """Runs the stories; 0 only if all of them are really there at the end."""
    began = time.monotonic()
    base = places.load()
    last = max(interval.end for story in STORIES for interval in _intervals(story))
    settings = dataclasses.replace(base, catchup=True, schedule_end=last.isoformat())
    print("The data land, as upstream jobs would deliver them.", flush=True)
    setup.init(args)
    for story in STORIES:
        landed = load.lander_of(story.pipeline)(settings.landing)
        print(f"   {len(landed)} intervals, {sum(rows for _, rows in landed)} rows, under {settings.landing / story.pipeline}")
    service = AirflowService(settings, serve=settings.serve)
    record = service.start()
    problems: list[str] = []
    try:
        user, password = service.login()
        print(f"   Airflow runs at {record.address} (user {user}, password {password}) until the demo ends")
        problems = _play(service.client(), began)
        server = service.await_server() if settings.serve else None
        for story in STORIES:
            problems = problems or _served(settings, story, server)
        for story in STORIES:
            problems += _look(settings, story, server)
    finally:
        service.stop()
    for problem in problems:
        print(f"NOT AS IT SHOULD BE: {problem}")
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    print(f"\nThe demo {'failed' if problems else 'ended well'} after {minutes} min {seconds} s.")
    if not problems:
        _next_steps(STORIES[0])
    return 1 if problems else 0


def _play(client: AirflowClient, began: float) -> list[str]:
    """Every story's intervals by schedule, and beside the next story's one of them again by a backfill; returns what went wrong."""
    watchers = {story.pipeline: Watcher(client, story.pipeline, began) for story in STORIES}
    for before, story in zip((None, *STORIES), (*STORIES, None), strict=True):
        awaited = []
        if before and before.again:
            awaited.append((watchers[before.pipeline], _backfill(client, before, watchers[before.pipeline])))
        if story:
            awaited.append((watchers[story.pipeline], _catch_up(client, story, watchers[story.pipeline])))
        if not until(awaited, _MINUTES * 60):
            return [f"the runs of {', '.join(one.pipeline for one in (before, story) if one)} had not ended after {_MINUTES} minutes"]
        if bad := [problem for one in (before, story) if one for problem in _failed(client, one.pipeline)]:
            return bad
    return []


def _catch_up(client: AirflowClient, story: Story, watcher: Watcher) -> Done:
    """Has the schedule run a story's intervals; returns what tells whether all have ended."""
    name = story.pipeline
    client.wait_for_dag(name)
    _mend(client, name)
    watcher.skip([run for run in client.runs(name) if run["state"] == "success"])
    client.pause(name, paused=False)
    print(f"The schedule catches up the intervals of {name} that begin on {', '.join(story.intervals)}.", flush=True)
    return lambda runs: _all_ended(runs, story.intervals)


def _backfill(client: AirflowClient, story: Story, watcher: Watcher) -> Done:
    """Runs one of a story's intervals again; returns what tells whether it has ended."""
    print(f"A data scientist backfills the interval of {story.again} of {story.pipeline} again.", flush=True)
    watcher.skip(client.runs(story.pipeline))
    again, why = story.again, {"reason": "the demo asks for it again"}
    backfill = client.backfill(story.pipeline, again, again, reprocess="completed", conf=why)
    return lambda runs: _all_ended(runs, (again,)) and _backfill_ended(client, backfill)


def _mend(client: AirflowClient, name: str) -> None:
    """Clears the runs that an earlier demo left failed, as a person would."""
    for run in client.runs(name):
        if run["state"] == "failed":
            print(f"   the run of {label(run)} had failed before; clearing it")
            client.call("POST", f"/dags/{name}/dagRuns/{run['dag_run_id'].replace('+', '%2B')}/clear", {"dry_run": False})


def _all_ended(runs: Sequence[dict[str, Any]], starts: Sequence[str]) -> bool:
    states = {label(run): run["state"] for run in runs}
    return all(states.get(start) in ("success", "failed") for start in starts)


def _backfill_ended(client: AirflowClient, backfill: dict[str, Any]) -> bool:
    return bool(client.call("GET", f"/backfills/{backfill['id']}")["completed_at"])


def _failed(client: AirflowClient, name: str) -> list[str]:
    """What the failed tasks said last."""
    found = []
    for run in client.runs(name):
        if run["state"] != "failed":
            continue
        for task in client.tasks(name, run["dag_run_id"]):
            if task["state"] == "failed":
                log = client.log(name, run["dag_run_id"], task["task_id"], task["try_number"], task["map_index"])
                found.append(f"{label(run)} {task['task_id']} failed:\n" + "\n".join(log.splitlines()[-25:]))
    return found or [f"the run of {label(run)} failed" for run in client.runs(name) if run["state"] == "failed"]


def _served(settings: Settings, story: Story, server: Address | None) -> list[str]:
    """What is served after the backfill, then a rollback and back; returns what is not as it should be."""
    promoted = [interval.version(1) for interval in _intervals(story)]
    if not story.again:
        return _is_served(settings, story, promoted[-1], "after its scheduled runs")
    store = Store(settings.store_url)
    desk = Desk(store, load.graph_of(story.pipeline), settings)
    me = person.myself()
    problems = _is_served(settings, story, promoted[-1], "after the backfill of an older interval")
    print("Somebody doubts the newest model: back to the one before, in one command; then it is put back.", flush=True)
    decisions: tuple[Callable[[], Decided], ...] = (
        lambda: desk.rollback(promoted[-2], me, "the demo doubts the newest model"),
        lambda: desk.promote(promoted[-1], me, "a false alarm"),
        lambda: desk.pin(False, me, "a false alarm"),
    )
    for decide in decisions:
        decided = decide()
        print(f"   {decided.says}\n   served: {', '.join(map(str, base_path.follow(store, settings, story.pipeline)))}")
        if decided.outcome == "rolled_back":
            problems += _is_served(settings, story, promoted[-2], "after the rollback") + _follows(server, story, promoted[-2])
    return problems + _is_served(settings, story, promoted[-1], "at the end")


def _follows(server: Address | None, story: Story, version: int) -> list[str]:
    """Whether the model server comes to answer with a version; says how soon."""
    if server is None:
        return []
    try:
        seconds = asked.followed(server, story.pipeline, version)
    except asked.Otherwise as error:
        return [str(error)]
    print(f"   the model server answers with {version} after {seconds:.1f} s")
    return []


def _is_served(settings: Settings, story: Story, version: int, when: str) -> list[str]:
    """Whether TensorFlow Serving, which serves the highest, would serve this version."""
    present = base_path.present(settings.serving / story.pipeline)
    if present[-1:] == [version]:
        return []
    return [f"{when} the base path of {story.pipeline} holds {present or 'nothing'}; expected {version} as the highest"]


def _look(settings: Settings, story: Story, server: Address | None) -> list[str]:
    """Looks at every release of a pipeline from disk and lineage, asks the server for the newest, and shows that."""
    store = Store(settings.store_url)
    entries, promoter = journal.entries(store, state.subject(story.pipeline)), load.graph_of(story.pipeline).promoter
    print(f"\nReleases of {story.pipeline}:")
    problems: list[str] = []
    versions, held = dict[str, list[int]](), set[int]()
    for start, interval in zip(story.intervals, _intervals(story), strict=True):
        found = [g.number for g in generations.all_of(store, story.pipeline, interval.span)]
        versions[start] = [interval.version(n) for n in found if chain.release(store, story.pipeline, interval.version(n))]
        for version in versions[start]:
            is_now = standing.of(store, releases.find(store, story.pipeline, version), entries, promoter)
            held |= {version} if "held" in is_now.words else set()
            print(f"  interval of {start}: {version}  {', '.join(is_now.words)}")
        if not versions[start]:
            problems.append(f"the interval of {start} of {story.pipeline} has no release")
    if story.again and not set(versions[story.again][1:]) & held:
        problems.append(f"the backfilled interval of {story.again} has no second generation that is held")
    print("What was decided about them:")
    for entry in entries:
        print(f"  {entry.number:>2}  {entry.kind:<9} {decision_words(entry)}")
    newest = [found[-1] for found in versions.values() if found]
    looked = [summarise(settings, store, story.pipeline, version, server if version == newest[-1] else None) for version in newest]
    problems += [problem for summary in looked for problem in summary.problems]
    if looked:
        print("\n" + "\n".join(looked[-1].lines))
    return problems


def _next_steps(story: Story) -> None:
    name, after = story.pipeline, f"{_intervals(story)[-1].end:%Y-%m-%d}"
    print(
        "\nTo look around:   make up     (prints addresses and login, of Airflow and of the models' page; make down ends it)\n"
        f"Then try:         .venv/bin/waybill status {name}; .venv/bin/waybill releases {name};\n"
        f"                  trigger the DAG `{name}` with interval_start {after} and train_steps 200;\n"
        f"                  or without Airflow: .venv/bin/waybill run {name} --interval {after}"
    )


def _intervals(story: Story) -> list[Interval]:
    return [interval_from(load.settings_of(story.pipeline), parse_moment(start)) for start in story.intervals]
