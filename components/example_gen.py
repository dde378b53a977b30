"""A landed partition -> tf.Examples in two splits.

The stop reads exactly the bytes that the run was frozen with, types them by the curated schema, adds the column `span` and the formats and
sizes of images, and puts each row into its split by a hash of its own text. Rows in are rows out, or the stop fails.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import tensorflow as tf
from absl import logging
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components.example_gen import utils as example_gen_utils
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts
from tfx.utils import io_utils

from components import images, typed_rows
from components.landed_rows import SPAN, LandedRows

SPLITS = ("train", "eval")
_FILE = "data-00000-of-00001.gz"


class RowsLost(Exception):
    """Not every row that was read was written; nothing of the output may be used."""


@dataclasses.dataclass(frozen=True)
class Ingestion:
    """How a partition becomes examples.

    Attributes:
      source: The partition's rows.
      schema: The curated schema.
      span: Value of the added column.
      buckets: Number of buckets that rows are hashed into.
      eval_buckets: How many of them are the eval split; the others are the train split.
    """

    source: LandedRows
    schema: schema_pb2.Schema
    span: int
    buckets: int
    eval_buckets: int

    def write(self, folders: Sequence[pathlib.Path]) -> tuple[int, ...]:
        """Writes the splits and returns their numbers of rows.

        A column with a cell that is not of its type is written as bytes as a whole, so that validation has something to say about it.

        Args:
          folders: One folder per split, in the order of `SPLITS`.

        Raises:
          CorruptPartition: if the partition's bytes are not those of its manifest, or cannot be read.
          RowsLost: if the rows written are not as many as the manifest says.
        """
        unreadable: dict[str, str] = {}
        counts = self._pass(folders, unreadable)
        if unreadable:
            for name, why in unreadable.items():
                logging.warning("span %d: column %s is kept as bytes: %s", self.span, name, why)
            counts = self._pass(folders, unreadable)
        if sum(counts) != self.source.manifest.rows:
            raise RowsLost(
                f"span {self.span}: {self.source.manifest.rows} rows landed and {sum(counts)} were written; expected all; run it again"
            )
        return counts

    def _pass(self, folders: Sequence[pathlib.Path], unreadable: dict[str, str]) -> tuple[int, ...]:
        """Reads all rows and writes them; once columns turn out unreadable it writes no more, and only finds the others."""
        pictures = images.columns(self.schema)
        ours = (SPAN, *images.added(pictures))
        known = [feature.name for feature in self.schema.feature if feature.name not in ours]
        as_bytes, encoder, counts = frozenset(unreadable), typed_rows.Encoder(), [0] * len(folders)
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        with contextlib.ExitStack() as stack:
            writers = [stack.enter_context(tf.io.TFRecordWriter(str(folder / _FILE), options)) for folder in folders]
            for cells in self.source.batches(reserved=ours):
                try:
                    rows = typed_rows.typed(cells, self.schema, as_bytes)
                except typed_rows.UnreadableCells as error:
                    unreadable.update({name: why for name, why in error.columns.items() if name not in unreadable})
                    continue
                if len(unreadable) > len(as_bytes):
                    continue
                rows = images.beside(rows.append_column(SPAN, pa.array([self.span] * rows.num_rows, pa.int64())), cells, pictures)
                for_eval = typed_rows.buckets(cells, known, self.buckets) < self.eval_buckets
                for index, example in zip(for_eval.astype(int), encoder.encode(rows), strict=True):
                    writers[index].write(example)
                    counts[index] += 1
        return tuple(counts)


class PartitionExampleGenSpec(component_spec.ComponentSpec):
    """What ingestion reads and writes."""

    PARAMETERS = {
        "path": component_spec.ExecutionParameter(type=str),
        "partition_digest": component_spec.ExecutionParameter(type=str),
        "span": component_spec.ExecutionParameter(type=int),
        "version": component_spec.ExecutionParameter(type=int),
        "buckets": component_spec.ExecutionParameter(type=int),
        "eval_buckets": component_spec.ExecutionParameter(type=int),
    }
    INPUTS = {"schema": component_spec.ChannelParameter(type=standard_artifacts.Schema)}
    OUTPUTS = {"examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)}


class PartitionExampleGenExecutor(base_executor.BaseExecutor):
    """Ingests one partition and notes on the artifact what it did."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See base class.

        Raises:
          LandingError: if the partition is not the one that the run was frozen with.
          RowsLost: if a row that was read was not written.
        """
        schema_file = io_utils.get_only_uri_in_dir(artifact_utils.get_single_uri(input_dict["schema"]))
        source = LandedRows.open(pathlib.Path(exec_properties["path"]), exec_properties["partition_digest"])
        ingestion = Ingestion(
            source,
            io_utils.parse_pbtxt_file(schema_file, schema_pb2.Schema()),
            exec_properties["span"],
            exec_properties["buckets"],
            exec_properties["eval_buckets"],
        )
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        folders = [pathlib.Path(artifact_utils.get_split_uri([examples], split)) for split in SPLITS]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        counts = ingestion.write(folders)
        _note(examples, exec_properties, dict(zip(SPLITS, counts, strict=True)), source.manifest.rows)
        logging.info("span %d: %d rows, %s", ingestion.span, sum(counts), dict(zip(SPLITS, counts, strict=True)))


class PartitionExampleGen(base_component.BaseComponent):
    """Ingests the partition that the run spec names."""

    SPEC_CLASS = PartitionExampleGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PartitionExampleGenExecutor)

    def __init__(
        self,
        schema: channel.BaseChannel,
        path: str,
        partition_digest: str,
        span: int,
        version: int,
        buckets: int = 3,
        eval_buckets: int = 1,
    ) -> None:
        """Wires the stop.

        Args:
          schema: The curated Schema.
          path: The partition's folder.
          partition_digest: The partition's digest in the run spec.
          span: The span's number.
          version: TFX's version of the span, from the partition's digest.
          buckets: Number of buckets that rows are hashed into.
          eval_buckets: How many of them are the eval split.

        Raises:
          ValueError: if a split would never get a row.
        """
        if not 0 < eval_buckets < buckets:
            raise ValueError(f"got {eval_buckets} eval buckets of {buckets}; expected at least 1 and fewer than all")
        parameters = {"path": path, "partition_digest": partition_digest, "span": span, "version": version}
        parameters |= {"buckets": buckets, "eval_buckets": eval_buckets}
        super().__init__(PartitionExampleGenSpec(**parameters, schema=schema, examples=channel.Channel(type=standard_artifacts.Examples)))


def _note(examples: types.Artifact, exec_properties: dict[str, Any], counts: dict[str, int], rows: int) -> None:
    """Sets the properties that TFX's readers need, and the row counts that the data gate compares."""
    examples.span = exec_properties["span"]
    examples.version = exec_properties["version"]
    examples.set_string_custom_property(example_gen_utils.FINGERPRINT_PROPERTY_NAME, exec_properties["partition_digest"])
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples.set_int_custom_property("rows_source", rows)
    for split, count in counts.items():
        examples.set_int_custom_property(f"rows_{split}", count)
