"""A pipeline's words and numbers -> the stages that Airflow draws and the parameters of its form, as every pipeline here has them."""

from __future__ import annotations

from waybill.records import distribution
from waybill.records.graph import Param, Stage


def stages(
    spans: str = "Reads, measures and validates one landed partition, once for all runs that need it",
    judgement: str = "Measures the model by slice and against the baseline, and tries it as a server would",
) -> tuple[Stage, ...]:
    """The stops of `pipelines.journey`, by group, in reading order.

    Args:
      spans: What is done with a partition, in a sentence.
      judgement: How the model is judged, in a sentence.
    """
    return (
        Stage("schema", "shared", ("schema_gen",), "Registers the curated schema, the one source of names, types and domains"),
        Stage("spans", "span", ("example_gen", "statistics_gen", "example_validator"), spans),
        Stage("window", "run", ("data_gate", "transform", "trainer"), "Judges the window's data, then trains a model on it"),
        Stage("judgement", "run", ("baseline", "evaluator", "infra_validator", "model_gate"), judgement),
        Stage("release", "run", ("pusher", "promoter"), "Keeps the model that passed as a release; the schedule's newest is served"),
    )


def params(*, train_steps: int, window: int, longest: int, seed: int, learning_rate: float) -> tuple[Param, ...]:
    """The parameters of a run, with the defaults given.

    Args:
      train_steps: Training steps.
      window: Partitions to train on.
      longest: Largest window that may be asked for.
      seed: Seed of weights and rows.
      learning_rate: Step size of Adam.
    """
    return (
        Param("train_steps", train_steps, "Training steps, one batch each; early stopping may take fewer", 1, 1_000_000),
        Param("window", window, "Number of partitions to train on, ending with the interval's own", 1, longest),
        Param("reason", "", "Why this run was asked for; kept with the run"),
        Param("seed", seed, "Seed of the model's first weights and of the order of the rows", 0, 2**31 - 1),
        Param("learning_rate", learning_rate, "Step size of the Adam optimizer", 1e-6, 1.0),
        *distribution.PARAMS,
    )
