"""A verdict, what it is about, and plots -> one page for people, beside `verdict.json`.

The page needs nothing but itself: no script, font or address of another machine. The same verdict, words and plots give the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jinja2
from absl import logging
from markupsafe import Markup

from waybill.gates.report_page import PAGE
from waybill.gates.report_plot import MAX_ROWS, Plot
from waybill.gates.report_style import STYLE
from waybill.gates.report_text import shown
from waybill.records.verdict import Verdict

FILE_NAME = "report.html"
MAX_RULES = 100  # shown of each outcome; the others are in the verdict
MAX_PLOTS = 40
_MANY = 6  # more rules than this that were not judged are folded away
_SHORT = 12  # a table without a picture is folded when it is longer
_RULE = ("name", "subject", "outcome", "expected", "found", "evidence")
# Outcome of a rule, heading, word after a count; in the order of the page. Others come after what blocks, under their own name.
_KNOWN = {
    "BLOCK": ("What blocks", "blocked"),
    "WAIVED": ("What would have blocked, and was waived", "waived"),
    "WARN": ("Warnings", "with a warning"),
    "NOT_JUDGED": ("What was not judged", "not judged"),
    "PASS": ("What passed", "passed"),
}
_SIGNS = {"BLOCKED": "✕", "PASS": "✓", "WAIVED": "!"}
_LEGENDS = {
    "Features": ("filled: now", "dashed line or tick: in the span before", "red: not in the schema"),
    "Slice": ("● passed", "▲ warning", "■ blocked", "○ not judged", "dashed line: where it must lie"),
    "Overall": ("● passed", "■ blocked", "○ baseline", "dashed lines: where it must lie"),
}


def write(folder: pathlib.Path, verdict: Verdict, about: Mapping[str, str], draw: Callable[[], Sequence[Plot]]) -> None:
    """Writes the page into the verdict's folder. A page that cannot be drawn whole is written without what could not; it raises nothing.

    Args:
      folder: Folder of the verdict's artifact.
      verdict: The verdict.
      about: What it is about, as words by heading.
      draw: Makes the plots.
    """
    try:
        plots = list(draw())
    except Exception as error:  # noqa: BLE001 - the verdict has been reached; nothing about its pictures may take it back
        logging.exception("the plots could not be drawn")
        plots = [Plot("All plots", problem=f"{type(error).__name__}: {error}")]
    try:
        (folder / FILE_NAME).write_text(page(verdict, about, plots), encoding="utf-8")
    except Exception:  # noqa: BLE001 - as above
        logging.exception("the page for people could not be written; verdict.json holds all of it")
        (folder / FILE_NAME).unlink(missing_ok=True)


def page(verdict: Verdict, about: Mapping[str, str], plots: Sequence[Plot] = ()) -> str:
    """The page as HTML.

    Args:
      verdict: The verdict. Fields that it or its rules have beyond the usual ones are shown under their own names.
      about: What it is about, as words by heading, in the order they are shown.
      plots: What is drawn, urgent ones first within their section.
    """
    plain = verdict.to_json()
    kept = set(sorted(range(len(plots)), key=lambda i: not plots[i].urgent)[:MAX_PLOTS])
    values = {
        "gate": plain["gate"],
        "decision": plain["decision"],
        "tone": plain["decision"] if plain["decision"] in _SIGNS else "other",
        "sign": _SIGNS.get(plain["decision"], "?"),
        "headline": _headline(plain),
        "about": dict(about),
        "sections": _sections(plain["rules"]),
        "more": {name: _words(value) for name, value in plain.items() if name not in ("gate", "decision", "rules") and value},
        "plots": _groups([plot for i, plot in enumerate(plots) if i in kept]),
        "plots_left_out": max(0, len(plots) - MAX_PLOTS),
        "style": Markup(STYLE),
    }
    return _TEMPLATE.render(values)


def _headline(plain: Mapping[str, Any]) -> str:
    """The decision in a sentence."""
    total, blocking = len(plain["rules"]), sum(rule["outcome"] == "BLOCK" for rule in plain["rules"])
    if plain["decision"] == "BLOCKED":
        verb = "says" if blocking == 1 else "say"
        return f"{blocking} of {total} rules {verb} no. Nothing is released on this verdict." if total else "There was nothing to judge by."
    if plain["decision"] == "PASS":
        return f"None of {total} rules says no."
    if plain["decision"] != "WAIVED":
        return f"{total} rules were looked at."
    waived = sum(rule["outcome"] == "WAIVED" for rule in plain["rules"])
    return f"{waived} of {total} rules would say no, and {'was' if waived == 1 else 'were'} waived."


def _sections(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rules by outcome, bounded: what blocks, what has an outcome of its own, warnings, not judged, passed."""
    outcomes = dict.fromkeys(rule["outcome"] for rule in rules)
    order = ["BLOCK", "WAIVED", *sorted(o for o in outcomes if o not in _KNOWN), "WARN", "NOT_JUDGED", "PASS"]
    sections = []
    for i, outcome in enumerate(o for o in order if o in outcomes):
        found = [rule for rule in rules if rule["outcome"] == outcome]
        title, word = _KNOWN.get(outcome, (shown(outcome, 40), shown(outcome, 40).lower()))
        kept = [
            {**rule, "more": {name: _words(value) for name, value in rule.items() if name not in _RULE and value}}
            for rule in found[:MAX_RULES]
        ]
        folded = outcome == "PASS" or (outcome == "NOT_JUDGED" and len(found) > _MANY)
        tone = outcome if outcome in _KNOWN else "other"
        sections.append(
            {"id": f"rules-{i}", "tone": tone, "title": title, "word": word, "count": len(found), "rules": kept, "folded": folded}
            | {"left_out": len(found) - len(kept)}
        )
    return sections


def _groups(plots: Sequence[Plot]) -> list[dict[str, Any]]:
    """The plots by section, in the order of their first ones, each with a bounded table."""
    groups = []
    for title in dict.fromkeys(plot.section for plot in plots):
        mine = sorted((plot for plot in plots if plot.section == title), key=lambda plot: not plot.urgent)
        bounded = [
            {**{f.name: getattr(plot, f.name) for f in dataclasses.fields(plot)}, "rows": plot.rows[:MAX_ROWS]}
            | {"left_out": max(0, len(plot.rows) - MAX_ROWS), "unfolded": not plot.picture and len(plot.rows) <= _SHORT}
            for plot in mine
        ]
        legend = next((words for start, words in _LEGENDS.items() if title.startswith(start)), ())
        groups.append({"title": title, "plots": bounded, "legend": legend})
    return groups


def _words(value: Any) -> str:
    """A value that this page knows nothing of, in words."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_words(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_words(inner) for inner in value)
    return json.dumps(value, default=str)


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False, keep_trailing_newline=True)
    made.filters["shown"] = shown
    return made


_TEMPLATE = _environment().from_string(PAGE)
