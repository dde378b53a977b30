"""A pipeline of trivial executors with every kind of node, for tests of the machinery: real TFX, real MLMD, nothing to compute.

A fault is a file named for a node in the faults folder; the node's executor writes half of its output, takes the fault away, and then
does what the fault says.
"""

from __future__ import annotations

import os
import pathlib
import signal
import sys
import time

from tfx import types
from tfx import v1 as tfx
from tfx.components.base import base_executor
from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.baseline import interval_baseline
from components.types import Verdict as VerdictArtifact
from components.types import record
from waybill.gates import waivers
from waybill.records.graph import Param, PipelineSettings, Stage
from waybill.records.verdict import Rule, RuleOutcome

SETTINGS = PipelineSettings(
    name="tiny",
    description="Nothing to compute, everything to go wrong.",
    schedule="0 0 1 */3 *",
    timezone="UTC",
    start="2013-01-01",
    end="",
    schema="schemas/taxi.pbtxt",
    stages=(
        Stage("schema", "shared", ("schema_gen",), "The schema"),
        Stage("spans", "span", ("example_gen",), "The data"),
        Stage("window", "run", ("data_gate", "trainer"), "The model"),
        Stage("judgement", "run", ("baseline", "evaluator"), "The judgement"),
        Stage("release", "run", ("pusher",), "The release"),
    ),
    params=(
        Param("window", 2, "Partitions in the window", 1, 8),
        Param("reason", "", "Why"),
        Param("verdict", "PASS", "What the gate says"),
        Param("faults", "", "Folder of faults"),
    ),
    landing_patience_minutes=60,
    owner="tests",
    tags=("tests",),
)


PARAMETERS = {
    "node": ExecutionParameter(type=str),
    "faults": ExecutionParameter(type=str),
    "text": ExecutionParameter(type=str),
}


class _Executor(base_executor.BaseExecutor):
    """Writes the names and bytes of its inputs, half of them before the fault and half after it."""

    def Do(self, input_dict, output_dict, exec_properties):
        [[output]] = output_dict.values()
        folder = pathlib.Path(output.uri)
        attempt = folder / f"shard-of-process-{os.getpid()}" if self._fault(exec_properties) else None
        if attempt:
            attempt.write_text("half-written")
            self._act(exec_properties, folder)
        text = exec_properties["text"] + "".join(
            f"|{name}:{pathlib.Path(a.uri, 'data').read_text() if pathlib.Path(a.uri, 'data').exists() else 'other'}"
            for name, artifacts in sorted(input_dict.items())
            for a in artifacts
        )
        (folder / "data").write_text(text + f"|argv:{sys.argv[1:]}")
        if isinstance(output, VerdictArtifact):
            (folder / "data").unlink()
            self._judge(output, exec_properties["text"])
        if isinstance(output, standard_artifacts.PushedModel):
            output.set_string_custom_property("pushed_version", exec_properties["text"])

    def _fault(self, exec_properties) -> pathlib.Path | None:
        path = pathlib.Path(exec_properties["faults"] or "/nowhere", exec_properties["node"])
        return path if path.is_file() else None

    def _act(self, exec_properties, folder: pathlib.Path) -> None:
        path = self._fault(exec_properties)
        action = path.read_text()
        path.unlink()
        if action == "raise":
            raise RuntimeError("a fault of the executor")
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "orphan" and os.fork() == 0:
            time.sleep(3)  # a child of the node that outlives it and writes late
            (folder / "late-writer-is-done").write_text(str(time.monotonic()))
            os._exit(0)
        if action == "orphan":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "hang":
            path.with_name("hanging").write_text(str(os.getpid()))
            time.sleep(120)

    def _judge(self, output, text: str) -> None:
        decision, _, left_out = text.partition(" without ")  # "PASS without 201301010000" leaves out a span
        outcome = RuleOutcome.PASS if decision == "PASS" else RuleOutcome.BLOCK
        rules = [Rule("tiny.rule", "everything", outcome, "PASS", decision)]
        record(waivers.judge("data_gate", rules, [int(span) for span in left_out.split()]), output)


def _component(name: str, inputs: dict, output: tuple[str, type], node: str, faults: str, text: str) -> BaseComponent:
    """A component class of its own per node, so that each has its execution type."""
    key, kind = output
    spec_cls = type(
        f"{name}Spec",
        (ComponentSpec,),
        {
            "PARAMETERS": PARAMETERS,
            "INPUTS": {k: ChannelParameter(type=c.type, optional=optional) for k, (c, optional) in inputs.items()},
            "OUTPUTS": {key: ChannelParameter(type=kind)},
        },
    )
    cls = type(name, (BaseComponent,), {"SPEC_CLASS": spec_cls, "EXECUTOR_SPEC": executor_spec.ExecutorClassSpec(_Executor)})
    spec = spec_cls(node=node, faults=faults, text=text, **{k: c for k, (c, _) in inputs.items()}, **{key: types.Channel(type=kind)})
    return cls(spec).with_id(node)


def create_pipeline(run_spec, *, partition, places):
    """The tiny journey: partition -> examples -> verdict, model -> baseline -> evaluation -> release."""
    faults = run_spec.params["faults"]
    schema_gen = tfx.components.ImportSchemaGen(schema_file=places.schema_file).with_id("schema_gen")
    schema = schema_gen.outputs["schema"]
    example_gen = _component(
        "TinyGen",
        {"schema": (schema, False)},
        ("examples", standard_artifacts.Examples),
        "example_gen",
        faults,
        str(partition.interval.span),
    )
    examples = (example_gen.outputs["examples"], False)
    data_gate = _component(
        "TinyGate", {"examples": examples}, ("verdict", VerdictArtifact), "data_gate", faults, run_spec.params["verdict"]
    )
    trainer = _component("TinyTrainer", {"examples": examples}, ("model", standard_artifacts.Model), "trainer", faults, "model")
    trainer.add_upstream_node(data_gate)
    model = (trainer.outputs["model"], False)
    baseline = interval_baseline(pipeline="tiny", before=run_spec.interval.start.isoformat()).with_id("baseline")
    baseline.add_upstream_node(trainer)
    evaluator = _component(
        "TinyEvaluator",
        {"model": model, "baseline_model": (baseline.outputs["model"], True)},
        ("evaluation", standard_artifacts.ModelEvaluation),
        "evaluator",
        faults,
        "evaluation",
    )
    pusher = _component(
        "TinyPusher",
        {"model": model, "evaluation": (evaluator.outputs["evaluation"], False), "verdict": (data_gate.outputs["verdict"], False)},
        ("pushed_model", standard_artifacts.PushedModel),
        "pusher",
        faults,
        str(run_spec.version),
    )
    nodes = [schema_gen, example_gen, data_gate, trainer, baseline, evaluator, pusher]
    return tfx.dsl.Pipeline(pipeline_name="tiny", pipeline_root=places.root, components=nodes, enable_cache=False)
