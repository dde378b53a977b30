"""Eight quarters of real trips, one of them spoilt -> landed in a fresh home; or, with `run`, the runs of them, one after the other.

Each run is what a backfill would ask for, and every node a process of its own, as `waybill run` does it; Airflow is not needed for that.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import taxi_data

from pipelines.taxi.settings import SETTINGS
from waybill.cli import load, main, nodes
from waybill.cli import run as run_verb
from waybill.launch.landing import deliver
from waybill.launch.window import interval_from
from waybill.records import settings as settings_lib
from waybill.records.interval import parse_moment
from waybill.records.node import NodeRequest


def land(starts: list[str], spoilt: str) -> None:
    """Makes the store, and delivers each quarter; the spoilt one pays in ways that nobody knows."""
    assert main.main(["init"]) == 0
    for start in starts:
        data = taxi_data.partition(start, taxi_data.new_payment_type_in_a_tenth if start == spoilt else list)
        files = {"data.csv": data}
        deliver(settings_lib.load().landing, "taxi", interval_from(SETTINGS, parse_moment(start)), files, data.count(b"\n") - 1)


def run(starts: list[str], params: dict[str, Any]) -> None:
    """Runs the quarters, each to its end, be that a release or a gate."""
    settings, graph = settings_lib.load(), load.graph_of("taxi")
    run_verb._import_tfx("taxi")
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for start in starts:
        asking = ["--kind=backfill", f"--start={start}", f"--run=taxi/backfill of {start}", f"--ticket=backfill of {start}"]
        asked = main.parser().parse_args(["run-spec", "taxi", *asking, f"--params={json.dumps(params)}"])
        frozen = nodes.frozen(asked, settings, nodes.say)
        for step in run_verb.steps(graph, [str(span["label"]) for span in frozen.extra["window"]]):
            request = NodeRequest(str(frozen.extra["spec"]), step.node, 1, asked.ticket, step.index)
            if not run_verb.run_apart(request, settings, logs / f"{start}.log", step.title).successful:
                break


if __name__ == "__main__":
    verb, told = sys.argv[1], json.loads(sys.argv[2])
    {"land": land, "run": run}[verb](**told)
