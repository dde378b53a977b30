"""A gate's finding -> an MLMD artifact that later stops can demand."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

from absl import logging
from tfx.types.artifact import Artifact, Property, PropertyType

from waybill.gates import report
from waybill.gates.report_plot import Plot
from waybill.records import verdict as records
from waybill.records import verdict_file


class Verdict(Artifact):
    """A folder with `verdict.json`: what a gate decided, rule by rule; `report.html` beside it shows the same to people.

    Properties:
      gate: Node id of the gate that wrote it.
      decision: `PASS`, `WAIVED` or `BLOCKED`, as in the file. The file is the evidence; the property is for queries.
    """

    TYPE_NAME = "WaybillVerdict"
    PROPERTIES = {"gate": Property(type=PropertyType.STRING), "decision": Property(type=PropertyType.STRING)}


class Promotion(Artifact):
    """A folder with `promotion.json`: what a promoter decided about a release.

    Properties:
      outcome: `promoted`, `held`, or `asked`: another person has to agree, and the journal says what came of it.
      version: The release's version.
      says: The decision in a sentence, with its reasons.
    """

    TYPE_NAME = "WaybillPromotion"
    PROPERTIES = {
        "outcome": Property(type=PropertyType.STRING),
        "version": Property(type=PropertyType.STRING),
        "says": Property(type=PropertyType.STRING),
    }


def record(verdict: records.Verdict, artifact: Artifact, draw: Callable[[], Sequence[Plot]] = tuple) -> None:
    """Writes a gate's verdict and the page about it into its artifact, and tells the log.

    A function and no method, because the launcher hands executors an artifact of a class it made from MLMD's type.

    Args:
      verdict: The verdict.
      artifact: Where it goes; the launcher has noted on it which run it belongs to.
      draw: Makes the plots of the page; if it fails, the page says so, and the verdict stands.
    """
    verdict_file.write(pathlib.Path(artifact.uri), verdict)
    report.write(pathlib.Path(artifact.uri), verdict, _about(artifact), draw)
    artifact.gate = verdict.gate
    artifact.decision = verdict.decision.value
    logging.info("%s", verdict.summary())


def _about(artifact: Artifact) -> dict[str, str]:
    """The run that an artifact belongs to, in words; empty outside of a run."""
    noted = artifact.mlmd_artifact.custom_properties
    words = {name: value.string_value or str(value.int_value) for name, value in noted.items()}
    if not {"pipeline", "unit", "interval_start", "interval_end", "generation", "run_spec"} <= set(words):
        return {}
    return {
        "run": words["unit"],
        "pipeline": words["pipeline"],
        "interval": f"{_moment(words['interval_start'])} to {_moment(words['interval_end'])}",
        "generation": words["generation"],
        "run spec": words["run_spec"],
    }


def _moment(text: str) -> str:
    """A moment as people write it: a date where it is midnight in UTC."""
    return text.removesuffix("T00:00:00+00:00")
