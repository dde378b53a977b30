"""Images in a landed partition: what is measured of each, and Parquet, in which they land."""

from __future__ import annotations

import datetime as dt
import io
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components import images, landed_parquet, serving_sample, typed_rows
from pipelines.digits.features import ink
from pipelines.digits.land import grey, png
from waybill.gates import data_words, report_data
from waybill.launch.landing import deliver
from waybill.records.interval import UTC, Interval
from waybill.records.settings import PROJECT

WIDE = png([[0, 50, 100, 200, 255]] * 3)
CHECKSUM = WIDE[:-20] + bytes([WIDE[-20] ^ 1]) + WIDE[-19:]  # a bit of the pixels' checksum


def measured(*cells: bytes) -> dict[str, list]:
    batch = pa.RecordBatch.from_pydict({"picture": pa.array(cells, pa.binary()), "other": pa.array([b"1"] * len(cells), pa.binary())})
    return {name: column.to_pylist() for name, column in images.measured(batch, ("picture", "absent")).items()}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (WIDE, (b"PNG", 5, 3)),
        (WIDE[:60], (b"undecodable", None, None)),
        (CHECKSUM, (b"undecodable", None, None)),
        (b"\x89PNG\r\n\x1a\n", (b"undecodable", None, None)),
        (b"no picture at all", (b"undecodable", None, None)),
        (b"", (None, None, None)),
    ],
)
def test_format_and_size_of_each_image_are_measured(cell: bytes, expected: tuple) -> None:
    found = measured(WIDE, cell)
    assert tuple(found) == images.added(["picture"]) == ("picture_format", "picture_width", "picture_height")
    assert [values[0] for values in found.values()] == [b"PNG", 5, 3]
    assert tuple(values[1] for values in found.values()) == expected


def test_a_jpeg_is_measured_too() -> None:
    jpeg = tf.io.encode_jpeg(tf.zeros([7, 9, 3], tf.uint8)).numpy()
    assert [values[0] for values in measured(jpeg).values()] == [b"JPEG", 9, 7]


def test_columns_of_images_are_those_that_the_schema_says_are() -> None:
    schema = text_format.Parse(
        'feature { name: "a" type: BYTES image_domain {} } feature { name: "b" type: BYTES } feature { name: "c" type: INT }',
        schema_pb2.Schema(),
    )
    assert images.columns(schema) == ("a",)


def test_the_ink_of_a_drawing_is_what_it_was_made_of_and_larger_pictures_are_averaged() -> None:
    strengths = [[(row * 8 + column) % 17 for column in range(8)] for row in range(8)]
    lines = [[grey(strength) for strength in line] for line in strengths]
    large = [[shade for shade in line for _ in range(3)] for line in lines for _ in range(3)]

    found = ink(tf.constant([[png(lines)], [png(large)]])).numpy()

    assert found.shape == (2, 8, 8, 1)
    for image in found[..., 0]:
        assert abs(image * 16 - strengths).max() < 0.04


# Parquet.


def parquet(**columns: pa.Array) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_cells_of_parquet_are_those_that_csv_would_hold() -> None:
    content = parquet(
        number=pa.array([12.6, None, float("nan"), 1e300]),
        whole=pa.array([1, -7, None, 2**62]),
        text=pa.array(["red", "", None, "blue"]).dictionary_encode(),
        picture=pa.array([WIDE, b"", None, b"\xff"], pa.binary()),
    )
    [batch] = landed_parquet.batches(content)
    assert batch.to_pydict() == {
        "number": [b"12.6", b"", b"nan", b"1e+300"],
        "whole": [b"1", b"-7", b"", str(2**62).encode()],
        "text": [b"red", b"", b"", b"blue"],
        "picture": [WIDE, b"", b"", b"\xff"],
    }
    assert landed_parquet.names(content) == ["number", "whole", "text", "picture"]


def test_a_number_comes_out_of_parquet_as_it_went_in() -> None:
    numbers = [0.1, 1 / 3, -2.5e-7, 123456.789]
    [batch] = landed_parquet.batches(parquet(n=pa.array(numbers)))
    schema = text_format.Parse('feature { name: "n" type: FLOAT }', schema_pb2.Schema())
    assert typed_rows.typed(batch, schema, ()).column("n").to_pylist() == pa.array(numbers, pa.float32()).to_pylist()


def test_what_is_no_cell_and_what_is_no_parquet_are_refused() -> None:
    with pytest.raises(landed_parquet.NoCells, match="column many holds list"):
        list(landed_parquet.batches(parquet(many=pa.array([[1, 2], [3]]))))
    for content in (b"", b"a,b\n1,2\n", parquet(n=pa.array([1]))[:-9]):
        with pytest.raises(pa.ArrowInvalid):
            landed_parquet.names(content)


# What gates say of them.


def test_a_sample_of_what_was_asked_is_measured_too(tmp_path: pathlib.Path) -> None:
    small, large = png([[0] * 8] * 8), png([[0] * 30] * 20)
    interval = Interval(dt.datetime(2013, 9, 1, tzinfo=UTC), dt.datetime(2013, 10, 1, tzinfo=UTC))
    content = parquet(drawing=pa.array([small, large, large, large[:70]], pa.binary()))
    landed = deliver(tmp_path, "digits.serving", interval, {"asked.parquet": content}, 4)
    schema = text_format.Parse((PROJECT / "schemas/digits.pbtxt").read_text(), schema_pb2.Schema())

    spreads = serving_sample.read(pathlib.Path(landed.path), landed.digest, schema).spreads

    assert spreads["drawing_format"].values == {"PNG": 0.75, "undecodable": 0.25}
    assert spreads["drawing_width"].missing == 0.25


def test_a_gate_knows_how_many_images_there_are_and_how_large() -> None:
    stats = text_format.Parse(
        'path { step: "picture" } type: BYTES bytes_stats { common_stats { num_non_missing: 9 num_missing: 1 tot_num_values: 9 } '
        "min_num_bytes: 90 avg_num_bytes: 99.5 max_num_bytes: 120 }",
        statistics_pb2.FeatureNameStatistics(),
    )
    assert data_words.facts(stats) == ("stored as BYTES", "missing in 1 of 10 (10.0 %) rows", "of 90 to 120 bytes")
    split = report_data.Split(10, {"picture": stats})
    drawn = report_data._feature("picture", split, split, schema_pb2.Schema(), "split train")
    assert not drawn.problem
    assert drawn.rows[:3] == (("values", "9", "9"), ("missing", "1", "1"), ("smallest, in bytes", "90", "90"))
