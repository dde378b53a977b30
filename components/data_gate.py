"""Statistics and anomalies of the window's spans -> a verdict on the data.

One row in a hundred with a value that nobody knows is a warning; one in ten turns the run red here, before anything is trained on it.
"""

from __future__ import annotations

import pathlib
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts

from components import serving_sample
from components.row_counts import RowCounts
from components.types import Verdict, record
from waybill.gates import data_rules, report_data, waivers
from waybill.gates.data_evidence import SpanEvidence, read_schema, read_split
from waybill.gates.policy import DataPolicy
from waybill.gates.report_plot import Plot
from waybill.records import verdict as records
from waybill.records.run_spec import Partition

GATE = "data_gate"


class DataGateSpec(component_spec.ComponentSpec):
    """What the data gate reads and writes; each of its three per-span inputs carries one artifact per span of the window."""

    PARAMETERS = {
        "policy": component_spec.ExecutionParameter(type=str),
        "sample_path": component_spec.ExecutionParameter(type=str),
        "sample_digest": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "anomalies": component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        "statistics": component_spec.ChannelParameter(type=standard_artifacts.ExampleStatistics),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "schema": component_spec.ChannelParameter(type=standard_artifacts.Schema),
    }
    OUTPUTS = {"verdict": component_spec.ChannelParameter(type=Verdict)}


class DataGateExecutor(base_executor.BaseExecutor):
    """Weighs what TFDV found in each span and writes the verdict; a bad verdict is an outcome, not an error."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See base class.

        Raises:
          PolicyError: if the policy cannot be applied.
          EvidenceError: if a file that must be looked at is missing or damaged.
          LandingError: if the serving sample is not the one that the run was frozen with.
        """
        policy = DataPolicy.from_json(exec_properties["policy"])
        by_kind = {kind: {a.span: a for a in input_dict[kind]} for kind in ("examples", "statistics", "anomalies")}
        rules = [data_rules.same_spans({kind: [a.span for a in input_dict[kind]] for kind in by_kind})]
        left_out: tuple[int, ...] = ()
        if rules[0].outcome is records.RuleOutcome.PASS:
            schema = read_schema(pathlib.Path(artifact_utils.get_single_uri(input_dict["schema"])))
            spans = []
            for span, anomalies in by_kind["anomalies"].items():
                splits = {kind: artifact_utils.decode_split_names(artifacts[span].split_names) for kind, artifacts in by_kind.items()}
                rules.append(data_rules.same_splits(span, splits))
                folders = pathlib.Path(anomalies.uri), pathlib.Path(by_kind["statistics"][span].uri)
                both = [name for name in splits["anomalies"] if name in splits["statistics"]]
                found = tuple(read_split(name, *folders, schema) for name in both)
                counts = RowCounts.of(by_kind["examples"][span])
                spans.append(SpanEvidence(span, found, counts.source, counts.written))
            sample = None
            if policy.skew and exec_properties["sample_path"]:
                sample = serving_sample.read(pathlib.Path(exec_properties["sample_path"]), exec_properties["sample_digest"], schema)
            judged, left_out = data_rules.judge(spans, [feature.name for feature in schema.feature], policy, sample)
            rules += judged
        verdict = waivers.judge(GATE, rules, left_out)
        record(verdict, artifact_utils.get_single_instance(output_dict["verdict"]), lambda: _plots(input_dict, verdict))


class DataGate(base_component.BaseComponent):
    """Judges the window's data against the schema and the policy."""

    SPEC_CLASS = DataGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(DataGateExecutor)

    def __init__(
        self,
        anomalies: channel.BaseChannel,
        statistics: channel.BaseChannel,
        examples: channel.BaseChannel,
        schema: channel.BaseChannel,
        policy: str,
        sample: Partition | None = None,
    ) -> None:
        """Wires the gate.

        Args:
          anomalies: ExampleAnomalies of every span of the window.
          statistics: ExampleStatistics of the same spans.
          examples: Examples of the same spans, with row counts as custom properties `rows_source` and `rows_<split>`.
          schema: The curated Schema.
          policy: `DataPolicy.to_json()`.
          sample: What the model was asked during the interval, if the run was frozen with such a sample.
        """
        parameters = {"policy": policy, "sample_path": sample.path if sample else "", "sample_digest": sample.digest if sample else ""}
        inputs = {"anomalies": anomalies, "statistics": statistics, "examples": examples, "schema": schema}
        super().__init__(DataGateSpec(**inputs, **parameters, verdict=channel.Channel(type=Verdict)))


def _plots(inputs: dict[str, list[types.Artifact]], verdict: records.Verdict) -> list[Plot]:
    """What the page about the verdict shows of the statistics."""
    schema = read_schema(pathlib.Path(artifact_utils.get_single_uri(inputs["schema"])))
    statistics = {a.span: (pathlib.Path(a.uri), artifact_utils.decode_split_names(a.split_names)) for a in inputs["statistics"]}
    kept = {span: found for span, found in statistics.items() if span not in verdict.left_out}
    return report_data.plots(kept, schema, verdict)
