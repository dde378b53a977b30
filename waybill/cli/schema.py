"""`waybill schema infer | diff | update`: what tables say a schema should be, beside what people say. Only --write writes."""

from __future__ import annotations

import argparse
import difflib
import logging
import pathlib
import sys

from waybill.cli import load
from waybill.launch.process import prepare
from waybill.records import settings as places


def schema(args: argparse.Namespace) -> int:
    """Carries the verb out; `diff` returns 1 where something differs."""
    prepare(logging.ERROR)
    return {"infer": infer, "diff": diff, "update": update}[args.schema_verb](args)


def infer(args: argparse.Namespace) -> int:
    """Prints what is inferred of a folder's tables, or of landed ones."""
    from waybill.scaffold import cells, folder, inferred, landed, table

    if args.what in load.names():
        pipeline, where = load.settings_of(args.what), places.load().landing
        parts = cells.read([landed.delivered(pipeline, where, interval) for interval in landed.intervals(pipeline, where, ())])
    else:
        parts = cells.read(folder.partitions(pathlib.Path(args.what).expanduser()))
    columns = table.looked_at(parts)
    print(inferred.text_of(pathlib.Path(args.what).name, inferred.schema_of(columns, parts), columns, parts), end="")
    return 0


def diff(args: argparse.Namespace) -> int:
    """Prints how landed partitions differ from the schema, column by column."""
    from waybill.scaffold import landed

    pipeline, where = load.settings_of(args.pipeline), places.load().landing
    curated = landed.read_schema(places.PROJECT / pipeline.schema)
    looked = landed.intervals(pipeline, where, args.interval)
    differ = 0
    for interval in looked:
        for finding in landed.differences(landed.read(pipeline, where, interval, curated), curated):
            differ += 1
            print(f"{interval.label}  {finding.feature}: {finding.says.rstrip('. ')}")
            print(f"    the schema says  {finding.expected}")
            print(f"    found            {'; '.join(finding.facts)}")
            print(f"    what to do       {landed.advice(finding)}")
    print(f"{len(looked)} partitions, {differ} differences from {pipeline.schema}")
    if differ:
        print(f"A schema that they fit is proposed by: waybill schema update {args.pipeline}")
    return 1 if differ else 0


def update(args: argparse.Namespace) -> int:
    """Shows what would have to change in the schema for landed partitions to fit it; writes it if that was asked for."""
    from waybill.scaffold import landed, schema_text

    pipeline, where = load.settings_of(args.pipeline), places.load().landing
    path = places.PROJECT / pipeline.schema
    curated = landed.read_schema(path)
    looked = [landed.read(pipeline, where, interval, curated) for interval in landed.intervals(pipeline, where, args.interval)]
    before = path.read_text(encoding="utf-8")
    after, lost = schema_text.changed(before, landed.fitting(curated, looked))
    if after == before:
        print(f"{len(looked)} partitions fit {pipeline.schema}; nothing to change")
        return 0
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), pipeline.schema, f"{pipeline.schema}, proposed")
    sys.stdout.writelines(lines)
    for remark in lost:
        print(f"this comment stands inside of what changes, and would be lost: {remark}")
    if not args.write:
        print(f"Nothing is written. Where the data are wrong, have them corrected; else: waybill schema update {args.pipeline} --write")
        return 0
    staged = path.with_name(f".{path.name}.proposed")
    staged.write_text(after, encoding="utf-8")
    staged.replace(path)
    print(f"wrote {pipeline.schema}; it is to be reviewed and committed like code")
    return 0
