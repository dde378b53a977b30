"""Partitions: delivered whole or not at all, read byte by byte, and three clear ways to be unusable."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import os
import pathlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.taxi import land
from waybill.launch import landing
from waybill.launch.landing import AlreadyLanded, CorruptPartition, EmptyPartition, LandingArea, LandingError, NotLanded, deliver
from waybill.launch.manifest import Manifest
from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.records.interval import UTC, Interval

QUARTER = Interval(dt.datetime(2013, 7, 1, tzinfo=UTC), dt.datetime(2013, 10, 1, tzinfo=UTC))
TRIPS = b"fare,tips\n27.05,0\n5.85,2\n"


def test_a_delivered_partition_is_read_back_with_its_rows_and_digest(tmp_path):
    delivered = deliver(tmp_path, "taxi", QUARTER, {"data.csv": TRIPS}, 2)

    found = LandingArea(tmp_path, "taxi").partition(QUARTER)

    assert found == delivered
    assert (found.rows, found.path) == (2, str(tmp_path / "taxi" / "2013-07-01"))
    assert pathlib.Path(found.path, "data.csv").read_bytes() == TRIPS


def test_a_partition_that_starts_within_a_day_has_a_name_without_colons(tmp_path):
    hour = Interval(dt.datetime(2013, 7, 1, 6, 30, tzinfo=UTC), dt.datetime(2013, 7, 1, 7, 30, tzinfo=UTC))

    assert pathlib.Path(deliver(tmp_path, "taxi", hour, {"data.csv": TRIPS}, 2).path).name == "2013-07-01T06-30"


def test_the_digest_depends_on_content_and_not_on_the_manifests_layout_or_place(tmp_path):
    one = deliver(tmp_path / "a", "taxi", QUARTER, {"b.csv": TRIPS, "a.csv": TRIPS}, {"b.csv": 2, "a.csv": 2})
    manifest = pathlib.Path(one.path, "manifest.json")
    value = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(dict(value, files=value["files"][::-1])))

    other = deliver(tmp_path / "b", "taxi", QUARTER, {"a.csv": TRIPS, "b.csv": TRIPS}, {"a.csv": 2, "b.csv": 2})
    more_rows = deliver(tmp_path / "c", "taxi", QUARTER, {"a.csv": TRIPS, "b.csv": TRIPS}, {"a.csv": 2, "b.csv": 3})

    assert LandingArea(tmp_path / "a", "taxi").partition(QUARTER).digest == one.digest == other.digest
    assert more_rows.digest != one.digest


def test_what_has_not_landed_says_where_it_is_expected(tmp_path):
    with pytest.raises(NotLanded, match="2013-07-01"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


@pytest.mark.parametrize("held", [[], ["data.csv"], ["_SUCCESS", "data.csv"]])
def test_a_folder_without_a_manifest_is_an_empty_partition(tmp_path, held):
    folder = tmp_path / "taxi" / "2013-07-01"
    folder.mkdir(parents=True)
    for name in held:
        (folder / name).write_bytes(TRIPS)

    with pytest.raises(EmptyPartition, match=r"no manifest\.json"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


@pytest.mark.parametrize("files", [[], [{"name": "data.csv", "digest": digest.of_bytes(b"fare\n"), "rows": 0}]])
def test_a_manifest_without_rows_is_an_empty_partition(tmp_path, files):
    folder = _delivered(tmp_path)
    (folder / "manifest.json").write_text(json.dumps({"interval": QUARTER.to_json(), "files": files, "rows": 0}))

    with pytest.raises(EmptyPartition, match="no rows"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


def test_changed_bytes_are_named_with_both_digests(tmp_path):
    folder = _delivered(tmp_path)
    changed = TRIPS.replace(b"27.05", b"27.06")
    (folder / "data.csv").write_bytes(changed)

    with pytest.raises(CorruptPartition) as error:
        LandingArea(tmp_path, "taxi").partition(QUARTER)

    assert all(part in str(error.value) for part in ("data.csv", digest.of_bytes(TRIPS), digest.of_bytes(changed), "deliver it again"))


def test_a_missing_file_and_an_extra_file_are_named(tmp_path):
    folder = _delivered(tmp_path)
    (folder / "more.csv").write_bytes(TRIPS)
    with pytest.raises(CorruptPartition, match=r"more\.csv is not in its manifest"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)

    (folder / "more.csv").rename(tmp_path / "elsewhere.csv")
    (folder / "data.csv").unlink()
    with pytest.raises(CorruptPartition, match=r"data\.csv is missing"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path):
    folder = _delivered(tmp_path)
    (folder / "data.csv").rename(tmp_path / "elsewhere.csv")
    (folder / "data.csv").symlink_to(tmp_path / "elsewhere.csv")

    with pytest.raises(CorruptPartition, match="no plain file"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


def test_a_manifest_of_another_interval_is_refused(tmp_path):
    other = Interval(dt.datetime(2013, 4, 1, tzinfo=UTC), QUARTER.start)
    folder = pathlib.Path(deliver(tmp_path, "taxi", other, {"data.csv": TRIPS}, 2).path)
    folder.rename(folder.with_name("2013-07-01"))

    with pytest.raises(CorruptPartition, match="is for the interval 2013-04-01"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


@pytest.mark.parametrize(
    "name", ["../x.csv", "/etc/x.csv", "a/b.csv", "..", "", ".hidden.csv", "data.csv\n", "x.txt", "manifest.json", "a\x00.csv", 7, None]
)
def test_a_hostile_name_in_a_manifest_is_never_opened(tmp_path, name):
    folder = _delivered(tmp_path)
    _edit(folder, lambda value: value["files"][0].update(name=name))

    with pytest.raises(CorruptPartition, match="expected a plain name"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', "[" * 100_000, '{"files": 3}', "\x00", json.dumps({"interval": {}, "files": [], "rows": 1})]
)
def test_a_damaged_manifest_is_a_corrupt_partition(tmp_path, text):
    (_delivered(tmp_path) / "manifest.json").write_text(text)

    with pytest.raises(CorruptPartition, match=r"manifest\.json is not one"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


@pytest.mark.parametrize(
    "edit",
    [
        lambda value: value.update(rows=3),
        lambda value: value.update(rows=True),
        lambda value: value["files"][0].update(rows=-1),
        lambda value: value["files"][0].update(rows=2.0),
        lambda value: value["files"][0].update(digest="sha256:0"),
        lambda value: value["files"][0].update(digest=3),
        lambda value: value["files"][0].update(more=1),
        lambda value: value["files"].append(value["files"][0]),
        lambda value: value["interval"].update(start="yesterday"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_a_corrupt_partition(tmp_path, edit):
    folder = _delivered(tmp_path)
    _edit(folder, edit)

    with pytest.raises(CorruptPartition, match=r"manifest\.json is not one"):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


@given(st.binary(max_size=200))
def test_no_manifest_makes_reading_fail_otherwise_than_by_its_own_error(raw):
    try:
        Manifest.from_text(raw.decode("utf-8", errors="replace"))
    except RecordError:
        return
    raise AssertionError("random bytes were taken for a manifest")


def test_verify_notices_another_delivery(tmp_path):
    area, first = LandingArea(tmp_path, "taxi"), deliver(tmp_path, "taxi", QUARTER, {"data.csv": TRIPS}, 2)
    area.verify(first)
    second = deliver(tmp_path, "taxi", QUARTER, {"data.csv": TRIPS + b"1,1\n"}, 3, replace=True)

    with pytest.raises(CorruptPartition) as error:
        area.verify(first)

    assert first.digest in str(error.value)
    assert second.digest in str(error.value)


def test_delivering_the_same_again_leaves_the_partition_untouched(tmp_path):
    folder = _delivered(tmp_path)
    before = (folder / "data.csv").stat()

    deliver(tmp_path, "taxi", QUARTER, {"data.csv": TRIPS}, 2)

    assert (folder / "data.csv").stat() == before


def test_other_content_is_refused_unless_it_corrects_the_first(tmp_path):
    folder = _delivered(tmp_path)
    with pytest.raises(AlreadyLanded, match="replace=True"):
        deliver(tmp_path, "taxi", QUARTER, {"data.csv": b"fare\n1\n"}, 1)
    assert (folder / "data.csv").read_bytes() == TRIPS

    corrected = deliver(tmp_path, "taxi", QUARTER, {"other.csv": b"fare\n1\n"}, 1, replace=True)

    assert LandingArea(tmp_path, "taxi").partition(QUARTER) == corrected
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "other.csv"]
    assert sorted(path.name for path in folder.parent.iterdir()) == [".deliver.lock", "2013-07-01"]


def test_a_damaged_partition_is_mended_by_a_corrected_delivery(tmp_path):
    (_delivered(tmp_path) / "data.csv").write_bytes(b"")

    deliver(tmp_path, "taxi", QUARTER, {"data.csv": TRIPS}, 2, replace=True)

    assert LandingArea(tmp_path, "taxi").partition(QUARTER).rows == 2


def test_a_delivery_that_dies_leaves_nothing_that_can_be_read_and_the_next_one_sweeps_it_up(tmp_path, monkeypatch):
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(landing, "_place", die)
    monkeypatch.setattr(landing.shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(KeyboardInterrupt):
        _delivered(tmp_path)
    assert any(path.name.startswith(".staging-") for path in (tmp_path / "taxi").iterdir())
    with pytest.raises(NotLanded):
        LandingArea(tmp_path, "taxi").partition(QUARTER)
    monkeypatch.undo()

    _delivered(tmp_path)

    assert sorted(path.name for path in (tmp_path / "taxi").iterdir()) == [".deliver.lock", "2013-07-01"]


def test_a_reader_sees_one_delivery_or_the_other_while_they_are_swapped(tmp_path):
    versions = [{"data.csv": TRIPS}, {"data.csv": TRIPS + b"1,1\n", "more.csv": TRIPS}]
    known = {deliver(tmp_path, "taxi", QUARTER, files, dict.fromkeys(files, 2), replace=True).digest for files in versions}
    done = threading.Event()

    def swap() -> None:
        for turn in range(60):
            files = versions[turn % 2]
            deliver(tmp_path, "taxi", QUARTER, files, dict.fromkeys(files, 2), replace=True)
        done.set()

    thread = threading.Thread(target=swap)
    thread.start()
    seen = []
    while not done.is_set():
        seen.append(LandingArea(tmp_path, "taxi").partition(QUARTER).digest)
    thread.join()

    assert set(seen) <= known
    assert seen


def test_where_the_file_system_cannot_swap_the_correction_is_delivered_all_the_same(tmp_path, monkeypatch):
    folder = _delivered(tmp_path)
    monkeypatch.setattr(landing.ctypes, "CDLL", lambda *_, **__: object())

    deliver(tmp_path, "taxi", QUARTER, {"data.csv": b"fare\n1\n"}, 1, replace=True)

    assert (folder / "data.csv").read_bytes() == b"fare\n1\n"
    assert sorted(path.name for path in folder.parent.iterdir()) == [".deliver.lock", "2013-07-01"]


def test_nothing_to_deliver_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(EmptyPartition):
        deliver(tmp_path, "taxi", QUARTER, {"data.csv": b"fare\n"}, 0)
    with pytest.raises(RecordError, match="one for each file"):
        deliver(tmp_path, "taxi", QUARTER, {"a.csv": TRIPS, "b.csv": TRIPS}, 2)
    with pytest.raises(RecordError, match="expected a plain name"):
        deliver(tmp_path, "taxi", QUARTER, {"../x.csv": TRIPS}, 2)

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".deliver.lock"]


def test_a_file_can_be_delivered_from_where_it_is(tmp_path):
    source = tmp_path / "upstream"
    source.write_bytes(TRIPS)

    assert deliver(tmp_path, "taxi", QUARTER, {"data.csv": source}, 2).rows == 2
    assert source.read_bytes() == TRIPS


def test_a_partition_that_cannot_be_read_is_no_statement_about_its_content(tmp_path):
    folder = _delivered(tmp_path)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (folder / "data.csv").chmod(0)

    with pytest.raises(PermissionError):
        LandingArea(tmp_path, "taxi").partition(QUARTER)


def test_the_real_trips_land_by_quarter_with_no_row_lost_or_misplaced(tmp_path):
    landed = land.land(tmp_path)

    with land.source().open(newline="") as handle:
        expected = sorted(tuple(row) for row in csv.reader(handle))[:-1]
    assert (len(landed), sum(rows for _, rows in landed)) == (16, 15002)
    assert (landed[0][0].label, landed[-1][0].label) == ("2013-01-01", "2016-10-01")
    found = []
    for interval, rows in landed:
        partition = LandingArea(tmp_path, "taxi").partition(interval)
        text = pathlib.Path(partition.path, "data.csv").read_text()
        quarter = list(csv.DictReader(io.StringIO(text)))
        starts = [dt.datetime.fromtimestamp(int(trip["trip_start_timestamp"]), UTC) for trip in quarter]
        assert all(interval.start <= start < interval.end for start in starts)
        assert rows == len(quarter) == partition.rows
        found += [tuple(trip.values()) for trip in quarter]
    assert sorted(found) == expected
    assert land.land(tmp_path) == landed


def test_every_way_to_be_unusable_tells_where():
    assert all(issubclass(kind, LandingError) for kind in (NotLanded, EmptyPartition, CorruptPartition, AlreadyLanded))


def _delivered(root: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(deliver(root, "taxi", QUARTER, {"data.csv": TRIPS}, 2).path)


def _edit(folder: pathlib.Path, edit) -> None:
    value = json.loads((folder / "manifest.json").read_text())
    edit(value)
    (folder / "manifest.json").write_text(json.dumps(value))
