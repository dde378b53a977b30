"""Raw columns of a trip -> what the model learns from, in a graph that training and serving share.

    fare 27.05, payment_type "Cash", company missing    ->    fare_xf 1.17, payment_type_xf 0, company_xf 44

How each column is treated is one entry of `TREATMENTS`. A column that is not there is not used: the pickup's census tract is empty in
nearly every row, the timestamp would teach the model the calendar of the past, and span and tips are not known when a score is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from pipelines.taxi.policy import LABEL
from waybill.tables.treatments import Bucketed, Numbered, Scaled, Treatment, Vocabulary, dense_columns, treat

BIG_TIP = 0.2  # the label is whether the tip is above this part of the fare

TREATMENTS: tuple[Treatment, ...] = (
    Scaled("fare"),
    Scaled("trip_miles"),
    Scaled("trip_seconds"),
    Bucketed("pickup_latitude", 10),
    Bucketed("pickup_longitude", 10),
    Bucketed("dropoff_latitude", 10),
    Bucketed("dropoff_longitude", 10),
    Numbered("trip_start_month", 1, 12),
    Numbered("trip_start_day", 1, 7),
    Numbered("trip_start_hour", 0, 23),
    Numbered("pickup_community_area", 1, 77),
    Numbered("dropoff_community_area", 1, 77),
    Vocabulary("payment_type", 10, 2),
    Vocabulary("company", 40, 4),
    Vocabulary("dropoff_census_tract", 100, 4),
)


def preprocessing_fn(inputs: Mapping[str, tf.SparseTensor]) -> dict[str, tf.Tensor]:
    """The graph that `transform` learns and the model carries along.

    Args:
      inputs: Raw columns by name, one value or none in each row.

    Returns:
      The treated columns and the label, `[n, 1]` each.
    """
    columns = dense_columns(inputs, ("tips", *(t.name for t in TREATMENTS)))
    return {**treat(columns, TREATMENTS), LABEL: big_tip(columns["tips"], columns["fare"])}


def big_tip(tips: tf.Tensor, fare: tf.Tensor) -> tf.Tensor:
    """The label, 1 or 0. Where tip or fare is missing or NaN it is 0: a comparison with NaN is false."""
    return tf.cast(tips > BIG_TIP * fare, tf.int64)
