"""TFDV's statistics of one feature -> how its rows are spread over buckets of numbers, or over values.

Half of the rows without a colour, a third "red"    ->    {missing: 0.5, "red": 0.33, ...}
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from tensorflow_metadata.proto.v0 import statistics_pb2

NUMBERS, VALUES, NOTHING, UNKNOWN = "numbers", "values", "no values", "neither numbers nor values"


@dataclasses.dataclass(frozen=True)
class Bucket:
    """The share of rows whose number lies above `low` and up to `high`; in a bucket of no width it is `high`."""

    low: float
    high: float
    share: float


@dataclasses.dataclass(frozen=True)
class Spread:
    """The shares of a feature in one split; they sum to 1, but for what the statistics cut off.

    Attributes:
      kind: One of the module's four words.
      missing: Share of the rows without a value.
      nan: Share of the rows with NaN.
      buckets: Numbers, by TFDV's quantiles: about as many rows in each, so that one huge number does not push all others into one bucket,
        as it does in buckets of equal width.
      values: Shares of the commonest values.
      unlisted: The largest share that a value can have which is not in `values`; 0 when all are.
    """

    kind: str
    missing: float
    nan: float = 0.0
    buckets: tuple[Bucket, ...] = ()
    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    unlisted: float = 0.0

    @classmethod
    def read(cls, stats: statistics_pb2.FeatureNameStatistics | None, rows: int) -> Spread:
        """The spread of a feature.

        Args:
          stats: What TFDV counted, or None for a feature that is not in the data.
          rows: Rows of the split.
        """
        which = stats.WhichOneof("stats") if stats is not None else None
        if stats is None or which is None:
            return cls(NOTHING, 1.0)
        common = getattr(stats, which).common_stats
        present = common.num_non_missing / rows if rows else 0.0
        if not present:
            return cls(NOTHING, 1.0)
        if which == "num_stats":
            return cls._of_numbers(stats.num_stats, present)
        if which == "string_stats":
            return cls._of_values(stats.string_stats, present)
        return cls(UNKNOWN, 1.0 - present)

    @classmethod
    def _of_numbers(cls, stats: statistics_pb2.NumericStatistics, present: float) -> Spread:
        quantiles = next((h for h in stats.histograms if h.type == h.QUANTILES), None)
        if quantiles is None:
            return cls(UNKNOWN, 1.0 - present)
        total = sum(b.sample_count for b in quantiles.buckets) + quantiles.num_nan
        if not total:
            return cls(UNKNOWN, 1.0 - present)
        share = present / total
        buckets = tuple(Bucket(b.low_value, b.high_value, b.sample_count * share) for b in quantiles.buckets)
        return cls(NUMBERS, 1.0 - present, quantiles.num_nan * share, buckets)

    @classmethod
    def _of_values(cls, stats: statistics_pb2.StringStatistics, present: float) -> Spread:
        counts = {b.label: b.sample_count for b in stats.rank_histogram.buckets}
        total = stats.common_stats.tot_num_values or stats.common_stats.num_non_missing
        share = present / total
        rest = max(0.0, total - sum(counts.values()))
        # The list is cut at its end: none of the rest is commoner than the rarest that is listed.
        unlisted = min(rest, min(counts.values(), default=rest)) * share
        return cls(VALUES, 1.0 - present, values={label: count * share for label, count in counts.items()}, unlisted=unlisted)

    def up_to(self, number: float, inclusive: bool = True) -> float:
        """The share of rows with a finite number up to this one, or below it; within a bucket the rows are taken to be spread evenly."""
        return sum(b.share * _part(b, number, inclusive) for b in self.finite)

    @property
    def finite(self) -> tuple[Bucket, ...]:
        """The buckets with finite bounds."""
        return tuple(b for b in self.buckets if math.isfinite(b.low) and math.isfinite(b.high))

    @property
    def infinite(self) -> float:
        """The share of rows in buckets that reach into infinity."""
        return sum(b.share for b in self.buckets) - sum(b.share for b in self.finite)


def _part(bucket: Bucket, number: float, inclusive: bool) -> float:
    """How much of a bucket lies below a number, or at it."""
    if bucket.low == bucket.high == number:
        return float(inclusive)
    if number >= bucket.high:
        return 1.0
    return 0.0 if number <= bucket.low else (number - bucket.low) / (bucket.high - bucket.low)
