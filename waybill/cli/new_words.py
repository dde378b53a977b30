"""What a person types after `waybill new` and `waybill schema` -> options and their help. Apart from the verbs, which take seconds."""

from __future__ import annotations

import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verbs."""
    new = verbs.add_parser(
        "new",
        help="write a pipeline for a table: schema, pipeline folder, DAG and tests, from a folder of partitions and a label",
        description="Infers a schema for review, derives limits from what it measures, writes all or nothing, and lands the partitions. "
        "What is not given is asked for, where somebody is there to answer.",
    )
    new.add_argument("name", help="name of the new pipeline: small letters, 0 to 9 and _")
    new.add_argument(
        "--from",
        dest="folder",
        default="",
        metavar="FOLDER",
        help="CSV or Parquet, one file or folder for each interval, with its start in the name, such as 2013-01-01.csv",
    )
    new.add_argument("--label", default="", metavar="COLUMN", help="what the model is to tell: two values, or up to 20 classes")
    new.add_argument("--positive", default="", metavar="VALUE", help="of two values the one that a score is about")
    new.add_argument(
        "--without", action="append", default=[], metavar="COLUMN", help="a column that the model is not to see; again for another"
    )
    new.add_argument(
        "--schedule", default="", help="daily, weekly, monthly, quarterly, yearly, or a cron expression; default: as the names tell"
    )
    new.add_argument("--rename", action="store_true", help="land a column such as 'width (cm)' under a name that a model can be asked by")
    schema = verbs.add_parser(
        "schema",
        help="infer a table's schema, show how landed data differ from a curated one, propose a changed one",
        description="A curated schema is changed by people: nothing is written without --write.",
    ).add_subparsers(dest="schema_verb", metavar="verb", required=True)
    infer = schema.add_parser("infer", help="print the schema that is inferred of a folder of tables, or of what has landed for a pipeline")
    infer.add_argument("what", metavar="PIPELINE_OR_FOLDER", help="name of a pipeline, or a folder of partitions")
    diff = schema.add_parser("diff", help="show how landed data differ from the curated schema; ends with 1 if they do")
    update = schema.add_parser("update", help="propose a schema that landed data fit, as a diff; with --write put it into the file")
    update.add_argument("--write", action="store_true", help="write it; without, nothing is changed")
    for verb in (diff, update):
        verb.add_argument("pipeline", help="name of the pipeline, which is that of its folder")
        verb.add_argument(
            "--interval",
            action="append",
            default=[],
            metavar="START",
            help="start of a landed interval; again for another; default: all",
        )
