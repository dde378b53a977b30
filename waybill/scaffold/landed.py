"""A pipeline's landed partitions -> how they differ from its curated schema, and a schema that they fit.

Nothing is written here. What differs is told as the data gate would tell it, with what a person could change.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Sequence

from google.protobuf import text_format
from tensorflow_data_validation.api.validation_api import update_schema, validate_statistics
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components.serving_sample import statistics
from waybill.gates.data_evidence import Finding, findings
from waybill.launch.partitions import LandingArea, read_manifest
from waybill.launch.window import interval_from
from waybill.records.errors import RecordError
from waybill.records.graph import PipelineSettings
from waybill.records.interval import Interval, parse_moment
from waybill.scaffold.columns import DOMAIN
from waybill.scaffold.folder import Delivered

TRAINING = "TRAINING"
_ADVICE = {
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": "add the values to its domain, if they are right",
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": "lower presence.min_fraction, if it may be missing so often",
    "FEATURE_TYPE_LOW_NUMBER_PRESENT": "lower presence.min_count, if it may be missing so often",
    "SCHEMA_MISSING_COLUMN": "remove its feature, and its treatment, if it will not come back",
    "SCHEMA_NEW_COLUMN": "add a feature, if the model is to take it",
    "UNEXPECTED_DATA_TYPE": "change its type, if the values are right",
    "INT_TYPE_BIG_INT": "raise int_domain.max, if the values are right",
    "INT_TYPE_SMALL_INT": "lower int_domain.min, if the values are right",
    "FLOAT_TYPE_BIG_FLOAT": "raise float_domain.max, if the values are right",
    "FLOAT_TYPE_SMALL_FLOAT": "lower float_domain.min, if the values are right",
    "FLOAT_TYPE_HAS_NAN": "take disallow_nan away, if NaN means something",
}
_OTHERWISE = "change what the schema says of it, if the data are right"


@dataclasses.dataclass(frozen=True)
class Landed:
    """One landed partition, counted.

    Attributes:
      interval: Its interval.
      counted: TFDV's statistics of its rows.
    """

    interval: Interval
    counted: statistics_pb2.DatasetFeatureStatisticsList


def read_schema(path: pathlib.Path) -> schema_pb2.Schema:
    """Reads a curated schema.

    Raises:
      RecordError: if it is missing or no schema.
    """
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise RecordError(f"cannot read the schema {path.name}: {error}; expected TFDV's Schema as text; mend it") from error


def intervals(settings: PipelineSettings, landing: pathlib.Path, asked: Sequence[str]) -> list[Interval]:
    """The intervals that were asked for, or all that have landed, oldest first.

    Raises:
      RecordError: if nothing has landed, or one is not the pipeline's.
    """
    if asked:
        return [interval_from(settings, parse_moment(start)) for start in asked]
    folder = landing / settings.name
    found = [read_manifest(path).interval for path in folder.glob("[!.]*") if path.is_dir()]
    if not found:
        raise RecordError(
            f"nothing has landed for {settings.name}; expected a partition; land one: waybill land {settings.name} --from FOLDER"
        )
    return sorted(found)


def delivered(settings: PipelineSettings, landing: pathlib.Path, interval: Interval) -> Delivered:
    """A landed partition's files, checked.

    Raises:
      LandingError: if it is not there or damaged.
    """
    partition = LandingArea(landing, settings.name).partition(interval)
    folder = pathlib.Path(partition.path)
    return Delivered(interval.start, tuple(folder / file.name for file in read_manifest(folder).files))


def read(settings: PipelineSettings, landing: pathlib.Path, interval: Interval, schema: schema_pb2.Schema) -> Landed:
    """Counts a landed partition.

    Raises:
      LandingError: if it is not there or damaged.
    """
    partition = LandingArea(landing, settings.name).partition(interval)
    return Landed(interval, statistics(pathlib.Path(partition.path), partition.digest, schema, interval.span))


def differences(landed: Landed, schema: schema_pb2.Schema) -> list[Finding]:
    """How a partition differs from the schema."""
    return findings(validate_statistics(landed.counted, schema, environment=TRAINING), landed.counted, schema)


def advice(finding: Finding) -> str:
    """What a person could change."""
    return f"correct the data; or {_ADVICE.get(finding.kind, _OTHERWISE)}"


def fitting(schema: schema_pb2.Schema, landed: Sequence[Landed]) -> schema_pb2.Schema:
    """The schema, changed as far as the partitions do not fit it."""
    before = {feature.name: (feature.presence.min_fraction,) for feature in schema.feature}
    # Twice, because what a later one brings along, an earlier one lacks.
    for partition in (*landed, *landed):
        if differences(partition, schema):
            schema = update_schema(schema, partition.counted, infer_feature_shape=False, max_string_domain_size=DOMAIN)
    for feature in schema.feature:
        share = feature.presence.min_fraction
        if share < 1 and share not in before.get(feature.name, ()):  # exactly what was found; the next interval has a little less
            feature.presence.min_fraction = math.floor(share * 50) / 100
    return schema
