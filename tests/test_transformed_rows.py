"""Records in gzipped TFRecords, and whether they are as many as ingestion wrote."""

from __future__ import annotations

import pathlib

import pytest
import tensorflow as tf

from waybill.gates import tfrecords, transformed_rows
from waybill.gates.errors import EvidenceError
from waybill.records.verdict import RuleOutcome


def test_records_are_counted_over_all_files_whatever_their_size(tmp_path):
    write(tmp_path / "a.gz", [b"", b"x", b"y" * 3_000_000])
    write(tmp_path / "b.gz", [b"z" * 12] * 1000)
    write(tmp_path / "c.gz", [])
    assert tfrecords.count(tmp_path) == 1003


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_file_that_was_cut_off_is_an_error_and_no_count(tmp_path, kept):
    path = write(tmp_path / "a.gz", [str(n).encode() * 50 for n in range(1000)])
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(EvidenceError, match=r"a\.gz.*make them again"):
        tfrecords.count(tmp_path)


def test_a_file_whose_last_record_is_short_is_an_error(tmp_path):
    import gzip

    path = write(tmp_path / "a.gz", [b"whole", b"cut off"])
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-3]))
    with pytest.raises(EvidenceError, match="is cut off"):
        tfrecords.count(tmp_path)


def test_what_is_no_gzip_and_what_is_not_there_are_errors(tmp_path):
    (tmp_path / "a.gz").write_bytes(b"name,fare\n")
    with pytest.raises(EvidenceError, match="cannot count"):
        tfrecords.count(tmp_path)
    with pytest.raises(EvidenceError, match="there is no folder"):
        tfrecords.count(tmp_path / "nowhere")


def test_transformed_rows_are_summed_over_artifacts_and_compared_split_by_split(tmp_path):
    for folder, rows in (("0/Split-train", 4), ("0/Split-eval", 2), ("1/Split-train", 3), ("1/Split-eval", 1)):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder / "data.gz", [b"row"] * rows)
    counted = transformed_rows.count((tmp_path / number, ["train", "eval"]) for number in "01")
    assert counted == {"train": 7, "eval": 3}
    good = transformed_rows.judge([{"train": 4, "eval": 2}, {"train": 3, "eval": 1}], counted)
    assert good.outcome is RuleOutcome.PASS
    assert good.expected == "the 10 rows (eval 3, train 7) that ingestion wrote for 2 spans"
    moved = transformed_rows.judge([{"train": 4, "eval": 2}, {"train": 2, "eval": 2}], counted)
    assert (moved.outcome, moved.found) == (RuleOutcome.BLOCK, "10 rows (eval 3, train 7)")


def test_a_split_that_was_not_to_be_transformed_is_no_loss_and_one_that_nobody_wrote_is_wrong():
    written = [{"train": 4, "eval": 2}]
    assert transformed_rows.judge(written, {"train": 4}).outcome is RuleOutcome.PASS
    assert transformed_rows.judge(written, {"train": 4, "test": 2}).outcome is RuleOutcome.BLOCK
    assert transformed_rows.judge(written, {}).outcome is RuleOutcome.BLOCK


@pytest.mark.parametrize(("written", "transformed"), [([], {"train": 4}), ([{"train": 4}], None), ([{"train": 4}, {}], {"train": 4})])
def test_what_was_not_counted_is_not_judged(written, transformed):
    assert transformed_rows.judge(written, transformed).outcome is RuleOutcome.NOT_JUDGED


def write(path: pathlib.Path, records: list[bytes]) -> pathlib.Path:
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for record in records:
            writer.write(record)
    return path
