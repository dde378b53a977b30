"""TFDV's statistics of a numeric feature -> its histogram now over the one before, and its quantiles as a table."""

from __future__ import annotations

import math
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import statistics_pb2

from waybill.gates.report_charts import Bucket, histograms
from waybill.gates.report_plot import Plot
from waybill.gates.report_text import NONE, number, percent

Stats: TypeAlias = statistics_pb2.FeatureNameStatistics
_STANDARD, _QUANTILES = statistics_pb2.Histogram.STANDARD, statistics_pb2.Histogram.QUANTILES
_LOPSIDED = 0.75  # with more than this in one of TFDV's equally wide buckets, its equally full ones show more
_FAR = 1.0  # a tail is drawn up to this many times the width of the middle 80 %


def plot(name: str, new: Stats, old: Stats | None, where: str, section: str) -> Plot:
    """The plot of one feature.

    Args:
      name: The feature.
      new: Its statistics.
      old: Its statistics in the span before, or None.
      where: Which split and spans these are, in words.
      section: Heading of the plot.
    """
    sides = [stats for stats in (new, old) if stats is not None and stats.HasField("num_stats")]
    equal = [_buckets(stats, _STANDARD) for stats in sides]
    full = [_buckets(stats, _QUANTILES) for stats in sides]
    lopsided = all(full) and any(bucket.share > _LOPSIDED for shape in equal for bucket in shape)
    chosen = full if lopsided else equal
    domain = _domain(full if all(full) else equal)
    drawn = histograms(chosen[0], chosen[1] if len(chosen) > 1 else [], domain, f"{name}: histogram, {where}")
    whole = min(s.num_stats.min for s in sides), max(s.num_stats.max for s in sides)
    says = f"Histogram, {where}."
    if whole[0] < domain[0] or whole[1] > domain[1]:
        says += f" Values reach from {number(whole[0])} to {number(whole[1])}; drawn is where nearly all of them are."
    if lopsided:
        says += " Bars are wider where values are fewer; what counts is their area."
    if not chosen[0]:
        says = f"There are no values: {where}."
    table = [(fact, *(values[i] for values in map(_facts, sides))) for i, fact in enumerate(_FACTS)]
    return Plot(name, says, drawn, ("", "now", "before")[: len(sides) + 1], tuple(table), section)


_FACTS = ("values", "missing", "zeros", "NaN", "smallest", "median", "mean", "largest", "standard deviation")


def _facts(stats: Stats) -> list[str]:
    """What `_FACTS` names."""
    numbers, common = stats.num_stats, stats.num_stats.common_stats
    rows, values = common.num_missing + common.num_non_missing, common.tot_num_values or common.num_non_missing
    nans = max((h.num_nan for h in numbers.histograms), default=0)
    counts = (
        number(values),
        *(f"{number(n)} ({percent(n / rows)})" if rows else NONE for n in (common.num_missing, numbers.num_zeros, nans)),
    )
    return [*counts, *(number(n) if values else NONE for n in (numbers.min, numbers.median, numbers.mean, numbers.max, numbers.std_dev))]


def _buckets(stats: Stats, kind: int) -> list[Bucket]:
    """One of TFDV's two histograms; empty when there is none, without buckets that have no end."""
    found = next((h.buckets for h in stats.num_stats.histograms if h.type == kind), ())
    kept = [b for b in found if math.isfinite(b.low_value) and math.isfinite(b.high_value)]
    total = sum(b.sample_count for b in kept)
    return [Bucket(b.low_value, b.high_value, b.sample_count / total) for b in kept] if total else []


def _domain(shapes: list[list[Bucket]]) -> tuple[float, float]:
    """What is worth a place in the picture: all values, but of long tails only the beginning."""
    found = [shape for shape in shapes if shape]
    if not found:
        return 0.0, 1.0
    low, high = min(s[0].low for s in found), max(s[-1].high for s in found)
    inner = min(s[0].high for s in found), max(s[-1].low for s in found)
    room = (inner[1] - inner[0]) * _FAR
    if room <= 0:
        return low, high
    return max(low, inner[0] - room), min(high, inner[1] + room)
