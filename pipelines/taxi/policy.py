"""What the taxi pipeline tolerates: severities of data anomalies, the metrics of a model, their thresholds and slices.

The numbers are chosen for about 1,100 trips a quarter, of which 22 % have a tip above a fifth of the fare. Tips are recorded for
card payments only, so a model that knows the payment type is right for most trips; what is left to learn is who tips among
card payers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

MODEL_POLICY = ModelPolicy(
    thresholds=(
        Threshold("auc", lower=0.80, slices=True, min_positives=20),
        Threshold("binary_accuracy", lower=0.80),
        Threshold("binary_accuracy", lower=0.70, overall=False, slices=True),
        Threshold("calibration", lower=0.6, upper=1.6),
    ),
    changes=(ChangeThreshold("auc", max_drop=0.05),),
    slice_keys=("payment_type", "company", "trip_start_hour", "span"),
    min_slice_size=50,
)


def eval_config() -> EvalConfig:
    """What TFMA computes and what it blesses: every metric on every slice, the policy's overall thresholds.

    Slices are judged by the model gate alone, because TFMA can neither wait for a slice to be large enough nor take a confidence interval
    into account.
    """
    from waybill.gates.eval_config import build

    return build(MODEL_POLICY, label=LABEL, prediction=PREDICTION)
