"""Measured runs -> figures with what each must and should be, a table with ratios, a small picture."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence

from bench import training
from bench.depth import Seconds
from bench.runs import COLD, EMPTY, LOCAL, PEER, WARM, Run

FOLDER = pathlib.Path(__file__).parent
_CHAIN = (
    "schema_gen", "example_gen", "statistics_gen", "example_validator", "data_gate", "transform", "trainer", "baseline", "evaluator",
    "infra_validator", "model_gate", "pusher", "promoter",
)  # fmt: skip
_WIDTH, _BAR, _STEP = 620, 22, 34


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure that is judged.

    Attributes:
      figure: What it is.
      value: What was measured.
      must: What it may be at most; more is a failure.
      aim: What it should be at most.
    """

    figure: str
    value: float
    must: float
    aim: float

    @property
    def state(self) -> str:
        """How it compares."""
        return "missed" if self.value > self.must else "met" if self.value > self.aim else "better than the aim"

    @property
    def line(self) -> str:
        """The figure as a line for whoever watches."""
        return f"{self.figure:<66} {self.value:6.3f}  must {self.must:<5} aim {self.aim:<5} {self.state}"


def median(runs: Sequence[Run]) -> float:
    """Median seconds."""
    return statistics.median(run.seconds for run in runs)


def critical_path(runs: Sequence[Run]) -> float:
    """Median of the sums of the executors' seconds: with one span in the window all nodes are one chain.

    Raises:
      ValueError: if a node did not say how long its executor worked; a sum without it would flatter everything it is compared with.
    """
    for run in runs:
        if missing := sorted(set(_CHAIN) - {"baseline"} - set(run.executors)):
            raise ValueError(f"no executor's seconds of {', '.join(missing)}; only a Resolver, baseline, has no executor")
    return statistics.median(sum(run.executors.values()) for run in runs)


def figures(runs: Mapping[str, Sequence[Run]], node_start: float, dag_parse: float, depth: Mapping[int, Seconds]) -> list[Figure]:
    """Everything that is judged."""
    shallow, *_, deep = sorted(depth)
    return [
        Figure("warm Airflow run / LocalDagRunner process", median(runs[WARM]) / median(runs[LOCAL]), 0.75, 0.5),
        Figure(
            "(warm Airflow run - empty DAG) / critical path of executor work",
            (median(runs[WARM]) - median(runs[EMPTY])) / critical_path(runs[WARM]),
            1.25,
            1.1,
        ),
        Figure("node start, warm, p50, in seconds", node_start, 0.3, 0.15),
        Figure("DAG parse over bare import, in seconds", dag_parse, 0.1, 0.05),
        Figure(f"node launch at {deep:,} runs of history / at {shallow:,}", depth[deep].launch / depth[shallow].launch, 1.2, 1.05),
        Figure(
            f"pusher and promoter at {deep:,} runs of history / at {shallow:,}", depth[deep].release / depth[shallow].release, 1.2, 1.05
        ),
    ]


def training_figures(trained: Mapping[str, float]) -> list[Figure]:
    """What is judged of training."""
    return [
        Figure("training step: one worker / one process", trained[training.ONE] / trained[training.ALONE], 1.3, 1.15),
        Figure("training step: two workers / one process on the same cores", trained[training.TWO] / trained[training.ALONE], 1.3, 1.15),
        Figure("training from start to end / compute alone of its steps", trained[training.WHOLE] / trained[training.COMPUTE], 1.3, 1.1),
    ]


def peer_figure(warm: Sequence[Run], peer: Sequence[Run]) -> Figure:
    """What a warm run costs beside TFX's own way onto Airflow."""
    return Figure("warm Airflow run / TFX AirflowDagRunner", median(warm) / median(peer), 0.15, 0.1)


def record(found: Sequence[Figure]) -> None:
    """Writes figures into results.json; those of another verb stay as they are."""
    file = FOLDER / "results.json"
    values = {figure.figure: {**dataclasses.asdict(figure), "value": round(figure.value, 3)} for figure in found}
    others = [entry for entry in json.loads(file.read_text()) if entry["figure"] not in values] if file.exists() else []
    file.write_text(json.dumps([*values.values(), *others], indent=1) + "\n")


def write_peer(figure: Figure, runs: Mapping[str, Sequence[Run]], airflow: str) -> None:
    """Writes the figure and PEER.md beside this file."""
    record([figure])
    peer = median(runs[PEER])
    lines = [
        "# Results of `make bench-peer`",
        "",
        *_where(len(runs[PEER])),
        f"TFX's AirflowDagRunner runs on Airflow {airflow} with SQLite and the SequentialExecutor, the only one that Airflow 2 gives",
        "SQLite; its tasks are one chain, as ours are. Pipeline and data are the same; the baseline is TFX's latest blessed model.",
        "",
        *judged([figure]),
        "",
        "| one quarter of taxi trips, 884 rows | median | of all runs | to TFX AirflowDagRunner |",
        "|---|---|---|---|",
        *(f"| {name} | {median(of):.1f} s | {_all(of)} | {median(of) / peer:.2f} |" for name, of in runs.items()),
        "",
        "From the moment the run is queued to its end, as each Airflow's database has them. TFX's DAG file imports TensorFlow and",
        "compiles the pipeline; it is parsed again for every task, and again and again by the scheduler beside them.",
    ]
    (FOLDER / "PEER.md").write_text("\n".join(lines) + "\n")


def write_training(found: Sequence[Figure], trained: Mapping[str, float], rounds: int) -> None:
    """Writes the figures and TRAINING.md beside this file."""
    record(found)
    lines = ["# Training, measured by `make bench`", "", *_where(rounds), "", *judged(found), "", *training.table(trained)]
    (FOLDER / "TRAINING.md").write_text("\n".join(lines) + "\n")


def write(found: Sequence[Figure], runs: Mapping[str, Sequence[Run]], depth: Mapping[int, Seconds]) -> None:
    """Writes results.json, RESULTS.md and the picture beside this file."""
    record(found)
    (FOLDER / "runs.svg").write_text(picture(runs))
    (FOLDER / "RESULTS.md").write_text("\n".join(_page(found, runs, depth)) + "\n")


def _page(found: Sequence[Figure], runs: Mapping[str, Sequence[Run]], depth: Mapping[int, Seconds]) -> list[str]:
    local, starting = median(runs[LOCAL]), statistics.median(run.starting for run in runs[WARM])
    importing = statistics.median(run.importing for run in runs[WARM])
    return [
        "# Results of `make bench`",
        "",
        *_where(len(runs[WARM])),
        "Beside TFX's AirflowDagRunner: [PEER.md](PEER.md). Training by several processes: [TRAINING.md](TRAINING.md). Hot swaps under",
        "load: [SERVING.md](SERVING.md).",
        "",
        *judged(found),
        "",
        "![One quarter, run by each](runs.svg)",
        "",
        "| one quarter of taxi trips, 884 rows | median | of all runs | to LocalDagRunner |",
        "|---|---|---|---|",
        *(f"| {name} | {median(of):.1f} s | {_all(of)} | {median(of) / local:.2f} |" for name, of in runs.items()),
        f"| executors' work on the critical path | {critical_path(runs[WARM]):.1f} s | | {critical_path(runs[WARM]) / local:.2f} |",
        "",
        f"Before a warm run the services took {starting:.1f} s to start, once for all runs; in that time the host imported TFX for",
        f"{importing:.1f} s. LocalDagRunner's process imports it for each run, and that is in its figure.",
        "",
        "| node (forked, executor alone) | " + " | ".join(_CHAIN) + " |",
        "|---" * (len(_CHAIN) + 1) + "|",
        "| median seconds | " + " | ".join(_executor(runs[WARM], node) for node in _CHAIN) + " |",
        "",
        "| earlier runs in the store | launch of data_gate and baseline, without their work | pusher and promoter |",
        "|---|---|---|",
        *(f"| {runs_before:,} | {seconds.launch:.3f} s | {seconds.release:.3f} s |" for runs_before, seconds in sorted(depth.items())),
    ]


def _where(rounds: int) -> list[str]:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("tfx", "tensorflow", "apache-beam"))
    return [
        f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, {machine()}, {versions}.",
        f"Medians of {rounds}, the runs in turns, each in a home of its own with nothing made before. Read ratios, not seconds.",
    ]


def judged(found: Sequence[Figure]) -> list[str]:
    """The figures as a table."""
    rows = [f"| {f.figure} | {f.value:.3f} | {f.must} | {f.aim} | {f.state} |" for f in found]
    return ["| figure | value | must | aim | |", "|---|---|---|---|---|", *rows]


def picture(runs: Mapping[str, Sequence[Run]]) -> str:
    """A bar for each way to run the quarter, as SVG."""
    bars = {**{name: median(of) for name, of in runs.items()}, "executors' work": critical_path(runs[WARM])}
    longest = max(bars.values())
    height = _STEP * len(bars) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    colours = {LOCAL: "#9aa5b1", WARM: "#1f7a4d", COLD: "#c98a1b", EMPTY: "#cbd2d9"}
    for number, (name, seconds) in enumerate(bars.items()):
        top, width = 8 + number * _STEP, round(seconds / longest * (_WIDTH - 250))
        text = top + 16
        lines += [
            f'<text x="8" y="{text}" fill="#1f2933">{name}</text>',
            f'<rect x="180" y="{top}" width="{width}" height="{_BAR}" rx="3" fill="{colours.get(name, "#3e6fa3")}"/>',
            f'<text x="{188 + width}" y="{text}" fill="#1f2933">{seconds:.1f} s</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def _executor(runs: Sequence[Run], node: str) -> str:
    seconds = [run.executors[node] for run in runs if node in run.executors]
    return f"{statistics.median(seconds):.2f}" if seconds else "none"


def _all(runs: Sequence[Run]) -> str:
    return ", ".join(f"{run.seconds:.1f}" for run in runs)


def _commit() -> str:
    """The code that was measured, by the commit it comes from."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    found = subprocess.run(words, cwd=FOLDER, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


@functools.cache
def machine() -> str:
    """What was measured, and on what; as it was when this was asked first, before results changed the folder."""
    return f"commit {_commit()}, {os.cpu_count()} cores, {_memory()} GiB, Python {platform.python_version()}"


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
