"""A gate's finding -> an MLMD artifact that later stops can demand."""

from __future__ import annotations

import pathlib

from absl import logging
from tfx.types.artifact import Artifact, Property, PropertyType

from waybill.records import verdict as records
from waybill.records import verdict_file


class Verdict(Artifact):
    """A folder with `verdict.json`: what a gate decided, rule by rule.

    Properties:
      gate: Node id of the gate that wrote it.
      decision: `PASS`, `WAIVED` or `BLOCKED`, as in the file. The file is the evidence; the property is for queries.
    """

    TYPE_NAME = "WaybillVerdict"
    PROPERTIES = {"gate": Property(type=PropertyType.STRING), "decision": Property(type=PropertyType.STRING)}


class Promotion(Artifact):
    """A folder with `promotion.json`: what a promoter decided about a release.

    Properties:
      outcome: `promoted` or `held`.
      version: The release's version.
      says: The decision in a sentence, with its reasons.
    """

    TYPE_NAME = "WaybillPromotion"
    PROPERTIES = {
        "outcome": Property(type=PropertyType.STRING),
        "version": Property(type=PropertyType.STRING),
        "says": Property(type=PropertyType.STRING),
    }


def record(verdict: records.Verdict, artifact: Artifact) -> None:
    """Writes a gate's verdict into its artifact and tells the log.

    A function and no method, because the launcher hands executors an artifact of a class it made from MLMD's type.
    """
    verdict_file.write(pathlib.Path(artifact.uri), verdict)
    artifact.gate = verdict.gate
    artifact.decision = verdict.decision.value
    logging.info("%s", verdict.summary())
