"""Looked-at columns and their cells -> the schema that TFDV infers of them, for people to review, as a text with remarks.

What is inferred is what was there: a bound on a number is a guess that new data may well refute, so there is none but 0 for whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from google.protobuf import text_format
from tensorflow_data_validation.api.validation_api import infer_schema
from tensorflow_data_validation.statistics import stats_impl, stats_options
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components import typed_rows
from components.landed_rows import SPAN
from waybill.scaffold.cells import Part
from waybill.scaffold.columns import DOMAIN, Column

_HEAD = """\
# A row of {name}, as it is delivered, and the column that ingestion adds.
# Inferred from {rows} rows in {parts} partitions; from here on curated by hand and reviewed like code: names, types,
# presence and domains here are what every stop goes by, and nothing changes them by itself.
# `waybill schema diff {name}` shows what does not fit.
# Presence is checked per split of a span: min_fraction is the smallest share of rows with a value.

default_environment: "TRAINING"
default_environment: "SERVING"

"""
_SPAN = """\
# Added by example_gen: start of the interval that the row was delivered for, as YYYYMMDDHHMM. For slicing, never a feature of the model.
"""
_ORDER = ("name", "type", "presence", "value_count")
_MASS = 0.98  # of the words of a column, so many at least are those of its domain


def schema_of(columns: Sequence[Column], parts: Sequence[Part], label: str = "") -> schema_pb2.Schema:
    """The schema of all partitions together.

    Args:
      columns: What each column holds.
      parts: The partitions.
      label: Name of the label, which no request has; all its values are in its domain.
    """
    rough = _types(columns)
    inferred = infer_schema(statistics([part.table for part in parts], rough), infer_feature_shape=False, max_string_domain_size=DOMAIN)
    found = {feature.name: feature for feature in inferred.feature}
    schema = schema_pb2.Schema(default_environment=["TRAINING", "SERVING"])
    domains = {domain.name: domain for domain in inferred.string_domain}
    for column in columns:
        feature = schema_pb2.Feature(name=column.name, type=schema_pb2.FeatureType.Value(column.kind))
        _presence(feature, column, parts)
        feature.value_count.min = feature.value_count.max = 1
        _numbers(feature, column)
        was = found.get(column.name)
        if was is not None and was.domain and column.kind == "BYTES" and (column.treatment or column.name == label):
            feature.domain = was.domain
            schema.string_domain.add().CopyFrom(domains[was.domain])
            if column.name != label:
                feature.distribution_constraints.min_domain_mass = _MASS
        if column.name == label:
            feature.not_in_environment.append("SERVING")
        schema.feature.add().CopyFrom(feature)
    schema.feature.add().CopyFrom(_span())
    return schema


def text_of(name: str, schema: schema_pb2.Schema, columns: Sequence[Column], parts: Sequence[Part], label: str = "") -> str:
    """The schema as the text of its file, with a remark where a column is not taken."""
    why = {column.name: column.why for column in columns}
    rows = sum(part.table.num_rows for part in parts)
    texts = [_HEAD.format(name=name, rows=rows, parts=len(parts))]
    for feature in schema.feature:
        remark = _SPAN if feature.name == SPAN else f"# {why[feature.name]}.\n" if why.get(feature.name) else ""
        remark = "# The label: a request for a score does not have it.\n" if feature.name == label else remark
        texts.append(f"{remark and chr(10)}{remark}{block('feature', feature)}")
    texts += [f"\n{block('string_domain', domain)}" for domain in schema.string_domain]
    return "".join(texts)


def block(word: str, message: schema_pb2.Feature | schema_pb2.StringDomain) -> str:
    """A message as schemas are written here: a field in each line, what is in it beside it."""
    lines = []
    for field, value in sorted(message.ListFields(), key=lambda found: _place(found[0].name)):
        for one in value if field.is_repeated else [value]:
            alone = type(message)()
            if field.is_repeated:
                getattr(alone, field.name).append(one) if field.message_type is None else getattr(alone, field.name).add().CopyFrom(one)
            elif field.message_type is None:
                setattr(alone, field.name, one)
            else:
                getattr(alone, field.name).CopyFrom(one)
            lines.append("  " + text_format.MessageToString(alone, as_one_line=True, as_utf8=True).strip() + "\n")
    return f"{word} {{\n{''.join(lines)}}}\n"


def _place(field: str) -> tuple[int, str]:
    """Where a field stands: as a person would tell it, the rest by name."""
    return (_ORDER.index(field) if field in _ORDER else len(_ORDER), field)


def statistics(tables: Sequence[pa.Table], schema: schema_pb2.Schema) -> statistics_pb2.DatasetFeatureStatisticsList:
    """What TFDV counts in rows that are typed by a schema, without the column that ingestion adds."""
    [cells] = pa.concat_tables(tables).combine_chunks().to_batches()
    rows = typed_rows.lists(typed_rows.typed(cells, schema, ()))
    return stats_impl.generate_statistics_in_memory(rows, stats_options.StatsOptions(schema=schema))


def _types(columns: Sequence[Column]) -> schema_pb2.Schema:
    """A schema that says the columns' types alone."""
    features = [schema_pb2.Feature(name=column.name, type=schema_pb2.FeatureType.Value(column.kind)) for column in columns]
    for feature, column in zip(features, columns, strict=True):
        if column.kind == "INT" and column.categorical:
            feature.int_domain.is_categorical = True
    return schema_pb2.Schema(feature=features)


def _presence(feature: schema_pb2.Feature, column: Column, parts: Sequence[Part]) -> None:
    """How often there is a value: always, or half as often as where it is rarest; nothing where a partition has none."""
    lengths = [pc.binary_length(part.table[column.name]) for part in parts]
    least = min(pc.sum(pc.greater(length, 0)).as_py() / len(length) for length in lengths)
    if least:
        feature.presence.min_fraction = 1.0 if column.present == column.rows else math.floor(least * 50) / 100
        feature.presence.min_count = 1


def _numbers(feature: schema_pb2.Feature, column: Column) -> None:
    """What numbers may be."""
    if column.kind == "FLOAT":
        feature.float_domain.disallow_nan = not any(value != value for value in column.numbers)
        feature.float_domain.disallow_inf = True
    elif column.kind == "INT":
        feature.int_domain.min = 0
        if column.categorical:
            feature.int_domain.min, feature.int_domain.max = int(column.numbers.min()), int(column.numbers.max())
            feature.int_domain.is_categorical = True


def _span() -> schema_pb2.Feature:
    feature = schema_pb2.Feature(name=SPAN, type=schema_pb2.INT, not_in_environment=["SERVING"])
    feature.presence.min_fraction, feature.presence.min_count = 1.0, 1
    feature.value_count.min = feature.value_count.max = 1
    feature.int_domain.min, feature.int_domain.max = 190001010000, 999912312359
    return feature
