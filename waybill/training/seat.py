"""How a training is spread -> this process's place in it: its strategy, its share of the rows, what it may write."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import tensorflow as tf
import tf_keras

from waybill.records.distribution import Distribution, Place
from waybill.training.recipe import Parse

_WORTH_CUTTING = 256 << 10  # bytes
_PIECE = 1 << 20  # bytes; gradients leave in pieces of that size, so that the first are on their way while others are computed
_READ_AHEAD = 2  # batches


@dataclasses.dataclass(frozen=True)
class Beat:
    """A sign of life of a process that trains.

    Attributes:
      step: Steps that are done.
      loss: Mean loss since the last look.
      rates: Rows learned from, per second since the last sign, by the number of the worker; of itself only, or of all it knows of.
      waits_for: What holds it up, if something does.
    """

    step: int
    loss: float
    rates: Mapping[int, float]
    waits_for: str = ""


_ALONE = Place("worker", 0)


@dataclasses.dataclass(frozen=True)
class Seat:
    """A process's place in a training.

    Attributes:
      distribution: How the training is spread.
      place: Which of the processes it is.
      strategy: Where its model lives; None for TensorFlow's default.
      report: Takes signs of life; None when nobody listens.
    """

    distribution: Distribution
    place: Place = _ALONE
    strategy: tf.distribute.Strategy | None = None
    report: Callable[[Beat], None] | None = None

    @property
    def chief(self) -> bool:
        """Whether it is the one that saves and writes logs."""
        return self.place.job == "chief" or (self.place.index == 0 and not self.distribution.served)

    def scope(self) -> Any:
        """Where its model is built."""
        return (self.strategy or tf.distribute.get_strategy()).scope()

    def rows(self, stream: tf.data.Dataset, done: int, parse: Parse) -> Any:
        """This process's share of a stream of rows, in batches, from the step after the first `done` on.

        The stream is dealt out row by row, one to each worker in turn; the n-th batches of all devices together hold exactly the rows of
        the n-th step of a training that is not spread.

        Args:
          stream: All rows in their order, the same for every worker.
          done: Steps that have been trained.
          parse: From a batch of serialized rows to what the model takes.
        """

        def share(context: Any = None) -> tf.data.Dataset:
            mine = stream.shard(self.distribution.workers, self.place.index) if self.distribution.workers > 1 else stream
            return mine.batch(self.distribution.batch_size).skip(done * self.distribution.devices).map(parse)

        # A strategy reads ahead by itself.
        return share().prefetch(_READ_AHEAD) if self.strategy is None else self.strategy.distribute_datasets_from_function(share)


def dealt_by_row(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset that TensorFlow shares out among workers by batch; by file, there may be fewer files than workers."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def take(distribution: Distribution, place: Place = _ALONE, report: Callable[[Beat], None] | None = None) -> Seat:
    """Takes a place; must be the first that this process does with TensorFlow.

    For more than one process the environment variable `TF_CONFIG` must say where all of them are; all have to take their places for one
    to get its own.

    Raises:
      ValueError: if there are not as many devices.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, distribution.gpu_memory_growth)
    strategy = _strategy(distribution)
    if strategy is not None and strategy.num_replicas_in_sync != distribution.replicas:
        raise ValueError(
            f"{distribution.replicas} devices are asked for, TensorFlow found {strategy.num_replicas_in_sync}; a worker of several can use "
            "GPUs, or the whole processor as one device"
        )
    return Seat(distribution, place, strategy, report)


def serve(distribution: Distribution, place: Place) -> NoReturn:
    """Does what a chief asks for, as one of its workers or as a server of weights, until this process is killed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the chief has to save first, and cannot without it
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec()
    # With fewer threads than processes that wait for each other they might wait for ever.
    options = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=tf.config.threading.get_intra_op_parallelism_threads(),
        inter_op_parallelism_threads=max(len(distribution.places), os.cpu_count() or 1),
    )
    options.gpu_options.allow_growth = distribution.gpu_memory_growth
    tf.distribute.Server(cluster, place.job, place.index, protocol="grpc", config=options).join()
    raise AssertionError("a TensorFlow server does not end by itself")


@contextlib.contextmanager
def precision(distribution: Distribution) -> Iterator[None]:
    """What layers that are built in the block compute in; the weights have 32 bits in any case."""
    if not distribution.mixed_precision:
        yield
        return
    before = tf_keras.mixed_precision.global_policy()
    tf_keras.mixed_precision.set_global_policy("mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16")
    try:
        yield
    finally:
        tf_keras.mixed_precision.set_global_policy(before)


def _strategy(distribution: Distribution) -> tf.distribute.Strategy | None:
    if distribution.served:
        # A large weight, as an embedding's table is, is cut into parts for several servers.
        cut = tf.distribute.experimental.partitioners.MinSizePartitioner(min_shard_bytes=_WORTH_CUTTING, max_shards=distribution.servers)
        return tf.distribute.ParameterServerStrategy(tf.distribute.cluster_resolver.TFConfigClusterResolver(), variable_partitioner=cut)
    if distribution.strategy == "none":
        return None
    devices = _devices(distribution.devices)
    if distribution.strategy == "mirrored":
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(bytes_per_pack=_PIECE)
    )


def _devices(count: int) -> list[str]:
    """Names of so many devices: GPUs where there are enough, else shares of the processor.

    Raises:
      ValueError: if there are GPUs, but fewer.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if len(gpus) < count:
            raise ValueError(f"{count} devices are asked for; this machine has {len(gpus)} GPUs")
        tf.config.set_visible_devices(gpus[:count], "GPU")
        return [f"GPU:{number}" for number in range(count)]
    [processor] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration() for _ in range(count)])
    return [f"CPU:{number}" for number in range(count)]
