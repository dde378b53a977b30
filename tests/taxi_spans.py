"""Real quarters of trips, spoilt or not -> what the data gate finds in them, by TFDV's statistics of the splits that ingestion makes."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pyarrow as pa
import taxi_data
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2

from components import typed_rows
from pipelines.taxi import land
from waybill.gates.data_evidence import SpanEvidence, SplitEvidence
from waybill.gates.spread import Spread
from waybill.records.interval import parse_moment
from waybill.records.settings import PROJECT

Rows = list[dict[str, str]]
QUARTERS = [f"{year}-{month:02}-01" for year in (2013, 2014, 2015, 2016) for month in (1, 4, 7, 10)]


@functools.lru_cache(maxsize=1)
def schema() -> schema_pb2.Schema:
    return text_format.Parse((PROJECT / "schemas/taxi.pbtxt").read_text(), schema_pb2.Schema())


def features() -> list[str]:
    return [feature.name for feature in schema().feature]


def window(label: str, spoil: Callable[[Rows], Rows] | None = None, length: int = 4) -> list[SpanEvidence]:
    """The quarters of a run's window; the last one is spoilt."""
    position = QUARTERS.index(label)
    earlier = [quarter(other) for other in QUARTERS[max(0, position - length + 1) : position]]
    return [*earlier, _evidence(label, spoil(_copy(label))) if spoil else quarter(label)]


@functools.cache
def quarter(label: str) -> SpanEvidence:
    """One real quarter as it is."""
    return _evidence(label, _copy(label))


def _copy(label: str) -> Rows:
    return [dict(row) for row in taxi_data.trips()[label]]


def _evidence(label: str, rows: Rows) -> SpanEvidence:
    cells = pa.record_batch({name: pa.array([row[name].encode() for row in rows], pa.binary()) for name in rows[0]})
    known = [feature.name for feature in schema().feature if feature.name != "span"]
    span = land.quarter(parse_moment(label)).span
    table = typed_rows.typed(cells, schema(), frozenset()).append_column("span", pa.array([span] * len(rows), pa.int64()))
    for_eval = typed_rows.buckets(cells, known, 3) < 1
    splits = tuple(_split(name, table.filter(pa.array(chosen))) for name, chosen in (("train", ~for_eval), ("eval", for_eval)))
    return SpanEvidence(span, splits, len(rows), {split.name: split.rows for split in splits})


def _split(name: str, table: pa.RecordBatch) -> SplitEvidence:
    lists = [
        pa.array([None if v is None else [v] for v in column.to_pylist()], type=pa.large_list(column.type)) for column in table.columns
    ]
    batch = pa.RecordBatch.from_arrays(lists, table.schema.names)
    [counted] = stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions(schema=schema())).datasets
    spreads = {stats.path.step[0]: Spread.read(stats, table.num_rows) for stats in counted.features}
    return SplitEvidence(name, table.num_rows, (), spreads)
