"""The `waybill` command: a thin shell over the machinery. Verbs import what they need when they are called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable

from waybill.cli import load, new_words, orchestrator_words, serve_words, waive_words
from waybill.records import fault_points
from waybill.records.errors import RecordError, Refusal

EPILOG = """\
A first run, from data to a model, of one of the pipelines {pipelines}:
  waybill init                                  make the lineage store, once
  waybill land PIPELINE                         put the example's data into the landing area
  waybill run PIPELINE --interval START         run one of its intervals here, without Airflow
  waybill new NAME --from FOLDER --label COLUMN write a pipeline for a table of one's own
  waybill up                                    start Airflow on loopback; `waybill down` ends it

Where things are is set by the environment: WAYBILL_HOME, WAYBILL_LANDING, WAYBILL_SERVING, WAYBILL_STORE_URL.
"""

SHOWN = 20  # lines of a list that nobody said how long they want
DECISIONS = {
    "promote": "serve a release; an older interval's needs a second person",
    "approve": "agree to a promotion that somebody else asked for",
    "decline": "end such a request with a no",
    "rollback": "serve a version again that was served before, and pin it",
    "pin": "keep scheduled runs from promoting by themselves",
    "unpin": "let scheduled runs promote by themselves again",
}


def main(argv: list[str] | None = None) -> int:
    """Parses the command line and runs a verb; returns the exit status."""
    args = parser().parse_args(argv)
    fault_points.work_on(args.verb)
    try:
        return int(_verb(args)(args))
    except (RecordError, Refusal) as error:
        print(f"waybill: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if not getattr(type(error), "__module__", "").startswith(("waybill.", "components.", "pipelines.")):
            raise
        print(f"waybill: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("waybill: stopped", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(
        prog="waybill",
        description="Runs TFX pipelines on Airflow so that the model being served can be trusted and explained.",
        epilog=EPILOG.format(pipelines=", ".join(load.names())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = top.add_subparsers(dest="verb", metavar="verb", required=True)
    _everyday(verbs)
    new_words.add(verbs)
    waive_words.add(verbs)
    _serving(verbs)
    serve_words.add(verbs)
    orchestrator_words.add(verbs)
    return top


def _everyday(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs.add_parser("init", help="make the lineage store's tables and types, once; safe to repeat")
    land = verbs.add_parser("land", help="deliver a pipeline's data into the landing area, one partition per interval")
    land.add_argument("pipeline", help="name of the pipeline, which is that of its folder")
    land.add_argument(
        "--from",
        dest="folder",
        default="",
        metavar="FOLDER",
        help="partitions in a folder, as `waybill new` takes them",
    )
    land.add_argument("--rename", action="store_true", help="with --from: columns get names that a model can be asked by")
    land.add_argument("--replace", action="store_true", help="with --from: they correct those that are there")
    sample = verbs.add_parser(
        "sample",
        help="deliver a sample of what a model was asked, for the data gate to compare with what it learns from",
        description="CSV files with a header, or Parquet: the raw columns of requests that were made during the interval. Runs of that "
        "interval which are frozen from now on have it; none is needed.",
    )
    sample.add_argument("pipeline", help="name of the pipeline, which is that of its folder")
    sample.add_argument("--interval", required=True, metavar="START", help="start of the data interval, such as 2013-07-01")
    sample.add_argument("files", nargs="+", metavar="FILE", help="CSV or Parquet files")
    sample.add_argument("--replace", action="store_true", help="it corrects the one that is there")
    run = verbs.add_parser(
        "run", help="run one interval here, without Airflow", description="Runs every node of one interval through the launcher."
    )
    run.add_argument("pipeline", help="name of the pipeline, which is that of its folder")
    run.add_argument("--interval", required=True, metavar="START", help="start of the data interval, such as 2013-07-01")
    run.add_argument(
        "--params", default="{}", metavar="JSON", help="parameters that differ from their defaults, such as '{\"train_steps\": 200}'"
    )
    run.add_argument("--reason", default="", help="why, for the record")
    run.add_argument("--ticket", default="", help="go on with the run that was frozen for this ticket; a failed run prints it")
    graph = verbs.add_parser("graph", help="compile each pipeline's graph.json, from which Airflow draws its DAG")
    graph.add_argument("--check", action="store_true", help="write nothing; fail when one is stale")
    up = verbs.add_parser(
        "up",
        help="start Airflow and the model server on free loopback ports; prints addresses and login",
        description="Starts Airflow, the warm host and the model server; where they run, only those that had ended.",
    )
    up.add_argument("--no-serve", action="store_true", help="leave the model server out; so does WAYBILL_SERVE=0")
    verbs.add_parser("down", help="end everything that `waybill up` started, and only that")
    host = verbs.add_parser(
        "host",
        help="serve this machine's nodes from a process that has TFX imported; `host status` shows what it does",
        description="Imports TFX once and forks a process for each node; `waybill up` starts one beside Airflow. Without a verb it serves "
        "until it is ended.",
    )
    host.add_argument(
        "host_verb", nargs="?", choices=("status",), metavar="status", help="show pid, age, memory, what runs, what was saved"
    )
    host.add_argument("--json", action="store_true", help="with status: as one JSON object")
    board = verbs.add_parser(
        "tensorboard",
        help="show what a run's training logged, in the browser",
        description="Starts TensorBoard on loopback with the logs of a run's training, also while that runs; Ctrl-C ends it.",
    )
    board.add_argument("run", help="name of the run, such as orders.201307010000.g1, which every task's log says")
    board.add_argument("--port", type=int, default=0, help="port on loopback; default: a free one")
    verbs.add_parser("demo", help="scheduled runs and a backfill through a real Airflow, ending with a summary")


def _serving(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, says in (("status", "what is served of a model, and the last decisions"), ("releases", "a model's releases and their state")):
        look = verbs.add_parser(name, help=says)
        look.add_argument("pipeline", help="name of the pipeline, which is the model's")
        look.add_argument("--limit", type=int, default=SHOWN, help=f"how many lines at most, default {SHOWN}")
        look.add_argument("--json", action="store_true", help="as one JSON object")
    prune = verbs.add_parser(
        "prune",
        help="show which old releases may go; with --apply remove them",
        description="The newest stay, and what is served, was served before, or is kept for audit. Digests and chains stay on record.",
    )
    prune.add_argument("pipeline", help="name of the pipeline, which is the model's")
    prune.add_argument("--keep", type=int, default=10, help="how many of the newest stay, default 10")
    prune.add_argument("--apply", action="store_true", help="remove them; needs --why")
    prune.add_argument("--why", default="", help="the reason, for the record")
    for name, says in (("keep", "keep a release for audit, whatever its age"), ("let-go", "let retention have a kept release again")):
        hold = verbs.add_parser(name, help=says)
        hold.add_argument("pipeline", help="name of the pipeline, which is the model's")
        hold.add_argument("version", type=int, help="the release, as `waybill releases` shows it")
        hold.add_argument("--why", required=True, help="the reason, for the record")
    doctor = verbs.add_parser(
        "doctor",
        help="find where MLMD, Airflow, releases, base path and leases disagree, and with --repair mend what is safe",
        description="Ends with 0 only when nothing disagrees. --repair closes executions of dead processes, puts half-written output aside "
        "and makes the base path again; everything else is told with what would mend it.",
    )
    doctor.add_argument("pipeline", nargs="?", default="", help="only this one; default: all")
    doctor.add_argument("--repair", action="store_true", help="mend what is safe")
    doctor.add_argument("--json", action="store_true", help="as one JSON object")
    doctor.add_argument("--lifeline", action="store_true", help="end when standard input is closed")
    for name, says in DECISIONS.items():
        verb = verbs.add_parser(name, help=says, description=f"{says[0].upper()}{says[1:]}. Asked twice, it is done once.")
        verb.add_argument("pipeline", help="name of the pipeline, which is the model's")
        if name in ("promote", "rollback"):
            verb.add_argument("version", type=int, help="the release, as `waybill releases` shows it")
        if name in ("approve", "decline"):
            verb.add_argument("number", type=int, help="the request, as `waybill status` shows it")
        verb.add_argument("--why", required=True, help="the reason, for the record")
        verb.add_argument("--as", dest="who", default="", metavar="USER", help="for Airflow's own processes: who is logged in there")


# Where a verb is carried out: module of this package, and function.
_CARRIED_OUT = {
    "init": ("setup", "init"),
    "land": ("setup", "land"),
    "graph": ("setup", "graph"),
    "new": ("new", "new"),
    "schema": ("schema", "schema"),
    "sample": ("sample", "sample"),
    "run": ("run", "run"),
    "run-spec": ("nodes", "freeze_run"),
    "node": ("nodes", "run"),
    "answer": ("answer", "answer"),
    "ask-waiver": ("waiver_answer", "ask"),
    "answer-waiver": ("waiver_answer", "answer"),
    "waive": ("waive", "waive"),
    "host": ("host", "host"),
    "serve": ("serve", "serve"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "demo": ("demo", "demo"),
    "status": ("serving", "status"),
    "releases": ("serving", "show_releases"),
    **dict.fromkeys(DECISIONS, ("serving", "decide")),
    "prune": ("retention", "prune"),
    "keep": ("retention", "keep"),
    "let-go": ("retention", "keep"),
    "doctor": ("doctor", "doctor"),
    "up": ("airflow", "up"),
    "down": ("airflow", "down"),
}


def _verb(args: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    """What carries a verb out; its module is imported only now, because some take seconds."""
    module, function = _CARRIED_OUT[args.verb]
    found: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(f"waybill.cli.{module}"), function)
    return found


if __name__ == "__main__":
    sys.exit(main())
