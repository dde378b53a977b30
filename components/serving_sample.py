"""A landed sample of what a model was asked -> how its rows are spread over each feature's values.

The sample is a partition like any other: files with the raw columns of the signature, and a manifest. Its bytes are checked as they are
read, its cells are typed by the curated schema, its images measured, and TFDV counts them as it counts what the model learns from.
"""

from __future__ import annotations

import pathlib

import pyarrow as pa
from tensorflow_data_validation.statistics import stats_impl, stats_options
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from components import images, typed_rows
from components.landed_rows import SPAN, LandedRows
from waybill.gates.data_evidence import SplitEvidence
from waybill.gates.skew import SAMPLE
from waybill.gates.spread import Spread


def read(folder: pathlib.Path, digest: str, schema: schema_pb2.Schema) -> SplitEvidence:
    """Measures a sample.

    Args:
      folder: The sample's folder.
      digest: Its digest in the run spec.
      schema: The curated schema.

    Raises:
      LandingError: if it is not the sample that the run was frozen with, or damaged.
    """
    counted = statistics(folder, digest, schema)
    found = counted.datasets[0]
    rows = int(found.num_examples)
    return SplitEvidence(SAMPLE, rows, (), {(f.name or ".".join(f.path.step)): Spread.read(f, rows) for f in found.features})


def statistics(
    folder: pathlib.Path, digest: str, schema: schema_pb2.Schema, span: int | None = None
) -> statistics_pb2.DatasetFeatureStatisticsList:
    """What TFDV counts in a landed partition's rows, typed by the schema as far as they can be.

    Args:
      folder: The partition's folder.
      digest: Its digest.
      schema: The curated schema.
      span: Value of the column that ingestion adds; None where it adds none.

    Raises:
      LandingError: if it is another partition by now, or damaged.
    """
    pictures = images.columns(schema)
    batches = list(LandedRows.open(folder, digest).batches(reserved=(SPAN, *images.added(pictures))))
    unreadable: set[str] = set()
    for batch in batches:
        try:
            typed_rows.typed(batch, schema, unreadable)
        except typed_rows.UnreadableCells as error:
            unreadable |= set(error.columns)
    rows = [typed_rows.lists(images.beside(typed_rows.typed(batch, schema, unreadable), batch, pictures)) for batch in batches]
    table = pa.concat_tables([pa.Table.from_batches([batch]) for batch in rows], promote_options="default").combine_chunks()
    if span is not None:
        table = table.append_column(SPAN, typed_rows.column_of_lists(pa.array([span] * table.num_rows, pa.int64())))
    [whole] = table.combine_chunks().to_batches()
    return stats_impl.generate_statistics_in_memory(whole, stats_options.StatsOptions(schema=schema))
