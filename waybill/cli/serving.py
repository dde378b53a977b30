"""`waybill status`, `releases`, `promote`, `approve`, `decline`, `rollback`, `pin`, `unpin`: what is served, and who decided it."""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Callable
from typing import Any

from waybill.cli import load, person
from waybill.cli.services import AirflowService
from waybill.client.errors import ClientError
from waybill.client.rest import RestClient
from waybill.client.spec import Patience
from waybill.records import settings as places
from waybill.records.person import one_line
from waybill.records.settings import Settings
from waybill.serving import base_path, releases, standing, state
from waybill.serving.promotion import Decided, Desk
from waybill.serving.releases import Release
from waybill.serving.standing import Standing
from waybill.serving.state import ServingState
from waybill.store import journal
from waybill.store.connection import Store
from waybill.store.journal import Entry

_SOON = Patience(seconds=5.0, tries=1)


def decide(args: argparse.Namespace) -> int:
    """Takes the decision that the verb names and brings the base path to it."""
    settings = places.load()
    store = Store(settings.store_url)
    graph = load.graph_of(args.pipeline)
    desk = Desk(store, graph, settings)
    by, why = person.on_behalf(args.who, settings), one_line("the reason", args.why)
    choices: dict[str, Callable[[], Decided]] = {
        "promote": lambda: desk.promote(args.version, by, why),
        "approve": lambda: desk.approve(args.number, by, why),
        "decline": lambda: desk.decline(args.number, by, why),
        "rollback": lambda: desk.rollback(args.version, by, why),
        "pin": lambda: desk.pin(True, by, why),
        "unpin": lambda: desk.pin(False, by, why),
    }
    decided = choices[args.verb]()
    print(decided.says)
    served = base_path.follow(store, settings, args.pipeline)
    print(f"served: {', '.join(map(str, served)) or 'nothing'}, under {settings.serving / args.pipeline}")
    return 0


def status(args: argparse.Namespace) -> int:
    """Shows what is served and the last decisions; 1 when the base path does not show what was decided."""
    settings, store = _here(args)
    entries = journal.entries(store, state.subject(args.pipeline))
    now = state.fold(entries)
    present = base_path.present(settings.serving / args.pipeline)
    answers = _answers(settings, args.pipeline)
    if args.json:
        decisions = [_entry(entry) for entry in entries[-args.limit :]]
        print(json.dumps({**_plain(now), "base_path": present, "server": answers, "decisions": decisions}, indent=1))
        return 0 if present == list(now.served) else 1
    print(f"{args.pipeline}: {_served(now)}")
    print(f"base path {settings.serving / args.pipeline}: {', '.join(map(str, present)) or 'empty'}")
    if present != list(now.served):
        print(f"  which is not what was decided ({', '.join(map(str, now.served)) or 'nothing'}); mend it with: waybill doctor --repair")
    if answers:
        said = ", ".join(f"{version} {state}" for version, state in answers["versions"].items()) or "knows no version of it"
        print(f"model server {answers['rest']}: {answers['error'] or said}")
    for entry in entries[-args.limit :]:
        print(f"  {entry.number:>4}  {_moment(entry)}  {entry.kind:<9} {decision_words(entry)}")
    return 0 if present == list(now.served) else 1


def _answers(settings: Settings, model: str) -> dict[str, Any]:
    """What the model server of `waybill up` says of a model; nothing where none runs."""
    address = AirflowService(settings).server()
    if address is None:
        return {}
    versions, error = dict[int, str](), ""
    try:
        versions = RestClient(address.rest, _SOON).states(model)
    except ClientError as problem:
        error = str(problem)
    return {"rest": address.rest, "grpc": address.grpc, "versions": versions, "error": error}


def show_releases(args: argparse.Namespace) -> int:
    """Shows a model's releases, the newest first."""
    _, store = _here(args)
    entries, promoter = journal.entries(store, state.subject(args.pipeline)), load.graph_of(args.pipeline).promoter
    rows = [(release, standing.of(store, release, entries, promoter)) for release in releases.newest(store, args.pipeline, args.limit)]
    if args.json:
        print(json.dumps({"releases": [_release(*row) for row in rows]}, indent=1))
        return 0
    for release, is_now in rows:
        print(f"{release.version}  {release.interval.label:<16} g{release.generation:<3} {_words_of(is_now):<26} {is_now.why}")
    if not rows:
        print(f"{args.pipeline} has no releases yet")
    return 0


def _here(args: argparse.Namespace) -> tuple[Settings, Store]:
    load.graph_of(args.pipeline)  # an unknown name is told as such
    settings = places.load()
    return settings, Store(settings.store_url)


def _release(release: Release, is_now: Standing) -> dict[str, Any]:
    said = {"version": release.version, "run": release.run, "interval": release.interval.to_json(), "digest": release.digest}
    return {**said, "state": ", ".join(is_now.words), "superseded_by": is_now.superseded_by, "why": is_now.why}


def _words_of(is_now: Standing) -> str:
    return ", ".join(is_now.words) + (f" by g{is_now.superseded_by}" if is_now.superseded_by else "")


def _served(now: ServingState) -> str:
    if not now.stable:
        return "nothing is served yet"
    pinned = ", pinned" if now.pinned else ""
    return f"release {now.stable} is served{pinned}" + (f"; before it {now.previous}" if now.previous else "")


def decision_words(entry: Entry) -> str:
    """A decision in words, without its kind: which version, who, why."""
    says = entry.says
    version = f"{says['version']} " if "version" in says else ""
    agreed = f", agreed to by {says['approved_by']}" if "approved_by" in says else ""
    return f"{version}by {says.get('who', '?')}{agreed}: {says.get('why', '')}"


def _moment(entry: Entry) -> str:
    return dt.datetime.fromtimestamp(entry.milliseconds / 1000, tz=dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")


def _entry(entry: Entry) -> dict[str, Any]:
    return {"number": entry.number, "kind": entry.kind, "moment": _moment(entry), **entry.says}


def _plain(now: ServingState) -> dict[str, Any]:
    return {"stable": now.stable, "previous": now.previous, "pinned": now.pinned, "served": list(now.served), "kept": sorted(now.kept)}
