"""An evaluation, and the rows that were trained on -> a verdict on the model, about exactly these bytes."""

from __future__ import annotations

import pathlib
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts
from tfx.utils import path_utils

from components.row_counts import RowCounts
from components.types import Verdict, record
from waybill.gates import model_evidence, model_rules, report_model, transformed_rows, waivers
from waybill.gates.errors import EvidenceError
from waybill.gates.policy import ModelPolicy
from waybill.records import digest
from waybill.records import verdict as records

GATE = "model_gate"


class ModelGateSpec(component_spec.ComponentSpec):
    """What the model gate reads and writes; `baseline_model` carries nothing when there is no baseline yet.

    It is the first gate after Transform, so it also looks at whether all rows arrived there.
    """

    PARAMETERS = {"policy": component_spec.ExecutionParameter(type=str)}
    INPUTS = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "baseline_model": component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "transformed_examples": component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS = {"verdict": component_spec.ChannelParameter(type=Verdict)}


class ModelGateExecutor(base_executor.BaseExecutor):
    """Weighs an evaluation and writes the verdict; a bad verdict is an outcome, not an error."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See base class.

        Raises:
          PolicyError: if the policy cannot be applied.
          EvidenceError: if the evaluation is missing, damaged, or about another model or baseline, or transformed rows cannot be counted.
        """
        policy = ModelPolicy.from_json(exec_properties["policy"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        blessing = artifact_utils.get_single_instance(input_dict["blessing"])
        measured = artifact_utils.get_single_uri(input_dict["evaluation"])
        evaluation = model_evidence.read(pathlib.Path(measured), pathlib.Path(blessing.uri))
        baseline = input_dict.get("baseline_model") or []
        _check_subject(blessing, model, baseline, evaluation.has_baseline)
        exported = pathlib.Path(path_utils.serving_model_path(model.uri))
        judged = waivers.against_baseline(model_rules.judge(evaluation, policy))
        rules = [*judged, _rows(input_dict), model_rules.digest_rule(digest.of_tree(exported))]
        verdict = waivers.judge(GATE, rules)
        published = artifact_utils.get_single_instance(output_dict["verdict"])
        record(verdict, published, lambda: report_model.plots(evaluation, policy, verdict))


class ModelGate(base_component.BaseComponent):
    """Judges a model's evaluation against the policy."""

    SPEC_CLASS = ModelGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ModelGateExecutor)

    def __init__(
        self,
        evaluation: channel.BaseChannel,
        blessing: channel.BaseChannel,
        model: channel.BaseChannel,
        policy: str,
        baseline_model: channel.BaseChannel | None = None,
        examples: channel.BaseChannel | None = None,
        transformed_examples: channel.BaseChannel | None = None,
    ) -> None:
        """Wires the gate.

        Args:
          evaluation: ModelEvaluation of the model.
          blessing: ModelBlessing from the same run of Evaluator.
          model: The model that was evaluated.
          policy: `ModelPolicy.to_json()`.
          baseline_model: The baseline it was compared with; the channel may carry nothing.
          examples: Examples of every span of the window, with row counts as custom properties.
          transformed_examples: What Transform made of them.
        """
        inputs = {"evaluation": evaluation, "blessing": blessing, "model": model, "baseline_model": baseline_model}
        inputs |= {"examples": examples, "transformed_examples": transformed_examples}
        super().__init__(ModelGateSpec(**inputs, policy=policy, verdict=channel.Channel(type=Verdict)))


def _rows(input_dict: dict[str, list[types.Artifact]]) -> records.Rule:
    """The rule on the rows that Transform made."""
    written = [RowCounts.of(artifact).written for artifact in input_dict.get("examples") or []]
    transformed = input_dict.get("transformed_examples") or []
    folders = [(pathlib.Path(artifact.uri), artifact_utils.decode_split_names(artifact.split_names)) for artifact in transformed]
    return transformed_rows.judge(written, transformed_rows.count(folders) if folders else None)


def _check_subject(blessing: types.Artifact, model: types.Artifact, baseline: list[types.Artifact], compared: bool) -> None:
    """Raises EvidenceError unless the blessing is about this model and this baseline."""
    noted = blessing.mlmd_artifact.custom_properties
    if noted["current_model"].string_value != model.uri:
        raise EvidenceError(
            f"the blessing is about the model at {noted['current_model'].string_value!r}, expected {model.uri!r}; run evaluator again"
        )
    given = [artifact.uri for artifact in baseline]
    used = [noted["baseline_model"].string_value] if "baseline_model" in noted else []
    if given != used or compared != bool(given):
        raise EvidenceError(
            f"the evaluation compared with {used or 'no baseline'} and {'has' if compared else 'lacks'} metrics of one, "
            f"expected a comparison with {given or 'no baseline'}; run evaluator again"
        )
