"""TFDV's statistics of a window's spans -> the plots of the data gate's page: each feature now and in the span before, rows per span."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from waybill.gates import data_words, report_numeric
from waybill.gates.report_charts import Bar, bars
from waybill.gates.report_plot import Plot, attempt
from waybill.gates.report_text import NONE, number, percent
from waybill.records.verdict import RuleOutcome, Verdict

Stats: TypeAlias = statistics_pb2.FeatureNameStatistics
FEATURES = "Features, in the newest span and in the one before it"
ROWS = "Rows"
_VALUES = 10  # of a feature, by name


@dataclasses.dataclass(frozen=True)
class Split:
    """What was counted in one split of one span."""

    rows: int
    features: Mapping[str, Stats]


def plots(statistics: Mapping[int, tuple[pathlib.Path, Sequence[str]]], schema: schema_pb2.Schema, verdict: Verdict) -> list[Plot]:
    """All plots; one that cannot be drawn says why.

    Args:
      statistics: Folder of the ExampleStatistics artifact and names of its splits, by span.
      schema: The schema, for the values that a feature may have.
      verdict: The verdict; the features that its reasons are about come first.
    """
    spans = {s: {name: _read(folder / f"Split-{name}" / "FeatureStats.pb") for name in names} for s, (folder, names) in statistics.items()}
    order = sorted(spans)
    if not order or not spans[order[-1]]:
        return []
    newest = spans[order[-1]]
    largest = max(sorted(newest), key=lambda name: newest[name].rows)
    now, before = newest[largest], spans[order[-2]].get(largest) if len(order) > 1 else None
    where = f"split {largest} of {label(order[-1])}" + (f"; dashed: of {label(order[-2])}" if before else "; no span before it")
    blocking = [rule.subject for rule in verdict.rules if rule.outcome is RuleOutcome.BLOCK]
    drawn = [attempt("Rows per span", ROWS, lambda: _rows(spans))]
    for name in sorted({*now.features, *(before.features if before else ())}):
        urgent = any(subject == name or subject.startswith((f"{name},", f"{name} ")) for subject in blocking)
        drawn.append(dataclasses.replace(_feature(name, now, before, schema, where), urgent=urgent))
    return drawn


def label(span: int) -> str:
    """A span's number as people write its start."""
    text = str(span)
    if len(text) != 12:
        return f"span {span}"
    date, time = f"{text[:4]}-{text[4:6]}-{text[6:8]}", f"T{text[8:10]}:{text[10:]}"
    return date if time == "T00:00" else date + time


def _read(path: pathlib.Path) -> Split:
    found = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes()).datasets[0]
    return Split(found.num_examples, {f.name or ".".join(f.path.step): f for f in found.features})


def _rows(spans: Mapping[int, Mapping[str, Split]]) -> Plot:
    """How many rows each span of the window has."""
    totals = {span: sum(split.rows for split in splits.values()) for span, splits in sorted(spans.items())}
    names = sorted({name for splits in spans.values() for name in splits})
    rows = [(label(s), *(number(spans[s][n].rows) if n in spans[s] else NONE for n in names), number(t)) for s, t in totals.items()]
    shown = [Bar(label(span), total, None, f"{number(total)} rows") for span, total in totals.items()][-12:]
    says = f"Rows of {'the' if len(shown) == len(totals) else f'the newest {len(shown)} of'} {len(totals)} spans of the window."
    return Plot("Rows per span", says, bars(shown, says), ("span", *names, "all"), tuple(rows), ROWS)


def _feature(name: str, now: Split, before: Split | None, schema: schema_pb2.Schema, where: str) -> Plot:
    new, old = now.features.get(name), before.features.get(name) if before else None
    either = new if new is not None else old
    draw: Callable[[], Plot]
    if new is None:
        draw = functools.partial(Plot, name, f"Not in the data any more: {where}.", section=FEATURES)
    elif either is not None and either.HasField("num_stats"):
        draw = functools.partial(report_numeric.plot, name, new, old, where, FEATURES)
    elif either is not None and either.HasField("string_stats"):
        declared = next((f for f in schema.feature if f.name == name), None)
        draw = functools.partial(_values, name, new, old, data_words.domain(declared, schema) if declared else (), where)
    elif either is not None and either.HasField("bytes_stats"):
        draw = functools.partial(_bytes, name, new, old, where)
    else:
        draw = functools.partial(Plot, name, "TFDV keeps no distribution of this feature.", section=FEATURES)
    return attempt(name, FEATURES, draw)


def _values(name: str, new: Stats, old: Stats | None, allowed: Sequence[str], where: str) -> Plot:
    """The commonest values of a feature that has words; those that the schema does not allow before all others."""
    now, before = _shares(new), _shares(old) if old is not None and old.HasField("string_stats") else None
    strange = {value for value in now if allowed and value not in allowed}
    weights = {value: max(now.get(value, 0.0), (before or {}).get(value, 0.0)) for value in {*now, *(before or {})}}
    order = sorted(weights, key=lambda v: (v not in strange, -weights[v], v))
    chosen = sorted(order[:_VALUES], key=lambda v: (-weights[v], v))
    rows = [_bar(value, now, before, value in strange) for value in chosen]
    more = max(new.string_stats.unique, len(order)) - len(rows)
    says = f"Shares of the values, {where}." + (f" {more} other values are not drawn." if more > 0 else "")
    if not now:
        says = f"There are no values: {where}."
    if strange:
        says += f" {len(strange)} of the values {'is' if len(strange) == 1 else 'are'} not in the schema."
    table = [(v or "(empty)", percent(now.get(v, 0.0)), percent(before.get(v, 0.0)) if before is not None else NONE) for v in order]
    return Plot(name, says, bars(rows, f"{name}: {says}"), ("value", "now", "before"), tuple(table), FEATURES)


def _bytes(name: str, new: Stats, old: Stats | None, where: str) -> Plot:
    """What is known of a feature that holds images: how many, and how large. What is in them are columns of their own."""
    sides = [stats for stats in (new, old) if stats is not None and stats.HasField("bytes_stats")]
    columns = [
        tuple(map(number, (s.common_stats.num_non_missing, s.common_stats.num_missing, s.min_num_bytes, s.avg_num_bytes, s.max_num_bytes)))
        for s in (stats.bytes_stats for stats in sides)
    ]
    facts = ("values", "missing", "smallest, in bytes", "mean, in bytes", "largest, in bytes")
    rows = tuple((fact, *(column[i] for column in columns)) for i, fact in enumerate(facts))
    says = f"Images or other bytes, {where}."
    return Plot(name, says, head=("", "now", "before")[: len(sides) + 1], rows=rows, section=FEATURES)


def _bar(value: str, now: Mapping[str, float], before: Mapping[str, float] | None, strange: bool) -> Bar:
    share, was = now.get(value, 0.0), None if before is None else before.get(value, 0.0)
    text = percent(share) + (f", before {percent(was)}" if was is not None else "") + (", not in the schema" if strange else "")
    return Bar(value or "(empty)", share, was, text, strange)


def _shares(stats: Stats) -> dict[str, float]:
    """Each value's share, of those that the statistics kept."""
    kept = stats.string_stats
    total = kept.common_stats.tot_num_values or kept.common_stats.num_non_missing
    return {b.label: b.sample_count / total for b in kept.rank_histogram.buckets} if total else {}
