"""`waybill schema`: what differs is told column by column, what would change is shown, and nothing is written unless it was asked for."""

from __future__ import annotations

import pathlib

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from waybill.cli import load
from waybill.cli.main import main
from waybill.launch.landing import deliver
from waybill.records import settings
from waybill.records.errors import RecordError
from waybill.scaffold import schema_text, table

CURATED = """\
# What an order is.
default_environment: "TRAINING"
default_environment: "SERVING"

# In euros.
feature {
  name: "amount"
  type: FLOAT  # cents after the point
  presence { min_fraction: 1.0 min_count: 1 }
  value_count { min: 1 max: 1 }
}
# How it was paid, { cash or not }.
feature {
  name: "paid"
  type: BYTES
  presence { min_fraction: 1.0 min_count: 1 }
  value_count { min: 1 max: 1 }
  domain: "paid"
}
feature { name: "span" type: INT }

# All there are.
string_domain {
  name: "paid"
  value: "card"
}
# The end.
"""
GOOD = b"amount,paid\n" + b"1.5,card\n" * 20
NEW = b"amount,paid,shop\n" + b"1.5,card,a\n" * 15 + b",cash,b\n" * 5


@pytest.fixture
def curated(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The file of a curated schema, of a pipeline with two landed months, the second of which does not fit."""
    path = tmp_path / "schemas/orders.pbtxt"
    path.parent.mkdir()
    path.write_text(CURATED)
    orders = table.settings_for("orders", "0 0 1 * *", "2024-01-01")
    object.__setattr__(orders, "schema", "schemas/orders.pbtxt")
    monkeypatch.setattr(settings, "PROJECT", tmp_path)
    monkeypatch.setattr(load, "settings_of", lambda name: orders)
    monkeypatch.setattr(load, "names", lambda: ["orders"])
    monkeypatch.setenv("WAYBILL_LANDING", str(tmp_path / "landing"))
    for start, content in (("2024-01-01", GOOD), ("2024-02-01", NEW)):
        deliver(tmp_path / "landing", "orders", interval(orders, start), {"data.csv": content}, 20)
    return path


def interval(orders: settings.Any, start: str) -> settings.Any:
    from waybill.launch.window import interval_from
    from waybill.records.interval import parse_moment

    return interval_from(orders, parse_moment(start))


def test_what_differs_is_told_with_what_the_schema_says_what_was_found_and_what_to_do(
    curated: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "diff", "orders", "--interval", "2024-01-01"]) == 0
    assert "1 partitions, 0 differences" in capsys.readouterr().out
    assert main(["schema", "diff", "orders"]) == 1
    said = capsys.readouterr().out
    assert "2024-02-01  amount: The feature was present in fewer examples" in said
    assert "missing in 5 of 20 (25.0 %) rows" in said and "lower presence.min_fraction" in said
    assert "2024-02-01  paid: " in said and "'cash' in 5 of 20 (25.0 %) values" in said and "one of 'card'" in said
    assert "2024-02-01  shop: New column" in said
    assert "2024-01-01" not in said
    assert curated.read_text() == CURATED


def test_an_update_is_shown_and_written_on_demand_only_with_order_and_comments_kept(
    curated: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "update", "orders"]) == 0
    said = capsys.readouterr().out
    assert '+  value: "cash"' in said and "Nothing is written" in said
    assert "would be lost: # cents after the point" in said
    assert curated.read_text() == CURATED

    assert main(["schema", "update", "orders", "--write"]) == 0

    changed = curated.read_text()
    remarks = [line for line in CURATED.splitlines() if line.startswith("#")]
    assert [line for line in changed.splitlines() if line.startswith("#")] == remarks
    names = [feature.name for feature in text_format.Parse(changed, schema_pb2.Schema()).feature]
    assert names == ["amount", "paid", "span", "shop"]
    assert "min_fraction: 0.37" in changed, "half as often as was found"
    capsys.readouterr()
    assert main(["schema", "diff", "orders"]) == 0
    assert main(["schema", "update", "orders"]) == 0
    assert "nothing to change" in capsys.readouterr().out


def test_a_schema_is_inferred_of_a_folder_and_of_what_has_landed(
    curated: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["schema", "infer", "orders"]) == 0
    of_landed = text_format.Parse(capsys.readouterr().out, schema_pb2.Schema())
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/2024-01.csv").write_bytes(GOOD)
    assert main(["schema", "infer", str(tmp_path / "tables")]) == 0
    of_folder = text_format.Parse(capsys.readouterr().out, schema_pb2.Schema())
    assert [feature.name for feature in of_landed.feature] == ["amount", "paid", "shop", "span"]
    assert [feature.name for feature in of_folder.feature] == ["amount", "paid", "span"]
    assert {domain.name: list(domain.value) for domain in of_landed.string_domain}["paid"] == ["card", "cash"]


def test_a_change_that_is_no_features_or_domains_is_left_to_people() -> None:
    wanted = text_format.Parse(CURATED, schema_pb2.Schema())
    assert schema_text.changed(CURATED, wanted) == (CURATED, ())
    wanted.default_environment.append("OTHER")
    with pytest.raises(RecordError, match="change it by hand"):
        schema_text.changed(CURATED, wanted)


def test_a_pipeline_for_which_nothing_has_landed_is_told_how(
    curated: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAYBILL_LANDING", str(tmp_path / "elsewhere"))
    assert main(["schema", "diff", "orders"]) == 2
    assert "waybill land orders --from FOLDER" in capsys.readouterr().err
