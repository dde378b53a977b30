"""What the machinery must know of the taxi pipeline: when it runs, on what, in which stages, with which parameters."""

from __future__ import annotations

from pipelines.stops import params, stages
from waybill.records.graph import PipelineSettings

SETTINGS = PipelineSettings(
    name="taxi",
    description="Predicts whether a Chicago taxi trip earns a tip above a fifth of its fare.",
    schedule="0 0 1 */3 *",
    timezone="UTC",
    start="2013-01-01",
    end="2016-12-31",
    schema="schemas/taxi.pbtxt",
    stages=stages(),
    params=params(train_steps=1000, window=4, longest=16, seed=20130101, learning_rate=0.001),
    landing_patience_minutes=60,
    owner="data-science",
    tags=("taxi", "tfx", "quarterly"),
)
