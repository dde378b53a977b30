"""The words of what an orchestrator's tasks call: `run-spec`, `answer`, `ask-waiver`, `answer-waiver`, `node run`."""

from __future__ import annotations

import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verbs."""
    freeze = verbs.add_parser("run-spec", help="freeze a run; called by the first task of a DAG run")
    freeze.add_argument("pipeline")
    freeze.add_argument("--start", required=True, help="start of the data interval, ISO 8601")
    freeze.add_argument("--end", default="", help="its end, checked against the schedule")
    freeze.add_argument("--kind", required=True, choices=("scheduled", "backfill", "manual", "command_line"))
    freeze.add_argument("--who", default="", help="the person who asked; empty for the schedule")
    freeze.add_argument("--run", required=True, help="the orchestrator's name of the run")
    freeze.add_argument("--ticket", required=True, help="names this asking: the same until a person clears something")
    freeze.add_argument("--reason", default="")
    freeze.add_argument("--promote", action="store_true", help="who asks wants the release to be served; needs --who and --reason")
    freeze.add_argument("--asked-at", default="", help="when the run began to wait for its data, ISO 8601; default now")
    freeze.add_argument("--params", default="{}", help="JSON object")
    freeze.add_argument("--lifeline", action="store_true", help="end when standard input is closed")
    answer = verbs.add_parser("answer", help="pass on what a person answered to a request for a release; called by the promoter's task")
    answer.add_argument("pipeline")
    answer.add_argument("version", type=int, help="the release")
    answer.add_argument("--node", required=True, help="the task that passes it on")
    answer.add_argument("--asked-by", required=True, help="the orchestrator's name of the run, which must have made the release")
    answer.add_argument("--triggered-by", default="", help="who triggered that run, by what the orchestrator knows now")
    answer.add_argument("--number", type=int, default=0, help="the request that was answered")
    answer.add_argument("--says", choices=("approve", "decline"), default="", help="the answer; without it, what became of the request")
    answer.add_argument("--who", default="", help="who answered")
    answer.add_argument("--why", default="", help="their reason")
    answer.add_argument("--lifeline", action="store_true", help="end when standard input is closed")
    _add_waivers(verbs)
    node = verbs.add_parser("node", help="run one node of a frozen run").add_subparsers(dest="node_verb", metavar="run", required=True)
    run = node.add_parser("run", help="one attempt at one node; the last line is its result as JSON")
    run.add_argument("--spec", required=True, help="digest of the run spec, as run-spec printed it")
    run.add_argument("--node", required=True, help="node id, the same word as the Airflow task id")
    run.add_argument("--attempt", type=int, default=1, help="number of the attempt, from 1")
    run.add_argument("--ticket", required=True, help="as for run-spec")
    run.add_argument("--asked-by", default="", help="the orchestrator's name of the run, checked against the spec's")
    run.add_argument("--index", type=int, help="for a node mapped over the window: the position of its span, from 0")
    run.add_argument(
        "--over", action="append", default=[], metavar="RUN", help="an older interval's run that is over though the store does not show it"
    )
    run.add_argument("--lifeline", action="store_true", help="end when standard input is closed")


def _add_waivers(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ask = verbs.add_parser("ask-waiver", help="ask for a waiver as a user of the orchestrator; called by the task of its form")
    ask.add_argument("pipeline")
    ask.add_argument("--interval", required=True, help="start of the data interval")
    ask.add_argument("--gate", default="", help="node id of the gate")
    ask.add_argument("--rule", default="", help="exact name of the rule")
    ask.add_argument("--subject", default="", help="exact subject, where the rule blocks on several")
    ask.add_argument("--every-subject", action="store_true", help="all subjects that the rule blocks on")
    ask.add_argument("--rebaseline", action="store_true", help="no rule of a gate: the interval's baseline is to be set aside")
    ask.add_argument("--until", required=True, help="until when it holds")
    ask.add_argument("--asked-in", required=True, help="the orchestrator's name of the run whose form was filled in; it asks once")
    answer = verbs.add_parser("answer-waiver", help="pass on what a person answered to that; called by the same task")
    answer.add_argument("pipeline")
    answer.add_argument("number", type=int, help="the waiver")
    answer.add_argument("--says", choices=("approve", "decline"), required=True, help="the answer")
    for verb in (ask, answer):
        verb.add_argument("--node", required=True, help="the task that passes it on")
        verb.add_argument("--who", required=True, help="who asked or answered, as the orchestrator knows them")
        verb.add_argument("--why", default="", help="their reason")
        verb.add_argument("--lifeline", action="store_true", help="end when standard input is closed")
