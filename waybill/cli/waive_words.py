"""What a person types after `waybill waive` -> options and their help. Apart from the verbs themselves, which import the store."""

from __future__ import annotations

import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb and the verbs under it."""
    waive = verbs.add_parser(
        "waive",
        help="let one rule of a gate pass in one interval: asked for by one person, approved by another",
        description="A gate that has said BLOCKED reads the approved waivers when it runs again, and then says WAIVED.",
    ).add_subparsers(dest="waive_verb", metavar="verb", required=True)
    request = waive.add_parser("request", help="ask for a waiver of what the newest verdict blocks on")
    rebaseline = waive.add_parser(
        "rebaseline", help="ask that a model be compared with no older release: its label or signature is another"
    )
    for verb in (request, rebaseline):
        verb.add_argument("pipeline", help="name of the pipeline, which is that of its folder")
        verb.add_argument("--interval", required=True, metavar="START", help="start of the one data interval, such as 2013-07-01")
        verb.add_argument("--why", required=True, metavar="TEXT", help="why it is all right, in one line")
        verb.add_argument("--until", required=True, metavar="DATE", help="until when it holds; a date means its beginning, in UTC")
    request.add_argument("--gate", required=True, help="node id of the gate, such as data_gate")
    request.add_argument("--rule", required=True, help="exact name of the rule, such as volume.rows")
    request.add_argument("--subject", default="", help="exact subject, as the verdict has it; needed when the rule blocks on several")
    request.add_argument("--every-subject", action="store_true", help="all subjects that the rule blocks on, as many as the policy allows")
    approve = waive.add_parser("approve", help="approve a waiver that another person asked for")
    withdraw = waive.add_parser("withdraw", help="take a waiver back; what relies on it and has not run is refused from then on")
    for verb in (approve, withdraw):
        verb.add_argument("pipeline", help="name of the pipeline")
        verb.add_argument("number", type=int, help="number of the waiver")
    approve.add_argument("--why", default="", metavar="TEXT", help="a word for the record")
    withdraw.add_argument("--why", required=True, metavar="TEXT", help="why, for the record")
    for verb in (request, rebaseline, approve, withdraw):
        verb.add_argument(
            "--as",
            dest="on_behalf",
            default="",
            metavar="PERSON",
            help="for Airflow's own processes: who is logged in there, such as airflow:alice; the account is recorded beside it",
        )
    listed = waive.add_parser("list", help="all waivers of a pipeline and what became of them")
    listed.add_argument("pipeline", help="name of the pipeline")
