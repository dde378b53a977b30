"""A journey of trivial executors that ends in a real release and a real promotion: real TFX, real MLMD, real folders, nothing to learn.

The "model" is a text in files named like a SavedModel's; what it says is `quality`, so that runs of other parameters have other bytes.
"""

from __future__ import annotations

import os
import pathlib
import signal

import small_model
from tfx.components.base import base_executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.orchestration.pipeline import Pipeline
from tfx.types import Channel, artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from components.baseline import interval_baseline
from components.promoter import Promoter
from components.pusher import ReleasePusher
from components.types import Verdict as VerdictArtifact
from components.types import record
from waybill.gates import model_rules, waivers
from waybill.records import digest
from waybill.records.graph import Param, PipelineSettings, Stage
from waybill.records.verdict import Rule, RuleOutcome

SETTINGS = PipelineSettings(
    name="small",
    description="A release without learning.",
    schedule="0 0 1 */3 *",
    timezone="UTC",
    start="2013-01-01",
    end="",
    schema="schemas/taxi.pbtxt",
    stages=(
        Stage("window", "run", ("data_gate", "trainer"), "The model"),
        Stage("judgement", "run", ("baseline", "model_gate"), "The judgement"),
        Stage("release", "run", ("pusher", "promoter"), "The release"),
    ),
    params=(
        Param("window", 1, "Partitions in the window", 1, 8),
        Param("reason", "", "Why"),
        Param("data", "PASS", "What the data gate says, or the digests of the deliveries that are spoilt"),
        Param("quality", "good", "What the model gate is told"),
    ),
    landing_patience_minutes=60,
    owner="tests",
    tags=("tests",),
)


class JudgeData(base_executor.BaseExecutor):
    def Do(self, input_dict, output_dict, exec_properties):
        says, _, left_out = exec_properties["says"].partition(" without ")
        outcome = RuleOutcome.PASS if says == "PASS" else RuleOutcome.BLOCK
        rules = [Rule("small.data", "the data", outcome, "PASS", says)]
        verdict = waivers.judge("data_gate", rules, [int(span) for span in left_out.split()])
        record(verdict, artifact_utils.get_single_instance(output_dict["verdict"]))


class Train(base_executor.BaseExecutor):
    def Do(self, input_dict, output_dict, exec_properties):
        folder = pathlib.Path(path_utils.serving_model_path(artifact_utils.get_single_uri(output_dict["model"])))
        folder.mkdir(parents=True)
        if exec_properties["says"].startswith("good, and killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        small_model.write(folder, exec_properties["says"])


class JudgeModel(base_executor.BaseExecutor):
    """Judges as the real gates do: a verdict about these bytes, and TFMA's mark beside it."""

    def Do(self, input_dict, output_dict, exec_properties):
        exported = pathlib.Path(path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"])))
        good = (exported / "saved_model.pb").read_text().startswith("good")
        rule = Rule("small.quality", "the model", RuleOutcome.PASS if good else RuleOutcome.BLOCK, "good", "good" if good else "bad")
        verdict = waivers.judge("model_gate", [rule, model_rules.digest_rule(digest.of_tree(exported))])
        record(verdict, artifact_utils.get_single_instance(output_dict["verdict"]))
        blessing = pathlib.Path(artifact_utils.get_single_uri(output_dict["blessing"]))
        blessing.mkdir(parents=True, exist_ok=True)
        (blessing / "BLESSED").touch()


def component(name: str, executor: type, inputs: dict, outputs: dict[str, type], says: str) -> BaseComponent:
    """A component class of its own per node, so that each has its execution type."""
    spec_cls = type(
        f"{name}Spec",
        (ComponentSpec,),
        {
            "PARAMETERS": {"says": ExecutionParameter(type=str)},
            "INPUTS": {k: ChannelParameter(type=c.type, optional=c.type is standard_artifacts.Model) for k, c in inputs.items()},
            "OUTPUTS": {k: ChannelParameter(type=kind) for k, kind in outputs.items()},
        },
    )
    cls = type(name, (BaseComponent,), {"SPEC_CLASS": spec_cls, "EXECUTOR_SPEC": executor_spec.ExecutorClassSpec(executor)})
    return cls(spec_cls(says=says, **inputs, **{k: Channel(type=kind) for k, kind in outputs.items()}))


def judgement(data, window):
    """What the data gate says of a window: a spoilt delivery blocks the run of its own interval, and is left out of later ones' windows."""
    if not data.startswith(digest.PREFIX):
        return data
    spoilt = [partition.digest in data.split() for partition in window]
    left_out = [str(partition.interval.span) for partition, bad in zip(window[:-1], spoilt[:-1], strict=True) if bad]
    return " without ".join(["BLOCKED" if spoilt[-1] else "PASS", *([" ".join(left_out)] if left_out else [])])


def create_pipeline(run_spec, *, partition, places):
    """partition -> verdict, model -> baseline -> verdict -> release -> promotion."""
    params = run_spec.params
    judged = judgement(params["data"], run_spec.window)
    data_gate = component("SmallDataGate", JudgeData, {}, {"verdict": VerdictArtifact}, judged).with_id("data_gate")
    says = f"{params['quality']} {run_spec.interval.label} {partition.digest}"
    trainer = component("SmallTrainer", Train, {}, {"model": standard_artifacts.Model}, says).with_id("trainer")
    trainer.add_upstream_node(data_gate)
    baseline = interval_baseline(pipeline="small", before=run_spec.interval.start.isoformat()).with_id("baseline")
    baseline.add_upstream_node(trainer)
    model_gate = component(
        "SmallModelGate",
        JudgeModel,
        {"model": trainer.outputs["model"], "baseline_model": baseline.outputs["model"]},
        {"verdict": VerdictArtifact, "blessing": standard_artifacts.ModelBlessing},
        "",
    ).with_id("model_gate")
    pusher = ReleasePusher(
        model=trainer.outputs["model"],
        blessing=model_gate.outputs["blessing"],
        data_verdict=data_gate.outputs["verdict"],
        model_verdict=model_gate.outputs["verdict"],
        version=run_spec.version,
        releases=places.releases,
        name="small",
    ).with_id("pusher")
    promoter = Promoter(pushed_model=pusher.outputs["pushed_model"]).with_id("promoter")
    nodes = [data_gate, trainer, baseline, model_gate, pusher, promoter]
    return Pipeline(pipeline_name="small", pipeline_root=places.root, components=nodes, enable_cache=False)
