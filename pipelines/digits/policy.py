"""What the digits pipeline tolerates: anomalies, drift and volume of data; a model's metrics, thresholds and slices; how it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from waybill.gates.data_limits import DriftLimit, DriftPolicy, VolumePolicy
from waybill.gates.infra_policy import InfraPolicy
from waybill.gates.policy import CLASSES, ChangeThreshold, DataPolicy, ModelPolicy, Threshold

if TYPE_CHECKING:
    from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

LABEL = "digit_xf"  # as `transform_features` returns it
PREDICTION = "probabilities"  # as `serving_default` returns it: one for each digit

DATA_POLICY = DataPolicy(
    severities={},  # what an anomaly says of a drawing, its size or its digit always blocks
    max_unexpected_share=0.0,  # not one drawing may be undecodable: the model's graph would stumble over it
    min_rows={"train": 100, "eval": 50},
    # Each digit is about a tenth of a month; from one month to the next its share of the train split's 200 rows moves by up to 0.054. With
    # seven eights where there was one, theirs moves by 0.2. One that is missing altogether is the schema's to find.
    drift=DriftPolicy(
        numbers=DriftLimit(warn_above=0.1, block_above=0.2),
        values=DriftLimit(warn_above=0.06, block_above=0.09),
        exempt=("span", "drawing"),
        min_rows=100,
    ),
    volume=VolumePolicy(max_drop=0.5, max_rise=1.0, min_spans=2),
    leave_out_blocked=True,
    # The model is asked about pictures of any format and size, and makes them 8 by 8; that it mostly is, is worth knowing.
    skew=DriftPolicy(
        numbers=DriftLimit(warn_above=0.1), values=DriftLimit(warn_above=0.1), exempt=("span", "drawing", "digit"), min_rows=50
    ),
)

SLICES = ("digit", "span")

# Over the windows that end with the first four months 0.976 to 0.981 of all drawings are recognised, and of the worst digit, the eight,
# 0.88 to 0.95. A month has about ten of each in its eval split, so a slice blocks only when it is surely worse than the limit.
MODEL_POLICY = ModelPolicy(
    thresholds=(
        Threshold("sparse_categorical_accuracy", lower=0.90),
        Threshold("sparse_categorical_accuracy", lower=0.80, overall=False, slices=SLICES),
    ),
    changes=(ChangeThreshold("sparse_categorical_accuracy", max_drop=0.05),),
    slice_keys=SLICES,
    min_slice_size=8,
    tells=CLASSES,
)

# Pictures of digits say nothing of who wrote them.
INFRA_POLICY = InfraPolicy(output=PREDICTION, max_bytes=64 << 20)


def eval_config() -> EvalConfig:
    """What TFMA computes and what it blesses: every metric on every slice, the policy's overall thresholds.

    Slices are judged by the model gate alone, because TFMA judges a slice of three rows like one of three thousand, and by its value alone.
    """
    from waybill.gates.eval_config import build

    return build(MODEL_POLICY, label=LABEL, prediction=PREDICTION)
