"""A feature's schema and statistics -> short phrases and shares for a verdict."""

from __future__ import annotations

from collections.abc import Collection

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

_SHOWN = 4  # values named in one phrase
_LENGTH = 40  # characters kept of a value; what data hold may be long, or hostile


def domain(feature: schema_pb2.Feature, schema: schema_pb2.Schema) -> tuple[str, ...]:
    """The values a feature may have; empty when any."""
    if feature.HasField("string_domain"):
        return tuple(feature.string_domain.value)
    named = next((d for d in schema.string_domain if d.name == feature.domain), None) if feature.domain else None
    return tuple(named.value) if named else ()


def expected(feature: schema_pb2.Feature | None, schema: schema_pb2.Schema) -> str:
    """What the schema asks of a feature, in a phrase."""
    if feature is None:
        return "no such column"
    words = [schema_pb2.FeatureType.Name(feature.type)]
    if feature.presence.min_fraction:
        words.append(f"in at least {feature.presence.min_fraction:.0%} of the rows")
    if values := domain(feature, schema):
        words.append("one of " + _some([quoted(v) for v in values]))
    bounds = feature.int_domain if feature.HasField("int_domain") else feature.float_domain
    for word, field in (("at least", "min"), ("at most", "max")):
        if bounds.HasField(field):
            words.append(f"{word} {getattr(bounds, field):g}")
    if feature.float_domain.disallow_nan:
        words.append("never NaN")
    return ", ".join(words)


def facts(stats: statistics_pb2.FeatureNameStatistics | None) -> tuple[str, ...]:
    """What the statistics say of a feature, in a few phrases."""
    if stats is None:
        return ("not in the data",)
    which = stats.WhichOneof("stats") or "num_stats"
    common = getattr(stats, which).common_stats
    rows = common.num_missing + common.num_non_missing
    said = [f"stored as {statistics_pb2.FeatureNameStatistics.Type.Name(stats.type)}"]
    if common.num_missing:
        said.append(f"missing in {_of(common.num_missing, rows)} rows")
    if stats.HasField("num_stats") and common.num_non_missing:
        said.append(f"values from {stats.num_stats.min:g} to {stats.num_stats.max:g}")
        if nans := max((h.num_nan for h in stats.num_stats.histograms), default=0):
            said.append(f"NaN in {_of(nans, rows)} rows")
    if stats.HasField("bytes_stats") and common.num_non_missing:
        said.append(f"of {stats.bytes_stats.min_num_bytes:g} to {stats.bytes_stats.max_num_bytes:g} bytes")
    if stats.HasField("string_stats") and (top := stats.string_stats.rank_histogram.buckets):
        said.append("most often " + _some([f"{quoted(b.label)} ({b.sample_count:g} times)" for b in top]))
    return tuple(said)


def outside(stats: statistics_pb2.FeatureNameStatistics, allowed: Collection[str]) -> tuple[float, tuple[str, ...]]:
    """The share of a feature's values that are outside its domain, and the commonest of them with their own shares.

    The statistics keep the commonest values only; those they cut off count as outside, so that a share is never too small.
    """
    total = stats.string_stats.common_stats.tot_num_values or stats.string_stats.common_stats.num_non_missing
    buckets = stats.string_stats.rank_histogram.buckets
    if not total:
        return 0.0, ()
    inside = sum(b.sample_count for b in buckets if b.label in allowed)
    strangers = [b for b in buckets if b.label not in allowed]
    named = tuple(f"{quoted(b.label)} in {_of(int(b.sample_count), int(total))} values" for b in strangers[:_SHOWN])
    more = len(strangers) - _SHOWN
    return max(0.0, 1 - inside / total), named + ((f"and {more} other values",) if more > 0 else ())


def quoted(value: str) -> str:
    """A value from the data, short and on one line."""
    return repr(value if len(value) <= _LENGTH else value[:_LENGTH] + "...")


def _of(part: int, whole: int) -> str:
    """`12 of 830 (1.4 %)`."""
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else f"{part} of {whole}"


def _some(words: list[str]) -> str:
    """The first few, and how many more there are."""
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
