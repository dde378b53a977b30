"""A few hundred real trips -> the examples, transform graph and model that the taxi pipeline's own code makes of them, once per process."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Sequence

import taxi_data
import tensorflow as tf
import tensorflow_transform as tft
import tf_keras
from tfx.components.transform.executor import Executor as TransformExecutor
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import transform_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.example_gen import PartitionExampleGenExecutor
from pipelines.journey import BEAM_ARGS
from pipelines.taxi import land, model
from waybill.launch.landing import deliver
from waybill.records.distribution import Distribution
from waybill.records.interval import parse_moment
from waybill.records.settings import PROJECT
from waybill.training import rows
from waybill.training.recipe import Plan
from waybill.training.train import train

STEPS, SEED, RATE, SPREAD = 20, 7, 0.01, Distribution(batch_size=32)


@dataclasses.dataclass(frozen=True)
class Trained:
    """Folders of what was made.

    Attributes:
      root: Everything.
      examples: Raw examples, one artifact per span.
      transform: The transform graph.
      transformed: Transformed examples, one artifact per span.
      keras: The model as it was trained.
      model: The same one, saved.
      run: TensorBoard's logs.
    """

    root: pathlib.Path
    examples: tuple[standard_artifacts.Examples, ...]
    transform: pathlib.Path
    transformed: tuple[standard_artifacts.Examples, ...]
    keras: tf_keras.Model
    model: pathlib.Path
    run: pathlib.Path

    @property
    def transform_output(self) -> tft.TFTransformOutput:
        return tft.TFTransformOutput(str(self.transform))

    def serialized(self, split: str, transformed: bool = False) -> list[bytes]:
        """The split's examples of all spans."""
        return list(rows.read(self.patterns(split, transformed)).as_numpy_iterator())

    def patterns(self, split: str, transformed: bool = True) -> list[str]:
        return [f"{e.uri}/Split-{split}/*" for e in (self.transformed if transformed else self.examples)]

    def train(self, folder: pathlib.Path, plan: Plan, rate: float = RATE, patterns: list[str] | None = None) -> tf_keras.Model:
        """Another model from the same rows, or from the same rows elsewhere; its logs and checkpoints go to folders in `folder`."""
        files = patterns or self.patterns("train"), self.patterns("eval")
        recipe = model.LEARNER.recipe(self.transform_output, rate, SPREAD)
        return train(recipe, plan, SPREAD, *files, str(folder / "run"), folder / "checkpoints")


@functools.lru_cache(maxsize=1)
def signatures_on_disk() -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
    """The saved model's signatures; loading them takes seconds."""
    return tf.saved_model.load(str(trained().model)).signatures


@functools.lru_cache(maxsize=1)
def trained() -> Trained:
    """Two quarters of 150 trips each, through ingestion, Transform and training."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="waybill-taxi-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    schema = standard_artifacts.Schema()
    schema.uri = str(root / "schema")
    (root / "schema").mkdir()
    shutil.copy(PROJECT / "schemas/taxi.pbtxt", root / "schema/schema.pbtxt")
    examples = tuple(_ingest(root, schema, label) for label in ("2013-01-01", "2013-04-01"))
    graph, transformed = transform(root, examples, root / "schema")
    output, folders = tft.TFTransformOutput(graph.uri), (root / "model", root / "run")
    files = ([f"{e.uri}/Split-{split}/*" for e in transformed] for split in ("train", "eval"))
    recipe = model.LEARNER.recipe(output, RATE, SPREAD)
    keras = train(recipe, Plan(STEPS, SEED), SPREAD, *files, str(folders[1]), root / "checkpoints")
    model.LEARNER.save(keras, output, str(folders[0]))
    return Trained(root, examples, root / "graph", transformed, keras, *folders)


def transform(
    folder: pathlib.Path, examples: Sequence[standard_artifacts.Examples], schema_folder: pathlib.Path
) -> tuple[standard_artifacts.TransformGraph, tuple[standard_artifacts.Examples, ...]]:
    """What the pipeline's Transform makes of examples: the graph, and transformed examples, one artifact per span."""
    schema, graph = standard_artifacts.Schema(), standard_artifacts.TransformGraph()
    schema.uri, graph.uri = str(schema_folder), str(folder / "graph")
    made = tuple(_artifact(folder / f"transformed-{number}") for number in range(len(examples)))
    context = base_beam_executor.BaseBeamExecutor.Context(beam_pipeline_args=list(BEAM_ARGS), tmp_dir=f"{folder}/tmp/", unique_id="1")
    splits = transform_pb2.SplitsConfig(analyze=["train"], transform=["train", "eval"])
    TransformExecutor(context).Do(
        {"examples": list(examples), "schema": [schema]},
        {"transform_graph": [graph], "transformed_examples": list(made)},
        {
            "preprocessing_fn": "pipelines.taxi.features.preprocessing_fn",
            "module_file": None,
            "splits_config": proto_utils.proto_to_json(splits),
            "force_tf_compat_v1": 0,
            "custom_config": "null",
            "disable_statistics": 1,
        },
    )
    return graph, made


def example(**columns: float | int | str) -> bytes:
    """A serialized tf.Example of raw columns."""
    made = tf.train.Example()
    for name, value in columns.items():
        if isinstance(value, str):
            made.features.feature[name].bytes_list.value.append(value.encode())
        elif isinstance(value, int):
            made.features.feature[name].int64_list.value.append(value)
        else:
            made.features.feature[name].float_list.value.append(value)
    return made.SerializeToString()


def _ingest(root: pathlib.Path, schema: standard_artifacts.Schema, label: str) -> standard_artifacts.Examples:
    interval = land.quarter(parse_moment(label))
    partition = deliver(root / "landing", "taxi", interval, {"data.csv": taxi_data.partition(label, rows=150)}, 150)
    examples = _artifact(root / f"examples-{label}")
    properties = {"path": partition.path, "partition_digest": partition.digest, "span": interval.span, "version": partition.version}
    PartitionExampleGenExecutor().Do({"schema": [schema]}, {"examples": [examples]}, {**properties, "buckets": 3, "eval_buckets": 1})
    return examples


def _artifact(folder: pathlib.Path) -> standard_artifacts.Examples:
    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    return examples
