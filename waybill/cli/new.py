"""`waybill new`: a folder of tables and a label -> a pipeline of its own, landed and ready to run."""

from __future__ import annotations

import argparse
import importlib
import logging
import pathlib
import sys

from waybill.cli import setup
from waybill.launch.graph import build_graph
from waybill.launch.process import prepare
from waybill.records import settings as places
from waybill.records.errors import RecordError
from waybill.records.graph import PipelineSettings
from waybill.scaffold import landing, place, table
from waybill.scaffold.label import Classes
from waybill.scaffold.names import check_name, targets

_MODULES = ("settings", "policy", "features", "model", "pipeline")


def new(args: argparse.Namespace) -> int:
    """Writes the pipeline and lands its partitions."""
    name, project = check_name(args.name, places.PROJECT), places.PROJECT
    folder = pathlib.Path(args.folder or _asked("Folder of CSV or Parquet partitions", "--from FOLDER")).expanduser()
    found = table.read(folder, args.schedule, args.rename)
    if not args.label:
        print(f"The columns: {', '.join(column.name for column in found.columns)}")
    found, label = found.labelled(args.label or _asked("Which of them is the label", "--label COLUMN"), args.positive, args.without)
    first, last = found.parts[0].delivered.label, found.parts[-1].delivered.label
    anew = " --rename" if args.rename else ""
    rows = sum(part.table.num_rows for part in found.parts)
    print(f"{rows} rows in {len(found.parts)} partitions, {first} to {last}, schedule {found.schedule!r}", flush=True)
    for old, given in found.parts[0].renamed.items():
        print(f"  column {old!r} is landed as {given}")
    print("inferring and measuring, with TFX ...", flush=True)
    settings = _write(name, project, found, label)
    print("wrote " + "\n      ".join(targets(name).values()))
    try:
        for interval, count in landing.land(found.parts, settings, places.load().landing):
            print(f"landed {interval.label}: {count} rows")
    except Exception:
        print(f"The pipeline is written, and not all has landed; go on with: waybill land {name} --from {folder}{anew}", file=sys.stderr)
        raise
    print(
        f"\nNext, look at schemas/{name}.pbtxt and pipelines/{name}/, and run it:\n"
        f"  waybill init\n  waybill run {name} --interval {last}\n"
        f"Test it with: .venv/bin/python -m pytest tests/test_{name}.py; later partitions land by:\n"
        f"  waybill land {name} --from FOLDER{anew}"
    )
    return 0


def _asked(what: str, option: str) -> str:
    """What somebody at the terminal answers.

    Raises:
      RecordError: if nobody is there, or says nothing.
    """
    answer = input(f"{what}: ").strip() if sys.stdin.isatty() else ""
    if not answer:
        raise RecordError(f"waybill new was not told {option.split()[-1]}; expected it as an option or an answer; add {option}")
    return answer


def _write(name: str, project: pathlib.Path, found: table.Table, label: Classes) -> PipelineSettings:
    """Puts all files where they belong, or none, and returns the new pipeline's settings."""
    prepare(logging.ERROR)
    # Here, because they import TensorFlow.
    from waybill.scaffold import inferred, limits, measured, render
    from waybill.scaffold.plan import Plan

    schema = inferred.schema_of(found.columns, found.parts, label.name)
    columns = [column for column in found.columns if column.name != label.name]
    seen = measured.measure(found.parts, columns, label, schema)
    plan = Plan(name, found.schedule, found.parts, found.columns, label, schema, seen, limits.derive(seen, columns, label))
    with place.alone(project) as staging:
        check_name(name, project)  # again: somebody may have been quicker
        place.write(staging, render.files(plan))
        settings, graph = _compiled(name, staging)
        place.write(staging, {f"{targets(name)['package']}/graph.json": graph})
        place.put(staging, project, name)
    print(render.said(plan))
    return settings


def _compiled(name: str, staging: pathlib.Path) -> tuple[PipelineSettings, str]:
    """The settings and the graph of a pipeline that is not in its place yet; all its modules are imported, so that none is broken."""
    import pipelines

    sys.dont_write_bytecode, was = True, sys.dont_write_bytecode
    pipelines.__path__.insert(0, str(staging / "pipelines"))
    try:
        modules = {
            part: importlib.import_module(f"pipelines.{name}.{part}") for part in ("settings", "policy", "features", "model", "pipeline")
        }
    finally:
        pipelines.__path__.remove(str(staging / "pipelines"))
        sys.dont_write_bytecode = was
    settings: PipelineSettings = modules["settings"].SETTINGS
    return settings, build_graph(settings, setup.compiled_of(settings, modules["pipeline"].create_pipeline)).to_text()
