"""What the taxi pipeline tolerates: severities of data anomalies, the metrics of a model, their thresholds and slices, how it answers.

The numbers are chosen for about 1,100 trips a quarter, of which 22 % have a tip above a fifth of the fare. Tips are recorded for
card payments only, so a model that knows the payment type is right for most trips; what is left to learn is who tips among
card payers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waybill.gates.infra_policy import InfraPolicy
from waybill.gates.policy import ChangeThreshold, DataPolicy, ModelPolicy, Threshold
from waybill.records.verdict import RuleOutcome

if TYPE_CHECKING:
    from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

LABEL = "big_tip"  # as `transform_features` returns it
PREDICTION = "score"  # as `serving_default` returns it

DATA_POLICY = DataPolicy(
    severities={"SCHEMA_NEW_COLUMN": RuleOutcome.WARN},  # nobody reads a column that the schema does not know
    max_unexpected_share=0.02,
    min_rows={"train": 50, "eval": 20},
)

SLICES = ("payment_type", "company", "trip_start_hour", "span")

# Overall values of a plain logistic regression over all 16 windows of the real data: AUC 0.89 to 0.95, accuracy 0.80 to 0.91, calibration
# 0.95 to 1.10. Among card payers alone its AUC is about 0.5 and its accuracy 0.42 to 0.69, so AUC is not asked of payment types, and there
# a slice must only not be surely worse than a coin.
MODEL_POLICY = ModelPolicy(
    thresholds=(
        Threshold("auc", lower=0.80),
        Threshold("binary_accuracy", lower=0.75),
        Threshold("calibration", lower=0.7, upper=1.4),
        Threshold("binary_accuracy", lower=0.5, overall=False, slices=SLICES),
        Threshold("calibration", lower=0.5, upper=2.0, overall=False, slices=SLICES, min_each_label=10),
        Threshold("auc", lower=0.70, overall=False, slices=("company", "trip_start_hour", "span"), min_each_label=10),
    ),
    changes=(ChangeThreshold("auc", max_drop=0.03),),
    slice_keys=SLICES,
    min_slice_size=30,
)

# What one finds on two cores: loaded in half a second, a thousandth of a second for a row, half a megabyte. There is no personal data in a
# trip but what tells where somebody went.
INFRA_POLICY = InfraPolicy(
    personal_columns=("pickup_latitude", "pickup_longitude", "dropoff_latitude", "dropoff_longitude"),
    max_bytes=64 << 20,
)


def eval_config() -> EvalConfig:
    """What TFMA computes and what it blesses: every metric on every slice, the policy's overall thresholds.

    Slices are judged by the model gate alone, because TFMA judges a slice of three rows like one of three thousand, and by its value alone.
    """
    from waybill.gates.eval_config import build

    return build(MODEL_POLICY, label=LABEL, prediction=PREDICTION)
