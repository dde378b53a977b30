"""The digits pipeline on the real drawings: what is good is promoted, what is bad stops at the right place and says why."""

from __future__ import annotations

import base64
import html
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable

import digits_data
import pytest
from harness import Installation, apart, install

from pipelines.digits.pipeline import create_pipeline
from pipelines.digits.policy import PREDICTION
from pipelines.digits.settings import SETTINGS
from waybill.cli import serve_address
from waybill.records import verdict_file
from waybill.records.node import NodeResult, Outcome
from waybill.records.verdict import Rule, RuleOutcome

pytestmark = pytest.mark.end_to_end

FIRST, SECOND = "2013-09-01", "2013-10-01"


def fresh(folder: pathlib.Path) -> Installation:
    folder.mkdir(exist_ok=True)
    return install(folder, SETTINGS, create_pipeline, {"window": 2})


def land(digits: Installation, start: str, spoil: Callable[[digits_data.Rows], digits_data.Rows] = list) -> None:
    content, rows = digits_data.partition(start, spoil)
    digits.land(start, content, name="data.parquet", rows=rows)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, dict[str, NodeResult]]:
    """A run by the schedule over the first two months."""
    digits = fresh(tmp_path_factory.mktemp("good"))
    for start in (FIRST, SECOND):
        land(digits, start)
    return digits, {result.node: result for result in digits.run(digits.freeze(SECOND, kind="scheduled"))}


def rules(result: NodeResult) -> list[Rule]:
    return list(verdict_file.read(pathlib.Path(result.outputs["verdict"][0].uri), result.node).rules)


def page(result: NodeResult) -> str:
    return pathlib.Path(result.outputs["verdict"][0].uri, "report.html").read_text(encoding="utf-8")


def test_the_schedules_model_is_promoted(good: tuple[Installation, dict[str, NodeResult]]) -> None:
    digits, results = good
    assert results["promoter"].extra["promotion"]["outcome"] == "promoted"
    assert (digits.settings.serving / "digits" / "20131101000001" / "saved_model.pb").is_file()


def test_it_is_right_nearly_always_and_judged_digit_by_digit(good: tuple[Installation, dict[str, NodeResult]]) -> None:
    _, results = good
    found = {(rule.name, rule.subject.split(" (")[0]): rule for rule in rules(results["model_gate"])}
    overall = found["metrics.sparse_categorical_accuracy", "overall"]
    assert float(overall.found) > 0.95
    by_digit = [found["slices.sparse_categorical_accuracy", f"digit = {digit}"] for digit in range(10)]
    assert {rule.outcome for rule in by_digit} <= {RuleOutcome.PASS, RuleOutcome.WARN}
    assert "sparse_categorical_accuracy by digit" in page(results["model_gate"])
    assert "could not be drawn" not in page(results["model_gate"])


def test_the_exported_model_says_of_every_digit_what_the_trained_one_said(good: tuple[Installation, dict[str, NodeResult]]) -> None:
    _, results = good
    found = {rule.name: rule for rule in rules(results["infra_validator"])}
    for name in ("infra.process", "infra.trained", "infra.finite", "infra.agree", "infra.vary"):
        assert found[name].outcome is RuleOutcome.PASS, found[name].sentence()


def test_the_page_about_the_data_shows_the_drawings_and_their_sizes(good: tuple[Installation, dict[str, NodeResult]]) -> None:
    _, results = good
    shown = page(results["data_gate"])
    assert "Images or other bytes" in shown
    assert all(name in shown for name in ("drawing_format", "drawing_width", "drawing_height"))
    assert "could not be drawn" not in shown


def test_a_server_answers_a_drawing_of_any_size_and_refuses_what_is_none(good: tuple[Installation, dict[str, NodeResult]]) -> None:
    digits, _ = good
    released = digits.settings.releases / "digits" / "20131101000001"
    seven = next(drawing for drawing, digit in digits_data.drawings()["2013-12-01"] if digit == 7)

    probabilities, larger, refusal = apart(lambda: asked(released, seven))

    assert len(probabilities) == 10 and abs(sum(probabilities) - 1) < 1e-5
    assert probabilities.index(max(probabilities)) == 7
    assert larger == pytest.approx(probabilities, abs=1e-5)
    assert "INVALID_ARGUMENT" in refusal


def test_the_servers_page_begins_with_a_drawing_that_the_release_was_judged_on(
    good: tuple[Installation, dict[str, NodeResult]], tmp_path: pathlib.Path
) -> None:
    digits, _ = good
    environ = {**os.environ, "WAYBILL_HOME": str(digits.settings.home)}
    words = ["serve", "--rest-port=0", "--grpc-port=0", f"--address-file={tmp_path / 'address'}"]
    process = subprocess.Popen([sys.executable, "-m", "waybill.cli.main", *words], env=environ, stdout=subprocess.DEVNULL)
    try:
        deadline, shown = time.monotonic() + 120, ""
        while "Filled with a row of the eval split that the version was judged on" not in shown and time.monotonic() < deadline:
            time.sleep(0.2)
            if address := serve_address.read(tmp_path / "address"):
                shown = urllib.request.urlopen(f"{address.rest}/").read().decode()
        [begins] = re.findall(r'<canvas [^>]*data-value="([^"]*)"', shown)
        assert base64.b64decode(html.unescape(begins)) in [drawing for drawing, _ in digits_data.drawings()[SECOND]]
    finally:
        process.terminate()
        process.wait(60)


def asked(released: pathlib.Path, drawing: bytes) -> tuple[list[float], list[float], str]:
    """What a release says of a drawing, of the same one four times as large, and of the half of it."""
    import numpy as np
    import tensorflow as tf

    from pipelines.digits import land
    from waybill.serving.cpp_model import CppModel
    from waybill.serving.errors import ModelRefused

    model = CppModel.load(released)

    def ask(png: bytes) -> list[float]:
        answer: list[float] = model.ask("raw", {"drawing": np.array([[png]], object)})[PREDICTION][0].tolist()
        return answer

    lines = tf.io.decode_png(drawing).numpy()[:, :, 0]
    large = land.png(np.repeat(np.repeat(lines, 4, 0), 4, 1).tolist())
    try:
        refused = str(ask(drawing[:90]))
    except ModelRefused as error:
        refused = str(error)
    return ask(drawing), ask(large), refused


def test_bad_drawings_stop_at_the_data_gate_each_with_the_reason(tmp_path: pathlib.Path) -> None:
    digits = fresh(tmp_path)
    land(digits, FIRST, digits_data.bad_in_four_ways)
    stopped = digits.run(digits.freeze(FIRST))[-1]
    assert (stopped.node, stopped.outcome) == ("data_gate", Outcome.BLOCKED)
    said = [rule.sentence() for rule in rules(stopped) if rule.outcome is RuleOutcome.BLOCK]
    for rule, says in (
        ("schema.int_type_big_int on drawing_width", "9"),
        ("schema.enum_type_unexpected_string_values on drawing_format", "undecodable"),
        ("on drawing,", "missing in 1 of"),
        ("schema.feature_type_low_unique on digit", "9"),
    ):
        assert any(rule in sentence and says in sentence for sentence in said), (rule, said)
    assert "could not be drawn" not in page(stopped)


def test_a_digit_that_is_suddenly_common_stops_at_the_data_gate_as_drift(tmp_path: pathlib.Path) -> None:
    digits = fresh(tmp_path)
    land(digits, FIRST)
    land(digits, SECOND, digits_data.eights_seven_times)
    stopped = digits.run(digits.freeze(SECOND))[-1]
    assert (stopped.node, stopped.outcome) == ("data_gate", Outcome.BLOCKED)
    assert "drift.infinity_norm on digit" in stopped.message


def test_one_ruined_digit_stops_at_the_model_gate(tmp_path: pathlib.Path) -> None:
    digits = fresh(tmp_path)
    for start in (FIRST, SECOND):
        land(digits, start, digits_data.eights_of_other_digits)
    stopped = digits.run(digits.freeze(SECOND))[-1]
    assert (stopped.node, stopped.outcome) == ("model_gate", Outcome.BLOCKED)
    blocking = [(rule.name, rule.subject.split(" (")[0]) for rule in rules(stopped) if rule.outcome is RuleOutcome.BLOCK]
    assert blocking == [("slices.sparse_categorical_accuracy", f"digit = {digits_data.RUINED}")]


def test_landing_twice_changes_nothing_and_every_drawing_lands_once(tmp_path: pathlib.Path) -> None:
    from pipelines.digits.land import land as land_all

    first = apart(lambda: land_all(tmp_path))
    again = apart(lambda: land_all(tmp_path))
    assert first == again
    assert sum(rows for _, rows in first) == 1797 == sum(map(len, digits_data.drawings().values()))
    assert [interval.label for interval, _ in first] == ["2013-09-01", "2013-10-01", "2013-11-01", "2013-12-01", "2014-01-01", "2014-02-01"]
