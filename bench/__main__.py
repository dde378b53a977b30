"""`make bench`: everything that is measured -> bench/RESULTS.md, bench/TRAINING.md, bench/SERVING.md and bench/results.json.

Ends with status 1 when a figure is not what it must be.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import tempfile

from bench import depth, report, runs, serving, serving_report, starts, training
from waybill.records.settings import PROJECT

PARTS = ("runs", "training", "serving")


def main() -> int:
    """Measures, writes the results and judges them."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind (default %(default)s; a round takes some five minutes)")
    parser.add_argument("--only", choices=PARTS, help="measure only this part; the other parts' results stay as they are")
    args = parser.parse_args()
    judged: list[report.Figure] = []
    say(report.machine())
    if args.only in (None, "serving"):
        served = serving.measure(serving.SWAPS, serving.ROLLBACKS, say)
        judged += serving_report.write(served)
    if args.only in (None, "training"):
        trained = training.measure(args.rounds, say)
        figures = report.training_figures(trained)
        judged += figures
        report.write_training(figures, trained, args.rounds)
    if args.only in (None, "runs"):
        judged += _runs(args.rounds)
    for figure in judged:
        say(figure.line)
    return int(any(figure.value > figure.must for figure in judged))


def _runs(rounds: int) -> list[report.Figure]:
    """Whole runs, what happens before them, and how deep history may be."""
    # The short ones first, so that what is broken shows before half an hour is spent.
    deep = depth.measure_apart(say)
    parsed = starts.dag_parse(say)
    with tempfile.TemporaryDirectory(prefix="waybill-bench-") as folder:
        started = starts.node_start(pathlib.Path(folder), say)
    say("ingestion, beside CsvExampleGen:")
    subprocess.run([sys.executable, str(PROJECT / "bench" / "ingest.py")], cwd=PROJECT, check=True)
    found = runs.measure(rounds, say)
    judged = report.figures(found, started, parsed, deep)
    report.write(judged, found, deep)
    return judged


def say(line: str) -> None:
    """A line for whoever watches."""
    print(f"bench: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
