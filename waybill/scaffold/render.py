"""A table that was looked at -> the texts of a new pipeline's files."""

from __future__ import annotations

import dataclasses
import pathlib
import string
from collections.abc import Iterable, Sequence

from tensorflow_metadata.proto.v0 import schema_pb2

from waybill.scaffold import inferred
from waybill.scaffold.cells import Part
from waybill.scaffold.columns import Column, literal, shown
from waybill.scaffold.label import Classes
from waybill.scaffold.limits import DRIFT_ROWS, Limits
from waybill.scaffold.measured import Measured
from waybill.scaffold.names import targets

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_WINDOW, _LONGEST, _STEPS = 4, 24, 600
_LINE = 120


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that a new pipeline's files follow from.

    Attributes:
      name: The pipeline's name.
      schedule: Cron expression of its intervals.
      parts: The partitions, oldest first.
      columns: What each column holds, the label's among them.
      label: What is to be told apart.
      schema: The schema.
      found: What was measured.
      limits: What is derived from it.
    """

    name: str
    schedule: str
    parts: Sequence[Part]
    columns: Sequence[Column]
    label: Classes
    schema: schema_pb2.Schema
    found: Measured
    limits: Limits

    @property
    def start(self) -> str:
        """Start of the first interval."""
        return self.parts[0].delivered.label


def files(plan: Plan) -> dict[str, str]:
    """All files but `graph.json`, by path, relative to the project."""
    where = targets(plan.name)
    package = where["package"]
    return {
        where["schema"]: inferred.text_of(plan.name, plan.schema, plan.columns, plan.parts, plan.label.name),
        f"{package}/__init__.py": "",
        f"{package}/settings.py": _filled("settings.py", plan, _settings(plan)),
        f"{package}/pipeline.py": _filled("pipeline.py", plan, {}),
        f"{package}/features.py": _filled("features.py", plan, _features(plan)),
        f"{package}/model.py": _filled("model.py", plan, _model(plan)),
        f"{package}/policy.py": _filled("policy.py", plan, _policy(plan)),
        where["dag"]: _filled("dag.py", plan, {}),
        where["test"]: _filled("test.py", plan, {"units": _units(plan.label)}),
    }


def _filled(template: str, plan: Plan, words: dict[str, object]) -> str:
    text = (_TEMPLATES / f"{template}.in").read_text(encoding="utf-8")
    return string.Template(text).substitute({"name": plan.name, **{name: str(word) for name, word in words.items()}})


def _settings(plan: Plan) -> dict[str, object]:
    start = plan.start
    return {
        "description": literal(f"Tells {plan.label.name} of a row of {plan.name}."),
        "schedule": plan.schedule,
        "start": start,
        "train_steps": _STEPS,
        "window": _WINDOW,
        "longest": _LONGEST,
        "seed": start.replace("-", ""),
    }


def _features(plan: Plan) -> dict[str, object]:
    taken = [column for column in plan.columns if column.treatment and column.name != plan.label.name]
    left_out = [column for column in plan.columns if not column.treatment and column.name != plan.label.name]
    used = {"Treatment", "dense_columns", "treat", *(column.treatment.split("(")[0] for column in taken)}
    values = _tuple(literal(v) if isinstance(v, str) else str(v) for v in plan.label.values)
    one_line = f"OF = Label({literal(plan.label.name)}, ({values}))"
    inner = "".join(f"\n        {literal(v) if isinstance(v, str) else v}," for v in plan.label.values)
    label = one_line if len(one_line) <= _LINE else f"OF = Label(\n    {literal(plan.label.name)},\n    ({inner}\n    ),\n)"
    return {
        "imports": ", ".join(sorted(used, key=lambda word: (word.islower(), word))),
        "label": label.removeprefix("OF = "),
        "treatments": _lines(f"{column.treatment},{_remark(column)}" for column in taken),
        "left_out": _lines(f"{literal(column.name)},{_remark(column)}" for column in left_out),
    }


def _model(plan: Plan) -> dict[str, object]:
    if plan.label.binary:
        return {
            "answers": "one score out of them",
            "features": "TREATMENTS",
            "shape": "a score from 0 to 1, `[n, 1]`",
            "activation": "sigmoid",
            "units": 1,
            "loss": "BinaryCrossentropy",
            "metrics": 'tf_keras.metrics.AUC(name="auc")',
        }
    return {
        "answers": "a score for each class",
        "features": "OF, TREATMENTS",
        "shape": "a score for each class",
        "activation": "softmax",
        "units": "len(OF.values)",
        "loss": "SparseCategoricalCrossentropy",
        "metrics": 'tf_keras.metrics.SparseCategoricalAccuracy(name="accuracy")',
    }


def _policy(plan: Plan) -> dict[str, object]:
    limits, label = plan.limits, plan.label
    compared = [column for column in plan.columns if column.treatment or column.name == label.name]
    exempt = ["span", *(column.name for column in plan.columns if column not in compared)]
    own = "".join(f"\n            {literal(name)}: DriftLimit(warn_above={w}, block_above={b})," for name, (w, b) in limits.own.items())
    furthest = max(plan.found.drift.values(), default=0.0)
    train, evaluation = plan.found.least
    return {
        "preface": _preface(plan),
        "policies": "ChangeThreshold, DataPolicy, ModelPolicy, Threshold" if label.binary else _CLASSES,
        "label_xf": literal(f"{label.name}_class"),
        "prediction": "score" if label.binary else "scores",
        "exempt": _inline(exempt),
        "drift_remark": f"Neighbouring partitions were at most {furthest:.3f} apart in any column; chance alone does more, the fewer rows.",
        "numbers_warn": limits.numbers[0],
        "numbers_block": limits.numbers[1],
        "values_warn": limits.values[0],
        "values_block": limits.values[1],
        "own_limits": f"{own}\n        " if own else "",
        "drift_rows": DRIFT_ROWS,
        "label_name": literal(label.name),
        "min_train": limits.min_rows[0],
        "min_eval": limits.min_rows[1],
        "max_drop": limits.volume[0],
        "max_rise": limits.volume[1],
        "slices": _inline(limits.slices),
        "found": _found(plan, train, evaluation),
        "thresholds": _thresholds(plan),
        "main": "auc" if label.binary else "sparse_categorical_accuracy",
        "max_fall": limits.fall,
        "min_slice": 20 if label.binary else 8,
        "tells": "" if label.binary else "\n    tells=CLASSES,",
    }


_CLASSES = "CLASSES, ChangeThreshold, DataPolicy, ModelPolicy, Threshold"


def _preface(plan: Plan) -> str:
    rows = [part.table.num_rows for part in plan.parts]
    return (
        f"The numbers follow from {sum(rows)} rows in {len(rows)} partitions of {min(rows)} to {max(rows)}, and from what a plain model\n"
        "reached on them. They are to be reviewed: docs/gates.md tells how each limit is found."
    )


def _found(plan: Plan, train: int, evaluation: int) -> str:
    found = plan.found
    reached = f"AUC {found.auc:.3f}, accuracy {found.accuracy:.3f}" if plan.label.binary else f"accuracy {found.accuracy:.3f}"
    worst = "" if plan.label.binary else f", in the class where it is worst {found.recall:.3f}"
    return (
        f"# A logistic regression reached {reached}{worst}, on rows that it had not learned from; who always says\n"
        f"# the commonest class is right in {found.commonest:.3f}. The limits lie half-way, less what chance does to an eval split of "
        f"{evaluation} rows;\n# a slice blocks only where it is surely worse than its limit."
    )


def _thresholds(plan: Plan) -> str:
    limits = plan.limits
    if not plan.label.binary:
        lines = [
            f'Threshold("sparse_categorical_accuracy", lower={limits.accuracy}),',
            f'Threshold("sparse_categorical_accuracy", lower={limits.accuracy_of_slices}, overall=False, slices=SLICES),',
        ]
    else:
        low, high = limits.calibration
        lines = [
            f'Threshold("auc", lower={limits.auc}),',
            f'Threshold("binary_accuracy", lower={limits.accuracy}),',
            f'Threshold("calibration", lower={low}, upper={high}),',
            'Threshold("auc", lower=0.5, overall=False, slices=SLICES, min_each_label=10),',
        ]
    return "\n".join(f"        {line}" for line in lines)


def _units(label: Classes) -> int:
    return 1 if label.binary else len(label.values)


def _remark(column: Column) -> str:
    return f"  # {column.why}" if column.why else ""


def _lines(lines: Iterable[str]) -> str:
    """Entries of a tuple, one in each line."""
    text = "".join(f"\n    {line}" for line in lines)
    return f"{text}\n" if text else ""


def _tuple(entries: Iterable[str]) -> str:
    return ", ".join(entries)


def _inline(names: Sequence[str]) -> str:
    """Entries of a tuple, in one line if they fit."""
    text = ", ".join(map(literal, names))
    text += "," if len(names) == 1 else ""
    return text if len(text) <= _LINE else "".join(f"\n    {literal(name)}," for name in names) + "\n"


def said(plan: Plan) -> str:
    """What a person should know of the pipeline that was written."""
    label, found = plan.label, plan.found
    values = ", ".join(f"{shown(str(value))} ({rows} rows)" for value, rows in zip(label.values, label.rows, strict=True))
    lines = [f"the label {label.name!r}: {values}"]
    if label.binary:
        lines.append(f"a score says how sure the model is of {shown(str(label.values[1]))}; --positive names the other")
    lines += [f"column {c.name!r}: {'' if c.treatment else 'left out: '}{c.why}" for c in plan.columns if c.why and c.name != label.name]
    reached = f"AUC {found.auc:.3f}" if label.binary else f"accuracy {found.accuracy:.3f}"
    lines.append(f"a plain model reaches {reached}; the commonest class is {found.commonest:.0%} of the rows")
    if (found.auc < 0.6) if label.binary else (found.accuracy < found.commonest + 0.05):
        lines.append("that is next to nothing: gates may block a model that has learned all there is")
    return "\n".join(f"  {line}" for line in lines)
