"""What was answered, and how fast -> the page that Prometheus reads, with TensorFlow Serving's names."""

from __future__ import annotations

import bisect
import dataclasses
import threading
from collections.abc import Mapping, Sequence

PATH = "/monitoring/prometheus/metrics"
_LIMITS = tuple(10 * 1.8**n for n in range(33))  # microseconds

REQUESTS = ":tensorflow:serving:request_count"
LATENCY = ":tensorflow:serving:request_latency"
RUNTIME = ":tensorflow:serving:runtime_latency"
EXAMPLES = ":tensorflow:serving:request_example_count_total"
WARMUP = ":tensorflow:serving:model_warmup_latency"
WARMED = ":tensorflow:serving:model_warmup_records_read"
_LABELS: Mapping[str, Sequence[str]] = {
    REQUESTS: ("model_name", "status"),
    LATENCY: ("model_name", "API", "entrypoint"),
    RUNTIME: ("model_name", "API", "runtime"),
    EXAMPLES: ("model",),
    WARMUP: ("model_path", "status"),
    WARMED: ("model_path", "status"),
}


@dataclasses.dataclass
class _Histogram:
    """How often a number was how large.

    Attributes:
      counts: By the limits, and one more for what is above them all.
      total: Sum of the numbers.
    """

    counts: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(_LIMITS) + 1))
    total: float = 0.0


class Metrics:
    """Counters and histograms of one server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, tuple[str, ...]], int] = {}
        self._histograms: dict[tuple[str, tuple[str, ...]], _Histogram] = {}

    def count(self, name: str, *labels: str, by: int = 1) -> None:
        """Adds to a counter."""
        with self._lock:
            self._counters[name, labels] = self._counters.get((name, labels), 0) + by

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Adds a duration to a histogram, which is in microseconds."""
        micros = seconds * 1e6
        with self._lock:
            histogram = self._histograms.setdefault((name, labels), _Histogram())
            histogram.counts[bisect.bisect_right(_LIMITS, micros)] += 1
            histogram.total += micros

    def page(self) -> str:
        """The page."""
        lines: list[str] = []
        with self._lock:
            for kind, found in (("counter", self._counters), ("histogram", self._histograms)):
                names = sorted({name for name, _ in found})
                for name in names:
                    lines.append(f"# TYPE {name} {kind}")
                    for (other, labels), value in sorted(found.items(), key=lambda item: item[0]):
                        if other == name:
                            lines += _lines(name, labels, value)
        return "\n".join(lines) + "\n"


def _lines(name: str, labels: tuple[str, ...], value: object) -> list[str]:
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in zip(_LABELS[name], labels, strict=True))
    if not isinstance(value, _Histogram):
        return [f"{name}{{{said}}} {value}"]
    lines, sofar = [], 0
    for limit, count in zip((*(f"{limit:g}" for limit in _LIMITS), "+Inf"), value.counts, strict=True):
        sofar += count
        lines.append(f'{name}_bucket{{{said},le="{limit}"}} {sofar}')
    return [*lines, f"{name}_sum{{{said}}} {value.total:g}", f"{name}_count{{{said}}} {sofar}"]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
