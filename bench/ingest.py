"""The same taxi rows -> examples by our ingestion and by TFX's CsvExampleGen, side by side: rows per second and peak memory.

    python bench/ingest.py --rows 100000

Each runs in a process of its own, one after the other; imports are not counted. Both write gzipped tf.Examples in two splits, ours also
verifies the partition's bytes, reads by the schema and adds the span.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from pipelines.taxi import land
from waybill.launch.landing import LandingArea, deliver
from waybill.records.interval import parse_moment
from waybill.records.settings import PROJECT

OURS, THEIRS = "PartitionExampleGen", "CsvExampleGen"
# Those of the pipeline, whose imports would count as memory.
BEAM_ARGS = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", "--direct_running_mode=in_memory"]
INTERVAL = land.quarter(parse_moment("2013-07-01"))


def main() -> None:
    """Measures both, or one of them in this process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows to ingest; the real trips, over and over (default %(default)s)")
    parser.add_argument("--measure", nargs=2, metavar=("WHICH", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps({OURS: measure_ours, THEIRS: measure_theirs}[args.measure[0]](pathlib.Path(args.measure[1]))))
        return
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as folder:
        partition = deliver(pathlib.Path(folder), land.PIPELINE, INTERVAL, {"data.csv": trips(args.rows)}, args.rows)
        # CsvExampleGen reads every file of a folder, so it gets one without a manifest.
        pathlib.Path(folder, "csv").mkdir()
        pathlib.Path(folder, "csv", "data.csv").symlink_to(pathlib.Path(partition.path, "data.csv"))
        found = {which: measured(which, args.rows, folder) for which in (OURS, THEIRS)}
    for which in (OURS, THEIRS):
        rate, peak = found[which]
        print(f"{which:20} {rate:10,.0f} rows/s {peak:8,.0f} MB at most")
    print(f"{'ratio':20} {found[OURS][0] / found[THEIRS][0]:10.1f} x      {found[OURS][1] / found[THEIRS][1]:8.2f} x")


def measured(which: str, rows: int, folder: str) -> tuple[float, float]:
    """Rows per second and peak memory in megabytes of one of them, in a process of its own."""
    command = [sys.executable, __file__, "--measure", which, folder]
    done = subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, text=True)
    result = json.loads(done.stdout.splitlines()[-1])
    if result["rows"] != rows:
        raise SystemExit(f"{which} wrote {result['rows']} of {rows} rows; what is not complete is not compared")
    return rows / result["seconds"], result["peak_kilobytes"] / 1024


def measure_ours(folder: pathlib.Path) -> dict[str, float]:
    """Ingests with our executor."""
    from tfx.types import standard_artifacts

    from components.example_gen import PartitionExampleGenExecutor

    partition = LandingArea(folder, land.PIPELINE).partition(INTERVAL)
    schema, examples = standard_artifacts.Schema(), standard_artifacts.Examples()
    schema.uri, examples.uri = str(folder / "schema"), str(folder / OURS)
    pathlib.Path(schema.uri).mkdir()
    pathlib.Path(schema.uri, "schema.pbtxt").write_bytes((PROJECT / "schemas/taxi.pbtxt").read_bytes())
    properties = {"path": partition.path, "partition_digest": partition.digest, "span": INTERVAL.span, "version": partition.version}
    started = time.perf_counter()
    PartitionExampleGenExecutor().Do({"schema": [schema]}, {"examples": [examples]}, {**properties, "buckets": 3, "eval_buckets": 1})
    return _result(started, examples.uri)


def measure_theirs(folder: pathlib.Path) -> dict[str, float]:
    """Ingests with TFX's executor, as the taxi example of TFX does."""
    from tfx.components.example_gen import utils
    from tfx.components.example_gen.csv_example_gen.executor import Executor
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.proto import example_gen_pb2
    from tfx.types import standard_artifacts
    from tfx.utils import proto_utils

    examples = standard_artifacts.Examples()
    examples.uri = str(folder / THEIRS)
    inputs = utils.make_default_input_config()
    properties = {
        "input_base": str(folder / "csv"),
        "input_config": proto_utils.proto_to_json(inputs),
        "output_config": proto_utils.proto_to_json(utils.make_default_output_config(inputs)),
        "output_data_format": example_gen_pb2.FORMAT_TF_EXAMPLE,
        "output_file_format": example_gen_pb2.FORMAT_TFRECORDS_GZIP,
    }
    context = BaseBeamExecutor.Context(beam_pipeline_args=BEAM_ARGS, tmp_dir=f"{folder}/tmp/", unique_id="1")
    started = time.perf_counter()
    Executor(context).Do({}, {"examples": [examples]}, properties)
    return _result(started, examples.uri)


def trips(rows: int) -> bytes:
    """So many rows of the real trips as CSV."""
    with land.source().open(newline="", encoding="utf-8") as handle:
        header, *real = csv.reader(handle)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(itertools.chain([header], itertools.islice(itertools.cycle(real), rows)))
    return text.getvalue().encode()


def _result(started: float, uri: str) -> dict[str, float]:
    seconds, peak = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    import tensorflow as tf

    files = [str(path) for path in pathlib.Path(uri).glob("Split-*/*")]
    return {"seconds": seconds, "peak_kilobytes": peak, "rows": sum(1 for _ in tf.data.TFRecordDataset(files, compression_type="GZIP"))}


if __name__ == "__main__":
    main()
