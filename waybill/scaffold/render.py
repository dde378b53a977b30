"""A table that was looked at -> the texts of a new pipeline's files."""

from __future__ import annotations

import pathlib
import string

from waybill.scaffold import inferred, policy
from waybill.scaffold.cells import Part
from waybill.scaffold.columns import Column, literal, shown
from waybill.scaffold.label import Classes
from waybill.scaffold.names import targets
from waybill.scaffold.plan import LINE, Plan, lines

_TEMPLATES = pathlib.Path(__file__).parent / "templates"
_WINDOW, _LONGEST, _STEPS = 4, 24, 600


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
        f"{package}/policy.py": _filled("policy.py", plan, policy.words(plan)),
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
    values = ", ".join(literal(v) if isinstance(v, str) else str(v) for v in plan.label.values)
    one_line = f"OF = Label({literal(plan.label.name)}, ({values}))"
    inner = "".join(f"\n        {literal(v) if isinstance(v, str) else v}," for v in plan.label.values)
    label = one_line if len(one_line) <= LINE else f"OF = Label(\n    {literal(plan.label.name)},\n    ({inner}\n    ),\n)"
    return {
        "imports": ", ".join(sorted(used, key=lambda word: (word.islower(), word))),
        "label": label.removeprefix("OF = "),
        "treatments": lines(f"{column.treatment},{_remark(column)}" for column in taken),
        "left_out": lines(f"{literal(column.name)},{_remark(column)}" for column in left_out),
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


def _units(label: Classes) -> int:
    return 1 if label.binary else len(label.values)


def _remark(column: Column) -> str:
    return f"  # {column.why}" if column.why else ""


def absent(plan: Plan, part: Part) -> str:
    """Classes of which a partition has no row, although it is long enough; one that is sorted by its label has such."""
    seen = set(plan.label.numbers(part.table[plan.label.name]).tolist())
    share = part.table.num_rows / sum(plan.label.rows)
    return ", ".join(
        shown(str(value))
        for n, (value, rows) in enumerate(zip(plan.label.values, plan.label.rows, strict=True))
        if n not in seen and rows * share > 3
    )


def said(plan: Plan) -> str:
    """What a person should know of the pipeline that was written."""
    label, found = plan.label, plan.found
    values = ", ".join(f"{shown(str(value))} ({rows} rows)" for value, rows in zip(label.values, label.rows, strict=True))
    told = [f"the label {label.name!r}: {values}"]
    if label.binary:
        told.append(f"a score says how sure the model is of {shown(str(label.values[1]))}; --positive names the other")
    told += [f"column {c.name!r}: {'' if c.treatment else 'left out: '}{c.why}" for c in plan.columns if c.why and c.name != label.name]
    told += [f"the partition of {part.delivered.label} has no row of {missing}" for part in plan.parts if (missing := absent(plan, part))]
    reached = f"AUC {found.auc:.3f}" if label.binary else f"accuracy {found.accuracy:.3f}"
    told.append(f"a plain model reaches {reached}; the commonest class is {found.commonest:.0%} of the rows")
    if (found.auc < 0.6) if label.binary else (found.accuracy < found.commonest + 0.05):
        told.append("that is next to nothing: gates may block a model that has learned all there is")
    return "\n".join(f"  {line}" for line in told)
