"""A model policy -> the TFMA configuration that measures what the policy judges."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tensorflow_model_analysis.proto import config_pb2

from waybill.gates.policy import BINARY, CLASSES, ModelPolicy

# Class, name and configuration of each metric, by what the model tells; the names are those of TFMA's results.
METRICS: Mapping[str, tuple[tuple[str, str, dict[str, int]], ...]] = {
    BINARY: (
        ("AUC", "auc", {"num_thresholds": 1000}),
        ("BinaryAccuracy", "binary_accuracy", {}),
        ("Calibration", "calibration", {}),
        ("Precision", "precision", {}),
        ("Recall", "recall", {}),
        ("MeanLabel", "mean_label", {}),
        ("ExampleCount", "example_count", {}),
    ),
    CLASSES: (
        ("SparseCategoricalAccuracy", "sparse_categorical_accuracy", {}),
        ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", {}),
        ("MultiClassConfusionMatrixPlot", "multi_class_confusion_matrix_plot", {}),
        ("ExampleCount", "example_count", {}),
    ),
}


def build(policy: ModelPolicy, *, label: str, prediction: str) -> config_pb2.EvalConfig:
    """The configuration for a model with a preprocessing signature `transform_features` and its baseline.

    Args:
      policy: Thresholds on overall metrics become TFMA's own, so that its blessing says the same as the gate; slices become slicing specs.
      label: Name of the label among the transformed features: 0 or 1, or the number of the class.
      prediction: Name of the scores in the output of `serving_default`: one for each row, or one for each class.
    """
    specs = {"signature_name": "serving_default", "preprocessing_function_names": ["transform_features"]}
    # Signatures are all that is asked of the model; left to find out of what kind it is, TFMA loads it once more to look.
    specs |= {"label_key": label, "prediction_key": prediction, "model_type": "tf_generic"}
    options = config_pb2.Options()
    # The metrics that Keras saves with a model are not judged; computing them loads it six more times, three quarters of the evaluation.
    options.include_default_metrics.value = False
    return config_pb2.EvalConfig(
        options=options,
        model_specs=[config_pb2.ModelSpec(**specs)],
        slicing_specs=[config_pb2.SlicingSpec(), *(config_pb2.SlicingSpec(feature_keys=[key]) for key in policy.slice_keys)],
        metrics_specs=[config_pb2.MetricsSpec(metrics=[_metric(policy, *metric) for metric in METRICS[policy.tells]])],
    )


def _metric(policy: ModelPolicy, class_name: str, name: str, config: dict[str, int]) -> config_pb2.MetricConfig:
    """One metric with the policy's overall thresholds on it."""
    threshold = config_pb2.MetricThreshold()
    for rule in policy.thresholds:
        if rule.metric == name and rule.overall:
            if rule.lower is not None:
                threshold.value_threshold.lower_bound.value = rule.lower
            if rule.upper is not None:
                threshold.value_threshold.upper_bound.value = rule.upper
    for change in policy.changes:
        if change.metric == name:
            threshold.change_threshold.absolute.value = -change.max_drop
            threshold.change_threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
    metric = config_pb2.MetricConfig(class_name=class_name, config=json.dumps(dict(config, name=name)))
    if threshold.ByteSize():  # in `metric.threshold` it would hold for every slice, however small
        metric.per_slice_thresholds.add(slicing_specs=[config_pb2.SlicingSpec()], threshold=threshold)
    return metric
