"""A gate's finding -> an MLMD artifact that later stops can demand."""

from __future__ import annotations

from tfx.types.artifact import Artifact, Property, PropertyType


class Verdict(Artifact):
    """A folder with `verdict.json`: what a gate decided, rule by rule.

    Properties:
      gate: Node id of the gate that wrote it.
      decision: `PASS` or `BLOCKED`, as in the file. The file is the evidence; the property is for queries.
    """

    TYPE_NAME = "WaybillVerdict"
    PROPERTIES = {"gate": Property(type=PropertyType.STRING), "decision": Property(type=PropertyType.STRING)}
