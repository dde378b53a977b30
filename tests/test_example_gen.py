"""Ingestion: the frozen bytes and no others, every row in one split, the same examples for the same rows."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import io
import json
import math
import pathlib
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts

from components import example_gen, typed_rows
from components.example_gen import PartitionExampleGen, PartitionExampleGenExecutor, RowsLost
from pipelines.taxi import land
from waybill.launch.landing import CorruptPartition, NotLanded, deliver
from waybill.records.interval import UTC, Interval
from waybill.records.run_spec import Partition
from waybill.records.settings import PROJECT

QUARTER = Interval(dt.datetime(2013, 7, 1, tzinfo=UTC), dt.datetime(2013, 10, 1, tzinfo=UTC))
Rows = list[dict[str, str]]


def test_every_row_is_in_exactly_one_split_with_its_values_and_the_span(tmp_path):
    trips = _trips(300)

    examples = _ingest(tmp_path, trips)

    found = [example for split in ("train", "eval") for example in _read(examples, split)]
    columns = {"fare": float, "tips": float, "trip_seconds": int, "trip_start_timestamp": int, "payment_type": str, "company": str}
    expected = [tuple(_like(trip[name], kind) for name, kind in columns.items()) for trip in trips]
    assert sorted(tuple(_value(example, name) for name in columns) for example in found) == sorted(expected)
    assert {_value(example, "span") for example in found} == {201307010000}
    assert 0.2 < len(_read(examples, "eval")) / len(trips) < 0.47


def test_the_artifact_says_what_readers_and_gates_need(tmp_path):
    partition = _land(tmp_path, _trips(60))

    examples = _run(tmp_path / "out", partition)

    assert artifact_utils.decode_split_names(examples.split_names) == ["train", "eval"]
    assert (examples.span, examples.version) == (201307010000, partition.version)
    assert examples.get_string_custom_property("input_fingerprint") == partition.digest
    assert examples_utils.get_payload_format(examples) == example_gen_pb2.FORMAT_TF_EXAMPLE
    counts = [examples.get_int_custom_property(f"rows_{key}") for key in ("source", "train", "eval")]
    assert counts == [60, len(_read(examples, "train")), len(_read(examples, "eval"))]
    assert sorted(p.relative_to(examples.uri).as_posix() for p in pathlib.Path(examples.uri).rglob("*.gz")) == [
        "Split-eval/data-00000-of-00001.gz",
        "Split-train/data-00000-of-00001.gz",
    ]


def test_an_empty_cell_is_missing_and_a_nan_stays_one(tmp_path):
    trips = _trips(40)
    trips[0] |= {"company": "", "trip_seconds": "", "fare": "NaN"}

    examples = _ingest(tmp_path, trips)

    [first] = [e for e in _all(examples) if math.isnan(_value(e, "fare"))]
    assert [_value(first, name) for name in ("company", "trip_seconds")] == [None, None]


def test_a_row_never_changes_sides_whatever_else_is_in_the_file(tmp_path):
    trips = _trips(120)
    alone = _sides(_ingest(tmp_path / "alone", trips[:60]))
    shuffled = [dict(reversed(trip.items()), added="x") for trip in reversed(trips)]

    among_others = _sides(_ingest(tmp_path / "others", shuffled))

    assert len(alone) > 50
    assert {key: among_others[key] for key in alone} == alone


def test_equal_rows_are_on_the_same_side(tmp_path):
    trips = _trips(40)

    examples = _ingest(tmp_path, trips * 3)

    train, evaluation = ({e.SerializeToString(deterministic=True) for e in _read(examples, split)} for split in ("train", "eval"))
    assert not train & evaluation
    assert len(_all(examples)) == 120


def test_the_side_of_a_row_is_that_of_its_hash_today_and_in_ten_years():
    cells = pa.RecordBatch.from_pydict({"b": pa.array([b"27.05", b""], pa.binary()), "a": pa.array([b"Cash", "Ä".encode()], pa.binary())})
    texts = [b"4\x1f5\x1fCash\x1f27.05", b"2\x1f0\x1f\xc3\x84\x1f"]
    expected = [int.from_bytes(hashlib.sha256(text).digest()[:8], "big") % 3 for text in texts]

    assert typed_rows.buckets(cells, ["a", "b"], 3).tolist() == expected


@given(st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=4)), min_size=1, max_size=5))
def test_a_row_keeps_its_bucket_when_an_empty_column_goes_missing(rows):
    batch = pa.RecordBatch.from_pydict({"a": pa.array([a for a, _ in rows], pa.binary()), "c": pa.array([c for _, c in rows], pa.binary())})
    empty = batch.append_column("b", pa.array([b""] * len(rows), pa.binary()))

    assert typed_rows.buckets(batch, ["a", "b", "c"], 97).tolist() == typed_rows.buckets(empty, ["c", "b", "a"], 97).tolist()


def test_the_same_rows_are_the_same_bytes_in_every_process():
    columns = {f"column_{number}": [number, None, 7 * number] for number in range(18)}
    code = (
        "import json, sys, pyarrow as pa\nfrom components.typed_rows import Encoder\n"
        "rows = pa.RecordBatch.from_pydict({name: pa.array(cells) for name, cells in json.loads(sys.argv[1]).items()})\n"
        "sys.stdout.buffer.write(b''.join(Encoder().encode(rows)))"
    )

    here = b"".join(typed_rows.Encoder().encode(pa.RecordBatch.from_pydict({name: pa.array(cells) for name, cells in columns.items()})))
    command = [sys.executable, "-c", code, json.dumps(columns)]
    elsewhere = subprocess.run(command, cwd=PROJECT, check=True, timeout=300, capture_output=True).stdout

    assert here == elsewhere
    assert len(here) > 18 * len("column_0")


@pytest.mark.parametrize(
    ("column", "cell"), [("trip_seconds", "ten"), ("trip_seconds", "1e99"), ("fare", "12,5"), ("pickup_community_area", "8.0")]
)
def test_a_cell_of_the_wrong_type_makes_its_column_bytes_and_loses_no_row(tmp_path, column, cell):
    trips = _trips(50)
    trips[-1][column] = cell

    examples = _all(_ingest(tmp_path, trips))

    assert len(examples) == 50
    assert {e.features.feature[column].WhichOneof("kind") for e in examples if _value(e, column) is not None} == {"bytes_list"}
    assert cell in {_value(e, column) for e in examples}
    assert {e.features.feature["tips"].WhichOneof("kind") for e in examples} == {"float_list"}


def test_wrong_cells_in_different_batches_are_all_found(tmp_path, monkeypatch):
    monkeypatch.setattr("components.landed_rows._BLOCK", 4096)
    trips = _trips(200)
    trips[0]["fare"], trips[-1]["tips"] = "x", "y"

    examples = _all(_ingest(tmp_path, trips))

    assert len(examples) == 200
    assert {e.features.feature[name].WhichOneof("kind") for e in examples for name in ("fare", "tips")} == {"bytes_list"}


def test_text_that_is_no_utf8_is_kept_as_it_is(tmp_path):
    text = _csv(_trips(30)).replace(b"Cash", b"C\xe4sh")
    partition = deliver(tmp_path, "taxi", QUARTER, {"data.csv": text}, 30)

    payments = {e.features.feature["payment_type"].bytes_list.value[0] for e in _all(_run(tmp_path / "out", partition))}

    assert b"C\xe4sh" in payments


def test_quoted_commas_and_line_breaks_are_part_of_a_cell(tmp_path):
    trips = _trips(10)
    trips[3]["company"] = 'Cab, "Yellow"\nInc.'

    assert 'Cab, "Yellow"\nInc.' in {_value(e, "company") for e in _all(_ingest(tmp_path, trips))}


def test_several_files_with_columns_in_another_order_are_one_partition(tmp_path):
    trips = _trips(40)
    files = {"a.csv": _csv(trips[:25]), "b.csv": _csv([dict(reversed(trip.items())) for trip in trips[25:]])}
    partition = deliver(tmp_path, "taxi", QUARTER, files, {"a.csv": 25, "b.csv": 15})

    assert _sides(_run(tmp_path / "out", partition)) == _sides(_ingest(tmp_path / "one", trips))


def test_rows_in_parquet_are_the_rows_in_csv(tmp_path):
    trips = _trips(40)
    table = pa.table({name: [trip[name].encode() for trip in trips] for name in trips[0]})
    table = table.set_column(
        table.schema.get_field_index("trip_start_hour"), "trip_start_hour", pa.array([int(t["trip_start_hour"]) for t in trips])
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    partition = deliver(tmp_path, "taxi", QUARTER, {"data.parquet": buffer.getvalue()}, 40)

    assert _sides(_run(tmp_path / "out", partition)) == _sides(_ingest(tmp_path / "one", trips))


def test_parquet_that_is_damaged_or_not_what_was_delivered_stops_the_node(tmp_path):
    partition = deliver(tmp_path, "taxi", QUARTER, {"data.parquet": b"PAR1 and no more"}, 2)
    with pytest.raises(CorruptPartition, match="cannot be read as Parquet"):
        _run(tmp_path / "out", partition)

    pathlib.Path(partition.path, "data.parquet").write_bytes(b"PAR1 and something else")
    with pytest.raises(CorruptPartition, match=r"data\.parquet has other bytes"):
        _run(tmp_path / "again", partition)


def test_a_column_that_is_missing_or_unknown_is_left_to_validation(tmp_path):
    trips = [{name: cell for name, cell in trip.items() if name != "fare"} | {"surge": "1.5"} for trip in _trips(20)]

    examples = _all(_ingest(tmp_path, trips))

    assert all("fare" not in e.features.feature and _value(e, "surge") == "1.5" for e in examples)


def test_bytes_changed_since_the_run_was_frozen_stop_the_node(tmp_path):
    partition = _land(tmp_path, _trips(30))
    path = pathlib.Path(partition.path, "data.csv")
    path.write_bytes(path.read_bytes().replace(b"Cash", b"Card"))

    with pytest.raises(CorruptPartition, match=r"data\.csv has other bytes"):
        _run(tmp_path / "out", partition)


def test_another_delivery_since_the_run_was_frozen_stops_the_node(tmp_path):
    partition = _land(tmp_path, _trips(30))
    deliver(tmp_path, "taxi", QUARTER, {"data.csv": _csv(_trips(31))}, 31, replace=True)

    with pytest.raises(CorruptPartition, match="not the one this run was frozen with"):
        _run(tmp_path / "out", partition)


def test_a_partition_that_is_gone_stops_the_node(tmp_path):
    partition = _land(tmp_path, _trips(30))
    pathlib.Path(partition.path).rename(tmp_path / "away")

    with pytest.raises(NotLanded):
        _run(tmp_path / "out", partition)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"fare,tips\n1,2\n3\n", "cannot be read as CSV"),
        (b"fare,fare\n1,2\n3,4\n", "expected each once"),
        (b"fare,\n1,2\n3,4\n", "none unnamed"),
        (b"fare,span\n1,2\n3,4\n", "none 'span'"),
        (b"fare,tips\n1,2\n", "has 1 rows and its manifest says 2"),
        (b"", "cannot be read as CSV"),
        (b"\xff\xfe,tips\n1,2\n3,4\n", "header"),
    ],
)
def test_a_file_that_is_no_table_is_a_corrupt_partition(tmp_path, text, says):
    partition = deliver(tmp_path, "taxi", QUARTER, {"data.csv": text}, 2)

    with pytest.raises(CorruptPartition, match=says):
        _run(tmp_path / "out", partition)


def test_rows_that_get_lost_on_the_way_stop_the_node(tmp_path, monkeypatch):
    partition = _land(tmp_path, _trips(30))
    encode = typed_rows.Encoder.encode
    monkeypatch.setattr(typed_rows.Encoder, "encode", lambda self, batch: encode(self, batch)[:-1])
    monkeypatch.setattr(example_gen, "zip", lambda *iterables, strict: zip(*iterables, strict=False), raising=False)

    with pytest.raises(RowsLost, match="30 rows landed and 29 were written"):
        _run(tmp_path / "out", partition)


def test_a_split_that_would_never_get_a_row_is_refused():
    with pytest.raises(ValueError, match="expected at least 1"):
        PartitionExampleGen(None, path="/p", partition_digest="d", span=1, version=1, buckets=3, eval_buckets=3)


def _trips(count: int) -> Rows:
    with land.source().open(newline="") as handle:
        reader = csv.DictReader(handle)
        return [trip for trip, _ in zip(reader, range(count), strict=False)]


def _csv(trips: Rows) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(trips[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(trips)
    return text.getvalue().encode()


def _land(root: pathlib.Path, trips: Rows) -> Partition:
    return deliver(root, "taxi", QUARTER, {"data.csv": _csv(trips)}, len(trips))


def _ingest(root: pathlib.Path, trips: Rows) -> standard_artifacts.Examples:
    return _run(root / "out", _land(root, trips))


def _run(root: pathlib.Path, partition: Partition) -> standard_artifacts.Examples:
    schema, examples = standard_artifacts.Schema(), standard_artifacts.Examples()
    schema.uri, examples.uri = str(root / "schema"), str(root / "examples")
    (root / "schema").mkdir(parents=True)
    (root / "schema" / "schema.pbtxt").write_text((PROJECT / "schemas/taxi.pbtxt").read_text())
    properties = {
        "path": partition.path,
        "partition_digest": partition.digest,
        "span": partition.interval.span,
        "version": partition.version,
    }
    PartitionExampleGenExecutor().Do({"schema": [schema]}, {"examples": [examples]}, {**properties, "buckets": 3, "eval_buckets": 1})
    return examples


def _read(examples: standard_artifacts.Examples, split: str) -> list[tf.train.Example]:
    files = tf.io.gfile.glob(f"{examples.uri}/Split-{split}/*")
    return [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(files, compression_type="GZIP")]


def _all(examples: standard_artifacts.Examples) -> list[tf.train.Example]:
    return _read(examples, "train") + _read(examples, "eval")


def _sides(examples: standard_artifacts.Examples) -> dict[tuple, str]:
    names = ("trip_start_timestamp", "fare", "trip_seconds", "tips", "company")
    return {tuple(str(_value(e, name)) for name in names): split for split in ("train", "eval") for e in _read(examples, split)}


def _value(example: tf.train.Example, name: str):
    feature = example.features.feature[name]
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else [None]
    return values[0].decode(errors="replace") if kind == "bytes_list" else values[0]


def _like(cell: str, kind: type):
    if cell == "":
        return None
    return tf.constant(float(cell), tf.float32).numpy().item() if kind is float else kind(cell)
