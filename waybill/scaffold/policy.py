"""What was planned for a new pipeline -> the words and numbers of its policy."""

from __future__ import annotations

from waybill.scaffold.columns import literal
from waybill.scaffold.limits import DRIFT_ROWS
from waybill.scaffold.plan import Plan, inline


def words(plan: Plan) -> dict[str, object]:
    """What is filled into the template of `policy.py`."""
    limits, label = plan.limits, plan.label
    compared = [column for column in plan.columns if column.treatment or column.name == label.name]
    exempt = ["span", *(column.name for column in plan.columns if column not in compared)]
    own = "".join(f"\n            {literal(name)}: DriftLimit(warn_above={w}, block_above={b})," for name, (w, b) in limits.own.items())
    furthest = max(plan.found.drift.values(), default=0.0)
    return {
        "preface": _preface(plan),
        "policies": "ChangeThreshold, DataPolicy, ModelPolicy, Threshold" if label.binary else _CLASSES,
        "label_xf": literal(f"{label.name}_class"),
        "prediction": "probability" if label.binary else "probability_by_class",
        "exempt": inline(exempt),
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
        "slices": inline(limits.slices),
        "found": _found(plan),
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


def _found(plan: Plan) -> str:
    found, (_, evaluation) = plan.found, plan.found.least
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
