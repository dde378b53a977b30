"""Figures stand until the verb that measures them measures them again."""

from __future__ import annotations

import json
import pathlib

import pytest

from bench import report
from bench.report import Figure


def test_a_verb_rewrites_its_own_figures_and_keeps_those_of_the_other(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "FOLDER", tmp_path)

    report.record([Figure("beside another runner", 0.13, 0.15, 0.1)])
    report.record([Figure("node start", 0.3, 0.3, 0.15), Figure("parse", 0.2, 0.1, 0.05)])
    report.record([Figure("node start", 0.07341, 0.3, 0.15)])

    found = {entry["figure"]: entry["value"] for entry in json.loads((tmp_path / "results.json").read_text())}
    assert found == {"node start": 0.073, "beside another runner": 0.13, "parse": 0.2}


def test_a_figure_says_whether_it_was_missed() -> None:
    states = [Figure("some", value, must=0.15, aim=0.1).state for value in (0.151, 0.15, 0.1)]
    assert states == ["missed", "met", "better than the aim"]
