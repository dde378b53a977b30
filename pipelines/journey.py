"""A frozen run spec -> the journey of its data, from a landed partition to a release: what every pipeline here has in common.

The stops from `example_gen` to `example_validator` are made once for each span of the window; the others are given all of its spans.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

# Not `tfx.v1`: it imports Google's cloud clients too, three seconds of every node's start.
from tfx.components import Evaluator, ExampleValidator, StatisticsGen, Trainer, Transform
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2, transform_pb2

from components.baseline import interval_baseline
from components.data_gate import DataGate
from components.example_gen import PartitionExampleGen
from components.infra_validator import InfraValidator
from components.model_gate import ModelGate
from components.promoter import Promoter
from components.pusher import ReleasePusher
from waybill.gates.infra_policy import InfraPolicy
from waybill.gates.policy import DataPolicy, ModelPolicy
from waybill.launch.beam import IN_PROCESS
from waybill.records.distribution import Distribution
from waybill.records.places import Places
from waybill.records.run_spec import Partition, RunSpec

if TYPE_CHECKING:
    from tensorflow_model_analysis.proto.config_pb2 import EvalConfig

# Pinned: Beam's DirectRunner hands pipelines to a runner that it downloads, if it can, and several processes are no faster.
BEAM_ARGS = (f"--runner={IN_PROCESS}", "--direct_running_mode=in_memory")


@dataclasses.dataclass(frozen=True)
class Own:
    """What is a pipeline's own on the way.

    Attributes:
      package: Its package, with `preprocessing_fn` in `features.py` and `run_fn` in `model.py`.
      data: What the data gate tolerates.
      model: What the model gate tolerates.
      infra: What the infra validator tolerates.
      evaluation: What TFMA computes.
    """

    package: str
    data: DataPolicy
    model: ModelPolicy
    infra: InfraPolicy
    evaluation: EvalConfig


def journey(run_spec: RunSpec, partition: Partition, places: Places, own: Own) -> Pipeline:
    """The pipeline of one run.

    Args:
      run_spec: The frozen run.
      partition: The span of the window that the per-span stops work on.
      places: Where things are read and written.
      own: What is the pipeline's own.
    """
    params = run_spec.params

    # The curated schema, as an artifact with a story of its own.
    schema_gen = ImportSchemaGen(schema_file=places.schema_file).with_id("schema_gen")

    # One landed partition, typed by the schema, split by the content of each row.
    example_gen = PartitionExampleGen(
        schema=schema_gen.outputs["schema"],
        path=partition.path,
        partition_digest=partition.digest,
        span=partition.interval.span,
        version=partition.version,
    ).with_id("example_gen")

    # What is in it, by split and column.
    statistics_gen = StatisticsGen(examples=example_gen.outputs["examples"], schema=schema_gen.outputs["schema"]).with_id("statistics_gen")

    # Where it differs from the schema.
    example_validator = ExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]).with_id(
        "example_validator"
    )

    # Whether the window's data are fit to learn from.
    data_gate = DataGate(
        anomalies=example_validator.outputs["anomalies"],
        statistics=statistics_gen.outputs["statistics"],
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        policy=own.data.to_json(),
        sample=run_spec.sample,
    ).with_id("data_gate")

    # Columns as the model takes them: learned on the train split, applied to both, kept as a graph that the model carries along.
    transform = Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        preprocessing_fn=f"{own.package}.features.preprocessing_fn",
        splits_config=transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "eval"]),
        disable_analyzer_cache=True,
        disable_statistics=True,
    ).with_id("transform")
    transform.add_upstream_node(data_gate)

    # The model, and its TensorBoard logs.
    trainer = Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema_gen.outputs["schema"],
        run_fn=f"{own.package}.model.run_fn",
        train_args=trainer_pb2.TrainArgs(splits=["train"], num_steps=params["train_steps"]),
        eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
        custom_config={
            "seed": params["seed"],
            "learning_rate": params["learning_rate"],
            "distribution": dataclasses.asdict(Distribution.of(params)),
            "checkpoints": f"{places.scratch}/trainer",
        },
    ).with_id("trainer")

    # The newest release of an older interval, which the model is compared with.
    baseline = interval_baseline(pipeline=run_spec.pipeline, before=run_spec.interval.start.isoformat()).with_id("baseline")
    baseline.add_upstream_node(trainer)

    # How good it is on rows it has not seen, by slice, beside the baseline.
    evaluator = Evaluator(
        examples=example_gen.outputs["examples"],
        example_splits=["eval"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        schema=schema_gen.outputs["schema"],
        eval_config=own.evaluation,
    ).with_id("evaluator")

    # Whether a server could load it, and would answer as the trained model did.
    infra_validator = InfraValidator(
        model=trainer.outputs["model"],
        model_run=trainer.outputs["model_run"],
        examples=example_gen.outputs["examples"],
        policy=own.infra.to_json(),
    ).with_id("infra_validator")
    infra_validator.add_upstream_node(evaluator)

    # Whether it is fit to serve.
    model_gate = ModelGate(
        evaluation=evaluator.outputs["evaluation"],
        blessing=evaluator.outputs["blessing"],
        model=trainer.outputs["model"],
        baseline_model=baseline.outputs["model"],
        examples=example_gen.outputs["examples"],
        transformed_examples=transform.outputs["transformed_examples"],
        policy=own.model.to_json(),
    ).with_id("model_gate")
    model_gate.add_upstream_node(infra_validator)

    # A release that both gates found good, whole and read-only, numbered by the data.
    pusher = ReleasePusher(
        model=trainer.outputs["model"],
        blessing=evaluator.outputs["blessing"],
        data_verdict=data_gate.outputs["verdict"],
        model_verdict=model_gate.outputs["verdict"],
        version=run_spec.version,
        releases=places.releases,
        name=run_spec.pipeline,
    ).with_id("pusher")

    # Whether it is served: by itself only from the schedule, and never in the place of a newer interval's.
    promoter = Promoter(pushed_model=pusher.outputs["pushed_model"]).with_id("promoter")

    return Pipeline(
        pipeline_name=run_spec.pipeline,
        pipeline_root=places.root,
        components=[
            schema_gen,
            example_gen,
            statistics_gen,
            example_validator,
            data_gate,
            transform,
            trainer,
            baseline,
            evaluator,
            infra_validator,
            model_gate,
            pusher,
            promoter,
        ],
        enable_cache=False,  # work that is shared between runs is found by the run spec, not by TFX's cache key
        beam_pipeline_args=list(BEAM_ARGS),
    )
