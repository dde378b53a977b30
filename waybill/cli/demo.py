"""`waybill demo`: real data through a real Airflow to a served model, with a look at what came out.

The schedule catches up three quarters by itself, and each is promoted; then one of them is backfilled again, as a data scientist would do
it, and held; then the newest is rolled back and put back. It ends well only if every run did, what is served is what was decided, and every
release is on disk, answers, and leads back to the landed files.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from waybill.cli import load, person, setup
from waybill.cli.airflow_client import AirflowClient
from waybill.cli.services import AirflowService
from waybill.cli.summary import summarise
from waybill.cli.watch import Watcher, label
from waybill.launch.window import interval_from
from waybill.lineage import chain
from waybill.records import settings as places
from waybill.records.interval import Interval, parse_moment
from waybill.records.settings import Settings
from waybill.serving import base_path, releases, standing, state
from waybill.serving.promotion import Decided, Desk
from waybill.store import generations, journal
from waybill.store.connection import Store

PIPELINE = "taxi"
QUARTERS = ("2013-01-01", "2013-04-01", "2013-07-01")
AGAIN = "2013-04-01"  # the quarter that is backfilled
_MINUTES = 40  # for the schedule's runs, and again for the backfill; far more than they need


def demo(args: argparse.Namespace) -> int:
    """Runs the story; 0 only if all of it is really there at the end."""
    began = time.monotonic()
    base = places.load()
    settings = dataclasses.replace(base, catchup=True, schedule_end=_end_of(QUARTERS[-1]).end.isoformat())
    print("1. The data land, as an upstream job would deliver them.", flush=True)
    setup.init(args)
    landed = load.lander_of(PIPELINE)(settings.landing)
    print(f"   {len(landed)} quarters, {sum(rows for _, rows in landed)} trips, under {settings.landing / PIPELINE}")
    service = AirflowService(settings)
    record = service.start()
    try:
        user, password = service.login()
        print(f"   Airflow runs at {record.address} (user {user}, password {password}) until the demo ends")
        problems = _story(service.client(), began)
    finally:
        service.stop()
    problems += problems or _served(settings)
    problems += _look(settings)
    for problem in problems:
        print(f"NOT AS IT SHOULD BE: {problem}")
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    print(f"\nThe demo {'failed' if problems else 'ended well'} after {minutes} min {seconds} s.")
    if not problems:
        _next_steps()
    return 1 if problems else 0


def _story(client: AirflowClient, began: float) -> list[str]:
    """Three quarters by schedule, one of them again by a backfill; returns what went wrong."""
    client.wait_for_dag(PIPELINE)
    watcher = Watcher(client, PIPELINE, began)
    _mend(client)
    watcher.skip([run for run in client.runs(PIPELINE) if run["state"] == "success"])
    client.pause(PIPELINE, paused=False)
    print(f"2. The schedule catches up {len(QUARTERS)} quarters.", flush=True)
    if not watcher.until(lambda runs: _all_ended(runs, QUARTERS), _MINUTES * 60):
        return [f"the scheduled runs had not ended after {_MINUTES} minutes"]
    if bad := _failed(client):
        return bad
    print(f"3. A data scientist backfills the quarter of {AGAIN} again.", flush=True)
    watcher.skip(client.runs(PIPELINE))
    backfill = client.backfill(PIPELINE, AGAIN, AGAIN, reprocess="completed", conf={"reason": "the demo asks for it again"})
    ended = watcher.until(lambda runs: _all_ended(runs, (AGAIN,)) and _backfill_ended(client, backfill), _MINUTES * 60)
    return _failed(client) if ended else [f"the backfill had not ended after {_MINUTES} minutes"]


def _mend(client: AirflowClient) -> None:
    """Clears the runs that an earlier demo left failed, as a person would."""
    for run in client.runs(PIPELINE):
        if run["state"] == "failed":
            print(f"   the run of {label(run)} had failed before; clearing it")
            client.call("POST", f"/dags/{PIPELINE}/dagRuns/{run['dag_run_id'].replace('+', '%2B')}/clear", {"dry_run": False})


def _all_ended(runs: Sequence[dict[str, Any]], quarters: Sequence[str]) -> bool:
    states = {label(run): run["state"] for run in runs}
    return all(states.get(quarter) in ("success", "failed") for quarter in quarters)


def _backfill_ended(client: AirflowClient, backfill: dict[str, Any]) -> bool:
    return bool(client.call("GET", f"/backfills/{backfill['id']}")["completed_at"])


def _failed(client: AirflowClient) -> list[str]:
    """What the failed tasks said last."""
    found = []
    for run in client.runs(PIPELINE):
        if run["state"] != "failed":
            continue
        for task in client.tasks(PIPELINE, run["dag_run_id"]):
            if task["state"] == "failed":
                log = client.log(PIPELINE, run["dag_run_id"], task["task_id"], task["try_number"], task["map_index"])
                found.append(f"{label(run)} {task['task_id']} failed:\n" + "\n".join(log.splitlines()[-25:]))
    return found or [f"the run of {label(run)} failed" for run in client.runs(PIPELINE) if run["state"] == "failed"]


def _served(settings: Settings) -> list[str]:
    """What is served after the backfill, then a rollback and back; returns what is not as it should be."""
    store = Store(settings.store_url)
    desk = Desk(store, load.graph_of(PIPELINE), settings)
    me, promoted = person.on_behalf(""), [_end_of(start).version(1) for start in QUARTERS]
    problems = _is_served(settings, promoted[-1], "after the backfill of an older quarter")
    print("4. Somebody doubts the newest model: back to the one before, in one command; then it is put back.", flush=True)
    decisions: tuple[Callable[[], Decided], ...] = (
        lambda: desk.rollback(promoted[-2], me, "the demo doubts the newest model"),
        lambda: desk.promote(promoted[-1], me, "a false alarm"),
        lambda: desk.pin(False, me, "a false alarm"),
    )
    for decide in decisions:
        decided = decide()
        print(f"   {decided.says}\n   served: {', '.join(map(str, base_path.follow(store, settings, PIPELINE)))}")
        if decided.outcome == "rolled_back":
            problems += _is_served(settings, promoted[-2], "after the rollback")
    return problems + _is_served(settings, promoted[-1], "at the end")


def _is_served(settings: Settings, version: int, when: str) -> list[str]:
    """Whether TensorFlow Serving, which serves the highest, would serve this version."""
    present = base_path.present(settings.serving / PIPELINE)
    return [] if present[-1:] == [version] else [f"{when} the base path holds {present or 'nothing'}; expected {version} as the highest"]


def _look(settings: Settings) -> list[str]:
    """Looks at every release from disk and lineage, and shows the newest."""
    store = Store(settings.store_url)
    entries, promoter = journal.entries(store, state.subject(PIPELINE)), load.graph_of(PIPELINE).promoter
    print("\nReleases:")
    problems = []
    versions = {}
    for start in QUARTERS:
        interval = _end_of(start)
        found = [g.number for g in generations.all_of(store, PIPELINE, interval.span)]
        released = [n for n in found if chain.release(store, PIPELINE, interval.version(n))]
        versions[start] = [interval.version(n) for n in released]
        for version in versions[start]:
            is_now = standing.of(store, releases.find(store, PIPELINE, version), entries, promoter)
            print(f"  quarter of {start}: {version}  {', '.join(is_now.words)}")
        if not released:
            problems.append(f"the quarter of {start} has no release")
    if versions[AGAIN] and len(versions[AGAIN]) < 2:
        problems.append(f"the backfilled quarter of {AGAIN} has no second generation")
    for found_versions in versions.values():
        for version in found_versions[-1:]:
            summary = summarise(settings, store, PIPELINE, version)
            problems += summary.problems
    if versions[QUARTERS[-1]]:
        print("\n" + "\n".join(summarise(settings, store, PIPELINE, versions[QUARTERS[-1]][-1]).lines))
    return problems


def _next_steps() -> None:
    print(
        "\nTo look around:   make up     (prints the address and the login; make down ends it)\n"
        "Then try:         .venv/bin/waybill status taxi; .venv/bin/waybill releases taxi;\n"
        "                  trigger the DAG `taxi` with interval_start 2013-10-01 and train_steps 200;\n"
        "                  or without Airflow: .venv/bin/waybill run taxi --interval 2013-10-01"
    )


def _end_of(start: str) -> Interval:
    return interval_from(load.settings_of(PIPELINE), parse_moment(start))
