"""A judged model -> a release in the release store, once. What is served is decided after it."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts
from tfx.utils import path_utils

from components.types import Verdict
from waybill.gates import model_rules, waivers
from waybill.gates.blessing import is_blessed
from waybill.gates.errors import EvidenceError
from waybill.records import verdict_file
from waybill.records.errors import VerdictFileError
from waybill.serving.errors import ReleaseRefused
from waybill.serving.publish import publish


class ReleasePusherSpec(component_spec.ComponentSpec):
    """What the pusher reads and writes."""

    PARAMETERS = {
        "version": component_spec.ExecutionParameter(type=int),
        "releases": component_spec.ExecutionParameter(type=str),
        "model_name": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "data_verdict": component_spec.ChannelParameter(type=Verdict),
        "model_verdict": component_spec.ChannelParameter(type=Verdict),
    }
    OUTPUTS = {"pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel)}


class ReleasePusherExecutor(base_executor.BaseExecutor):
    """Reads the evidence from disk once more, whatever colour the gates' tasks have, and publishes only what was judged good."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See base class.

        Raises:
          ReleaseRefused: if a verdict is neither PASS nor WAIVED, the model is not blessed, or the evidence cannot be read.
          ServingError: if publishing does not work, among others because the model's bytes are not the ones judged.
        """
        name, version = exec_properties["model_name"], exec_properties["version"]
        folders = {key: pathlib.Path(artifact_utils.get_single_uri(input_dict[key])) for key in ReleasePusherSpec.INPUTS}
        reasons, digest = _evidence(folders)
        if reasons or digest is None:
            raise ReleaseRefused(name, version, tuple(reasons))
        exported = pathlib.Path(path_utils.serving_model_path(str(folders["model"])))
        published = publish(exported, pathlib.Path(exec_properties["releases"]), version, digest)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        receipt = {"name": name, "version": version, "digest": published.digest}
        folder = pathlib.Path(pushed.uri)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "release.json").write_text(json.dumps(receipt, sort_keys=True) + "\n", encoding="utf-8")
        pushed.set_int_custom_property("pushed", 1)
        pushed.set_string_custom_property("pushed_destination", str(published.path))
        pushed.set_string_custom_property("pushed_version", str(version))
        pushed.set_string_custom_property("release_digest", published.digest)
        state = "published" if published.fresh else "was published before, unchanged"
        logging.info("release %s of %s %s at %s (%s)", version, name, state, published.path, published.digest)


class ReleasePusher(base_component.BaseComponent):
    """Publishes a model that both gates and TFMA found good."""

    SPEC_CLASS = ReleasePusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(ReleasePusherExecutor)

    def __init__(
        self,
        model: channel.BaseChannel,
        blessing: channel.BaseChannel,
        data_verdict: channel.BaseChannel,
        model_verdict: channel.BaseChannel,
        version: int,
        releases: str,
        name: str,
    ) -> None:
        """Wires the pusher.

        Args:
          model: The model.
          blessing: Evaluator's blessing of it.
          data_verdict: The data gate's verdict.
          model_verdict: The model gate's verdict.
          version: The release's number, from the data.
          releases: Folder of the model's releases in the release store.
          name: The model's name, for people.
        """
        inputs = {"model": model, "blessing": blessing, "data_verdict": data_verdict, "model_verdict": model_verdict}
        parameters = {"version": version, "releases": releases, "model_name": name}
        super().__init__(ReleasePusherSpec(**inputs, **parameters, pushed_model=channel.Channel(type=standard_artifacts.PushedModel)))


def _evidence(folders: dict[str, pathlib.Path]) -> tuple[list[str], str | None]:
    """Every reason not to release, and the digest of the model that was judged."""
    reasons, digest, excused = list[str](), None, False
    for key, gate in (("data_verdict", "data_gate"), ("model_verdict", "model_gate")):
        try:
            verdict = verdict_file.read(folders[key], gate)
        except VerdictFileError as error:
            reasons.append(str(error))
            continue
        if not verdict.decision.opens:
            reasons.append(verdict.summary())
        reasons += waivers.groundless(verdict)
        excused = excused or model_rules.explains_no_blessing(verdict)
        if gate == "model_gate" and (digest := model_rules.judged_digest(verdict)) is None:
            reasons.append("the verdict of model_gate names no model; run model_gate again")
    try:
        if not is_blessed(folders["blessing"]) and not excused:
            reasons.append("evaluator did not bless the model")
    except EvidenceError as error:
        reasons.append(str(error))
    return reasons, digest
