"""What the taxi pipeline tolerates: anomalies, drift and volume of data; a model's metrics, thresholds and slices; how it answers.

The numbers are chosen for about 1,100 trips a quarter, of which 22 % have a tip above a fifth of the fare. Tips are recorded for
card payments only, so a model that knows the payment type is right for most trips; what is left to learn is who tips among
card payers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from waybill.gates.data_limits import DriftLimit, DriftPolicy, VolumePolicy
from waybill.gates.infra_policy import InfraPolicy
from waybill.gates.policy import ChangeThreshold, DataPolicy, ModelPolicy, Threshold
from waybill.records.verdict import RuleOutcome

if TYPE_CHECKING:
    from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

LABEL = "big_tip"  # as `transform_features` returns it
PREDICTION = "score"  # as `serving_default` returns it

# How far each quarter from 2013-Q2 to 2015-Q4 is from the one before it, at most: fare and trip_seconds 0.011, tips 0.012, trip_miles
# 0.021, the four coordinates 0.061; trip_start_hour 0.029, the other categories 0.063. What damage of any of these quarters gives, at
# least: half of the rows without a value 0.21 for a number and 0.26 for company, which a third of them lack anyway; fares in cents 0.87,
# those of every second row 0.26; fares half as high again 0.093, a fifth 0.025; no tips at all 0.115; seconds in minutes 0.54; cash under
# another name 0.58; hours shifted by six 0.042, because each single hour has few trips.
_AMOUNT = DriftLimit(warn_above=0.03, block_above=0.08)

# Requests of a quarter beside its train split. Every second trip, taken as if it had been asked for, is at most 0.043 away in any feature;
# fares in cents are 0.87. What no request has, or what the model does not read, is not compared.
SKEW = DriftPolicy(
    numbers=DriftLimit(warn_above=0.08, block_above=0.15),
    values=DriftLimit(warn_above=0.12, block_above=0.2),
    exempt=("span", "tips", "trip_start_timestamp", "pickup_census_tract"),
    min_rows=250,
)

DATA_POLICY = DataPolicy(
    severities={"SCHEMA_NEW_COLUMN": RuleOutcome.WARN},  # nobody reads a column that the schema does not know
    max_unexpected_share=0.02,
    min_rows={"train": 50, "eval": 20},
    drift=DriftPolicy(
        numbers=DriftLimit(warn_above=0.08, block_above=0.15),
        values=DriftLimit(warn_above=0.08, block_above=0.15),
        features={
            **dict.fromkeys(("fare", "tips", "trip_miles", "trip_seconds"), _AMOUNT),
            "trip_start_hour": DriftLimit(warn_above=0.04, block_above=0.12),
        },
        exempt=("span", "trip_start_month", "trip_start_timestamp"),  # a quarter has months and moments of its own
        min_rows=300,  # half of the smallest train split above
    ),
    skew=SKEW,
    # From 884 rows in 2013-Q1 to 1,380 in 2014-Q2, each at most 22 % above the median of the up to three quarters before it and at most
    # 11 % below. The series thins out with 2016-Q1: 222 rows where 1,148 were usual.
    volume=VolumePolicy(max_drop=0.5, max_rise=1.0, min_spans=2),
    leave_out_blocked=True,  # a quarter that was blocked does not hold up the three after it
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
