"""An exported model and the eval split -> a verdict on whether a server could answer with it, before anything is released.

TFX's own InfraValidator starts TensorFlow Serving in Docker or on Kubernetes. Here the model is tried in a process of its own, with the
loader that TensorFlow Serving has, and what it answers is looked at as well.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts
from tfx.utils import path_utils

from components import model_trial
from components.types import Verdict, record
from waybill.gates import infra_rules, model_rules, waivers
from waybill.gates.errors import EvidenceError
from waybill.gates.infra_evidence import Export, Trial
from waybill.gates.infra_policy import InfraPolicy
from waybill.records import digest
from waybill.records import verdict as records
from waybill.records.live_scores import LiveScores
from waybill.serving import export, golden
from waybill.serving.watch import Limits

GATE = "infra_validator"
_BLESSED, _NOT_BLESSED = "INFRA_BLESSED", "INFRA_NOT_BLESSED"  # as TFX's Pusher reads them


class InfraValidatorSpec(component_spec.ComponentSpec):
    """What the infra validator reads and writes; without `model_run` nothing is known of the model before it was exported."""

    PARAMETERS = {
        "policy": component_spec.ExecutionParameter(type=str),
        "split": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun, optional=True),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
        "verdict": component_spec.ChannelParameter(type=Verdict),
    }


class InfraValidatorExecutor(base_executor.BaseExecutor):
    """Tries a model and writes the verdict; a bad verdict is an outcome, not an error."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See base class.

        Raises:
          PolicyError: if the policy cannot be applied.
          EvidenceError: if the eval split has no rows to ask about.
          DamagedRecords: if the eval split cannot be read.
        """
        policy = InfraPolicy.from_json(exec_properties["policy"])
        model = pathlib.Path(path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"])))
        files = _files(input_dict["examples"], exec_properties["split"])
        limits = Limits(policy.max_trial_seconds, policy.max_trial_memory)
        request = model_trial.Request(model, files, policy.golden_requests, policy.output, limits)
        drawn = model_trial.drawn(request)
        if not drawn.rows:
            raise EvidenceError(f"the split {exec_properties['split']!r} of the examples has no rows, so there is nothing to ask the model")
        runs = [LiveScores.read(pathlib.Path(run.uri)) for run in input_dict.get("model_run") or []]
        verdict = waivers.judge(GATE, _judge(request, drawn, next(iter(runs), None), policy))
        record(verdict, artifact_utils.get_single_instance(output_dict["verdict"]))
        _bless(artifact_utils.get_single_instance(output_dict["blessing"]), verdict.decision.opens)


class InfraValidator(base_component.BaseComponent):
    """Tries an exported model as a server would load and ask it."""

    SPEC_CLASS = InfraValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(InfraValidatorExecutor)

    def __init__(
        self,
        model: channel.BaseChannel,
        examples: channel.BaseChannel,
        policy: str,
        model_run: channel.BaseChannel | None = None,
        split: str = "eval",
    ) -> None:
        """Wires the stop.

        Args:
          model: The exported model.
          examples: Examples that it has not learned from, raw, as clients send them.
          policy: `InfraPolicy.to_json()`.
          model_run: What the training left beside the model; holds the scores of the model in memory.
          split: Which split of the examples; of the same rows the training must have left its scores.
        """
        inputs = {"model": model, "examples": examples, "model_run": model_run}
        outputs = {"blessing": channel.Channel(type=standard_artifacts.InfraBlessing), "verdict": channel.Channel(type=Verdict)}
        super().__init__(InfraValidatorSpec(**inputs, **outputs, policy=policy, split=split))


def _judge(request: model_trial.Request, drawn: golden.Golden, live: LiveScores | None, policy: InfraPolicy) -> list[records.Rule]:
    """All rules; a model that should not be run is not."""
    rules = list(infra_rules.of_export(Export(**export.look(request.model, policy.allowed_ops)), policy))
    if not infra_rules.may_be_tried(rules):
        return [*rules, infra_rules.not_tried()]
    rules.append(model_rules.digest_rule(digest.of_tree(request.model)))
    ended = model_trial.run(request, drawn)
    came = Trial(ended.problem, tuple(ended.words), ended.network, ended.seconds, ended.memory, **ended.found)
    return [*rules, *infra_rules.of_trial(came, policy, live, drawn.rows)]


def _files(examples: Sequence[types.Artifact], split: str) -> tuple[pathlib.Path, ...]:
    """The files of a split, span by span."""
    folders = [pathlib.Path(artifact_utils.get_split_uri([artifact], split)) for artifact in examples]
    return tuple(path for folder in folders for path in sorted(folder.iterdir()) if path.is_file())


def _bless(blessing: types.Artifact, good: bool) -> None:
    """Marks the blessing as TFX's InfraValidator does."""
    folder = pathlib.Path(blessing.uri)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / (_BLESSED if good else _NOT_BLESSED)).touch()
    blessing.set_int_custom_property("blessed", int(good))
