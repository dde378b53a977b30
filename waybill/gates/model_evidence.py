"""TFMA's results and Evaluator's blessing -> what the model gate weighs, as plain values."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterator

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import metrics_for_slice_pb2, validation_result_pb2

from waybill.gates.blessing import is_blessed
from waybill.gates.errors import EvidenceError
from waybill.gates.evaluation import OVERALL, Evaluation, SliceMetrics

_SHOWN = 5


def read(evaluation: pathlib.Path, blessing: pathlib.Path) -> Evaluation:
    """Reads the two artifacts that Evaluator writes.

    Raises:
      EvidenceError: if either is missing, damaged, or they contradict each other.
    """
    try:
        slices = [_slice(m) for m in tfma.load_metrics(str(evaluation))]
        told = {pair: rows for p in tfma.load_plots(str(evaluation)) if not p.slice_key.single_slice_keys for pair, rows in _told(p)}
        validation = tfma.load_validation_result(str(evaluation))
    except Exception as error:  # TFMA and Beam raise what they like for a damaged file
        raise EvidenceError(f"cannot read the evaluation at {str(evaluation)!r}: {error}; run evaluator again") from error
    blessed = is_blessed(blessing)
    if blessed != validation.validation_ok:
        words = {True: "good", False: "not good enough"}
        raise EvidenceError(
            f"the blessing at {str(blessing)!r} says {words[blessed]}, the evaluation at {str(evaluation)!r} says "
            f"{words[validation.validation_ok]}; they are not of one run of evaluator, or one was edited; run evaluator again"
        )
    return Evaluation(tuple(sorted(slices, key=lambda s: (s.feature != "", s.name))), blessed, _failures(validation), told)


def _slice(metrics: metrics_for_slice_pb2.MetricsForSlice) -> SliceMetrics:
    """One slice's metrics, without the differences to the baseline, which the gate works out itself."""
    candidate: dict[str, float] = {}
    baseline: dict[str, float] = {}
    for pair in metrics.metric_keys_and_values:
        if not pair.key.is_diff:
            side = baseline if pair.key.model_name == "baseline" else candidate
            side[pair.key.name] = _number(pair.value)
    columns = [(key.column, _value(key)) for key in metrics.slice_key.single_slice_keys]
    name = ", ".join(f"{column} = {value}" for column, value in columns) or OVERALL
    return SliceMetrics("+".join(column for column, _ in columns), name, candidate, baseline)


def _told(plots: metrics_for_slice_pb2.PlotsForSlice) -> Iterator[tuple[tuple[int, int], int]]:
    """The candidate's confusion matrix: how many rows of a class were taken for which."""
    for pair in plots.plot_keys_and_values:
        if pair.key.model_name != "baseline":
            for matrix in pair.value.multi_class_confusion_matrix_at_thresholds.matrices[:1]:
                yield from (((e.actual_class_id, e.predicted_class_id), round(e.num_weighted_examples)) for e in matrix.entries)


def _number(value: metrics_for_slice_pb2.MetricValue) -> float:
    """A metric's value; NaN for a kind of value that is no number."""
    kind = value.WhichOneof("type")
    if kind == "double_value":
        return value.double_value.value
    if kind == "bounded_value":
        return value.bounded_value.value.value
    return math.nan


def _value(key: metrics_for_slice_pb2.SingleSliceKey) -> str:
    """The feature's value that makes a slice, short and on one line."""
    kind = key.WhichOneof("kind")
    raw = key.bytes_value.decode("utf-8", "replace") if kind == "bytes_value" else str(getattr(key, kind)) if kind else ""
    return raw if raw.isprintable() and len(raw) <= 60 else repr(raw[:60])


def _failures(validation: validation_result_pb2.ValidationResult) -> tuple[str, ...]:
    """TFMA's failed thresholds, in words, the first few."""
    words = []
    for per_slice in validation.metric_validations_per_slice:
        where = ", ".join(f"{key.column} = {_value(key)}" for key in per_slice.slice_key.single_slice_keys) or OVERALL
        words += [f"{f.metric_key.name} on {where} is {_number(f.metric_value):.4g}" for f in per_slice.failures]
    return tuple(words[:_SHOWN])
