"""A journey with spans, siblings, gates and a release, whose stops fail or wait while a file says so: for what people do in a real Airflow.

    partition -> [examples] -> verdict, model -> baseline -> evaluation, blessing -> verdict -> release -> promotion

Nothing is learned. A file `faults/<pipeline>.<interval>.<node>.wait` in Waybill's home holds a stop up, one that ends with `.raise` makes
it fail, and `.bad` at the trainer has it make a model that the gate blocks. They are files because the schedule fills in no form.
"""

from __future__ import annotations

import pathlib
import time

from released_pipeline import JudgeData, JudgeModel, Train, component
from tfx.components.base import base_executor
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts

from components.baseline import interval_baseline
from components.promoter import Promoter
from components.pusher import ReleasePusher
from components.types import Verdict as VerdictArtifact
from waybill.records import settings
from waybill.records.graph import Param, PipelineSettings, Stage


def settings_of(name: str, end: str) -> PipelineSettings:
    """The settings of a pipeline of this kind.

    Args:
      name: Its name.
      end: Where its schedule ends.
    """
    return PipelineSettings(
        name=name,
        description="Every kind of stop, and nothing to compute.",
        schedule="0 0 1 */3 *",
        timezone="UTC",
        start="2013-01-01",
        end=end,
        schema="schemas/taxi.pbtxt",
        stages=(
            Stage("spans", "span", ("example_gen",), "The data"),
            Stage("window", "run", ("data_gate", "trainer"), "The model"),
            Stage("judgement", "run", ("baseline", "evaluator", "infra_validator", "model_gate"), "The judgement"),
            Stage("release", "run", ("pusher", "promoter"), "The release"),
        ),
        params=(
            Param("window", 1, "Partitions in the window", 1, 8),
            Param("reason", "", "Why"),
            Param("faults", str(settings.load().home / "faults"), "Folder of what holds stops up"),
        ),
        landing_patience_minutes=60,
        owner="tests",
        tags=("tests",),
    )


class Obedient(base_executor.BaseExecutor):
    """Writes the text it is given, after it has waited or failed as it was told to; `says` is `<file of the fault> <text>`."""

    def Do(self, input_dict, output_dict, exec_properties):
        fault, _, text = exec_properties["says"].partition(" ")
        if pathlib.Path(f"{fault}.raise").exists():
            raise RuntimeError(f"{pathlib.Path(fault).name} was told to fail")
        while pathlib.Path(f"{fault}.wait").exists():
            time.sleep(0.05)
        [[output]] = output_dict.values()
        pathlib.Path(output.uri, "data").write_text(text)


class TrainAsTold(Train):
    """Makes a good model, or a bad one when it was told to; `says` is `<file of the fault> <text>`."""

    def Do(self, input_dict, output_dict, exec_properties):
        fault, _, text = exec_properties["says"].partition(" ")
        quality = "bad" if pathlib.Path(f"{fault}.bad").exists() else "good"
        super().Do(input_dict, output_dict, {**exec_properties, "says": f"{quality} {text}"})


def create_pipeline(run_spec, *, partition, places):
    """The journey of a pipeline of this kind, whatever its name."""
    name = run_spec.pipeline
    own = f"{partition.interval.label} {partition.digest}"

    def fault(node):
        return f"{run_spec.params['faults']}/{name}.{partition.interval.label}.{node}"

    def obedient(node, inputs, **output):
        says = f"{fault(node)} {node} {own}"
        return component(f"Staged{node.title().replace('_', '')}", Obedient, inputs, output, says).with_id(node)

    example_gen = obedient("example_gen", {}, examples=standard_artifacts.Examples)
    examples = example_gen.outputs["examples"]
    data_gate = component("StagedDataGate", JudgeData, {"examples": examples}, {"verdict": VerdictArtifact}, "PASS").with_id("data_gate")
    makes = {"model": standard_artifacts.Model}
    trainer = component("StagedTrainer", TrainAsTold, {"examples": examples}, makes, f"{fault('trainer')} {own}").with_id("trainer")
    trainer.add_upstream_node(data_gate)
    model = trainer.outputs["model"]
    baseline = interval_baseline(pipeline=name, before=run_spec.interval.start.isoformat()).with_id("baseline")
    baseline.add_upstream_node(trainer)
    evaluator = obedient(
        "evaluator", {"model": model, "baseline_model": baseline.outputs["model"]}, evaluation=standard_artifacts.ModelEvaluation
    )
    infra_validator = obedient("infra_validator", {"model": model}, infra=standard_artifacts.InfraBlessing)
    judged = {"model": model, "evaluation": evaluator.outputs["evaluation"], "infra": infra_validator.outputs["infra"]}
    judges = {"verdict": VerdictArtifact, "blessing": standard_artifacts.ModelBlessing}
    model_gate = component("StagedModelGate", JudgeModel, judged, judges, "").with_id("model_gate")
    pusher = ReleasePusher(
        model=model,
        blessing=model_gate.outputs["blessing"],
        data_verdict=data_gate.outputs["verdict"],
        model_verdict=model_gate.outputs["verdict"],
        version=run_spec.version,
        releases=places.releases,
        name=name,
    ).with_id("pusher")
    promoter = Promoter(pushed_model=pusher.outputs["pushed_model"]).with_id("promoter")
    nodes = [example_gen, data_gate, trainer, baseline, evaluator, infra_validator, model_gate, pusher, promoter]
    return Pipeline(pipeline_name=name, pipeline_root=places.root, components=nodes, enable_cache=False)
