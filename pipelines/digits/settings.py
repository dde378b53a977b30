"""What the machinery must know of the digits pipeline: when it runs, on what, in which stages, with which parameters."""

from __future__ import annotations

from waybill.records import distribution
from waybill.records.graph import Param, PipelineSettings, Stage

SETTINGS = PipelineSettings(
    name="digits",
    description="Tells which digit a small handwritten drawing shows.",
    schedule="0 0 1 * *",
    timezone="UTC",
    start="2013-09-01",
    end="2014-02-28",
    schema="schemas/digits.pbtxt",
    stages=(
        Stage("schema", "shared", ("schema_gen",), "Registers the curated schema, the one source of names, types and domains"),
        Stage(
            "spans",
            "span",
            ("example_gen", "statistics_gen", "example_validator"),
            "Reads, decodes, measures and validates one landed partition, once for all runs that need it",
        ),
        Stage("window", "run", ("data_gate", "transform", "trainer"), "Judges the window's data, then trains a model on it"),
        Stage(
            "judgement",
            "run",
            ("baseline", "evaluator", "infra_validator", "model_gate"),
            "Measures the model digit by digit and against the baseline, and tries it as a server would",
        ),
        Stage("release", "run", ("pusher", "promoter"), "Keeps the model that passed as a release; the schedule's newest is served"),
    ),
    params=(
        Param("train_steps", 400, "Training steps, one batch each; early stopping may take fewer", 1, 1_000_000),
        Param("window", 4, "Number of partitions to train on, ending with the interval's own", 1, 6),
        Param("reason", "", "Why this run was asked for; kept with the run"),
        Param("seed", 20130901, "Seed of the model's first weights and of the order of the rows", 0, 2**31 - 1),
        Param("learning_rate", 0.003, "Step size of the Adam optimizer", 1e-6, 1.0),
        *distribution.PARAMS,
    ),
    landing_patience_minutes=60,
    owner="data-science",
    tags=("digits", "tfx", "monthly", "images"),
)
