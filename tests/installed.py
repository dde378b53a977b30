"""A folder -> what surrounds an executor that Waybill's launcher runs, with a journal in which two people let rules pass."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import pathlib
from collections.abc import Iterator

from ml_metadata.proto import metadata_store_pb2

from waybill.cli import load
from waybill.launch.installation import Installation, entered
from waybill.launch.window import interval_from
from waybill.records import settings as settings_lib
from waybill.records.interval import parse_moment
from waybill.records.run_spec import Code, Environment, RunSpec, Trigger
from waybill.records.waiver import Waiver
from waybill.store import waivers
from waybill.store.connection import Store
from waybill.store.initialise import Types, initialise
from waybill.store.journal import DECISION_TYPE

START = "2013-01-01"


@contextlib.contextmanager
def installed(folder: pathlib.Path) -> Iterator[Store]:
    """The surroundings of a run of the taxi pipeline, of whose graph only the gates matter."""
    settings = settings_lib.load({"WAYBILL_HOME": str(folder / "home")})
    whole, store = load.graph_of("taxi"), Store(settings.store_url)
    graph = dataclasses.replace(whole, nodes=tuple(n for n in whole.nodes if n.gate))
    interval = interval_from(graph.settings, parse_moment(START))
    spec = RunSpec("taxi", interval, 1, (), (), {}, "", Code("", False, ""), Environment("", {}), Trigger("manual", "", "", ""))
    initialise(store, Types([], [metadata_store_pb2.ExecutionType(name=DECISION_TYPE)], []))
    with entered(Installation(store, settings, (spec,), graph)):
        yield store


def let_pass(store: Store, gate: str, rule: str, subject: str) -> int:
    """Two people let a rule pass; returns the waiver's number."""
    until = (dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=1)).isoformat()
    wanted = Waiver(0, parse_moment(START).isoformat(), gate, rule, subject, not subject, "", "we know", until, "os:ada", 0)
    number = waivers.write_request(store, waivers.read(store, "taxi"), wanted, {"who": "os:ada"}, []).number
    waivers.write(store, waivers.read(store, "taxi"), waivers.APPROVAL, number, {"who": "os:bob", "why": ""})
    return number
