"""TFDV's files of one split -> what the data gate weighs, as plain values."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from waybill.gates import data_words
from waybill.gates.errors import EvidenceError
from waybill.gates.spread import Spread

WHOLE_DATASET = "the whole split"  # the subject of an anomaly that is about no single feature


@dataclasses.dataclass(frozen=True)
class Finding:
    """One anomaly.

    Attributes:
      feature: The feature it is about, or `WHOLE_DATASET`.
      kind: TFDV's name of the kind (`AnomalyInfo.Type`).
      says: TFDV's sentence.
      expected: What the schema asks of the feature.
      facts: What the statistics say of it.
      unexpected_share: For values outside the domain, their share of all values, rounded up where the statistics are cut; else None.
    """

    feature: str
    kind: str
    says: str
    expected: str
    facts: tuple[str, ...]
    unexpected_share: float | None


@dataclasses.dataclass(frozen=True)
class SplitEvidence:
    """One split of one span.

    Attributes:
      name: Its name.
      rows: How many rows its statistics counted.
      findings: Its anomalies.
      spreads: How the rows are spread over each feature's values.
    """

    name: str
    rows: int
    findings: tuple[Finding, ...]
    spreads: Mapping[str, Spread] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class SpanEvidence:
    """One span.

    Attributes:
      span: Its number.
      splits: What was found in each split.
      rows_source: Rows in the landed partition, or None when ingestion did not say.
      rows_written: Rows that ingestion wrote, by split; empty when it did not say.
    """

    span: int
    splits: tuple[SplitEvidence, ...]
    rows_source: int | None
    rows_written: Mapping[str, int]

    @property
    def rows(self) -> int:
        """Rows in the statistics of all splits."""
        return sum(split.rows for split in self.splits)

    def split(self, name: str) -> SplitEvidence | None:
        """The split of that name, if there is one."""
        return next((split for split in self.splits if split.name == name), None)


def read_schema(folder: pathlib.Path) -> schema_pb2.Schema:
    """Reads the schema of a Schema artifact.

    Raises:
      EvidenceError: if it is missing or damaged.
    """
    path = folder / "schema.pbtxt"
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise EvidenceError(f"cannot read the schema at {str(path)!r}: {error}; run schema_gen again") from error


def read_split(name: str, anomalies: pathlib.Path, statistics: pathlib.Path, schema: schema_pb2.Schema) -> SplitEvidence:
    """Reads what ExampleValidator and StatisticsGen wrote about a split.

    Args:
      name: The split's name.
      anomalies: Folder of the ExampleAnomalies artifact.
      statistics: Folder of the ExampleStatistics artifact.
      schema: The schema they were validated against.

    Raises:
      EvidenceError: if a file is missing or damaged.
    """
    found = anomalies_pb2.Anomalies()
    _parse(anomalies / f"Split-{name}" / "SchemaDiff.pb", found, "example_validator")
    counted = statistics_pb2.DatasetFeatureStatisticsList()
    _parse(statistics / f"Split-{name}" / "FeatureStats.pb", counted, "statistics_gen")
    if len(counted.datasets) != 1:
        raise EvidenceError(f"the statistics of split {name} in {str(statistics)!r} hold {len(counted.datasets)} datasets; expected 1")
    rows = counted.datasets[0].num_examples
    spreads = {_feature_name(measured): Spread.read(measured, rows) for measured in counted.datasets[0].features}
    return SplitEvidence(name, rows, tuple(findings(found, counted, schema)), spreads)


def findings(
    found: anomalies_pb2.Anomalies, counted: statistics_pb2.DatasetFeatureStatisticsList, schema: schema_pb2.Schema
) -> list[Finding]:
    """TFDV's anomalies, each beside what the schema asks and what was counted."""
    stats = {_feature_name(f): f for f in counted.datasets[0].features}
    said = [
        finding for key, info in sorted(found.anomaly_info.items()) for finding in _findings(_anomalous(key, info), info, schema, stats)
    ]
    if found.HasField("dataset_anomaly_info"):
        said += _findings(WHOLE_DATASET, found.dataset_anomaly_info, schema, stats)
    if found.data_missing:
        said.append(Finding(WHOLE_DATASET, "NO_DATA_IN_SPAN", "There are no rows.", "rows", (), None))
    return said


def _findings(
    feature: str,
    info: anomalies_pb2.AnomalyInfo,
    schema: schema_pb2.Schema,
    stats: Mapping[str, statistics_pb2.FeatureNameStatistics],
) -> list[Finding]:
    """One finding per reason of an anomaly: TFDV folds several into one and keeps the kinds in `reason`.

    An anomaly without any reason is of an unknown kind, which blocks.
    """
    declared = next((f for f in schema.feature if f.name == feature), None)
    measured = stats.get(feature)
    expected = data_words.expected(declared, schema)
    facts = data_words.facts(measured)
    found = []
    for reason in info.reason or [info]:
        kind = anomalies_pb2.AnomalyInfo.Type.Name(reason.type if reason is not info else info.UNKNOWN_TYPE)
        share: float | None = None
        strangers: tuple[str, ...] = ()
        if kind == "ENUM_TYPE_UNEXPECTED_STRING_VALUES" and measured is not None and declared is not None:
            share, strangers = data_words.outside(measured, data_words.domain(declared, schema))
        found.append(Finding(feature, kind, reason.description or reason.short_description, expected, strangers or facts, share))
    return found


def _anomalous(key: str, info: anomalies_pb2.AnomalyInfo) -> str:
    """Name of the feature an anomaly is about."""
    return ".".join(info.path.step) or key


def _feature_name(stats: statistics_pb2.FeatureNameStatistics) -> str:
    """Name of the feature that statistics are about."""
    return stats.name or ".".join(stats.path.step)


def _parse(path: pathlib.Path, message: Message, node: str) -> None:
    """Reads a binary proto."""
    try:
        message.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise EvidenceError(f"cannot read {str(path)!r}, which {node} writes: {error}; run {node} again") from error
