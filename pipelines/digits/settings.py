"""What the machinery must know of the digits pipeline: when it runs, on what, in which stages, with which parameters."""

from __future__ import annotations

from pipelines.stops import params, stages
from waybill.records.graph import PipelineSettings

SETTINGS = PipelineSettings(
    name="digits",
    description="Tells which digit a small handwritten drawing shows.",
    schedule="0 0 1 * *",
    timezone="UTC",
    start="2013-09-01",
    end="2014-02-28",
    schema="schemas/digits.pbtxt",
    stages=stages(
        spans="Reads, decodes, measures and validates one landed partition, once for all runs that need it",
        judgement="Measures the model digit by digit and against the baseline, and tries it as a server would",
    ),
    params=params(train_steps=400, window=4, longest=6, seed=20130901, learning_rate=0.003),
    landing_patience_minutes=60,
    owner="data-science",
    tags=("digits", "tfx", "monthly", "images"),
)
