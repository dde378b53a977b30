"""A release -> what is decided about it: promoted to the TensorFlow Serving base path, held with the reasons, or asked for."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts

from components.types import Promotion
from waybill.launch import installation
from waybill.serving import base_path, releases
from waybill.serving.errors import ServingError
from waybill.serving.promotion import Desk


class PromoterSpec(component_spec.ComponentSpec):
    """What the promoter reads and writes."""

    PARAMETERS: dict[str, Any] = {}
    INPUTS = {"pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel)}
    OUTPUTS = {"promotion": component_spec.ChannelParameter(type=Promotion)}


class PromoterExecutor(base_executor.BaseExecutor):
    """Reads all verdicts and bytes once more, decides, and brings the base path to what is decided."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See base class.

        Raises:
          ReleaseRefused: if the evidence does not allow the release to be served.
          ServingError: if the base path cannot be brought to what is decided.
        """
        here = installation.current()
        if here is None:
            raise ServingError("a promoter decides from the record, which only Waybill's launcher gives it; run it with `waybill run`")
        pushed = artifact_utils.get_single_instance(input_dict["pushed_model"])
        version = int(pushed.get_string_custom_property("pushed_version"))
        spec = here.lineage[0]
        release = releases.find(here.store, spec.pipeline, version)
        desk = Desk(here.store, here.graph, here.settings)
        decided = desk.consider(release, spec)
        served = base_path.follow(here.store, here.settings, spec.pipeline, since=desk.seen)
        logging.info("%s; served: %s", decided.says, ", ".join(map(str, served)) or "nothing")
        promotion = artifact_utils.get_single_instance(output_dict["promotion"])
        folder = pathlib.Path(promotion.uri)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "promotion.json").write_text(json.dumps(dataclasses.asdict(decided), sort_keys=True) + "\n", encoding="utf-8")
        promotion.outcome = decided.outcome
        promotion.version = str(version)
        promotion.says = decided.says


class Promoter(base_component.BaseComponent):
    """Decides whether a release is served."""

    SPEC_CLASS = PromoterSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PromoterExecutor)

    def __init__(self, pushed_model: channel.BaseChannel) -> None:
        """Wires the promoter.

        Args:
          pushed_model: The release.
        """
        super().__init__(PromoterSpec(pushed_model=pushed_model, promotion=channel.Channel(type=Promotion)))
