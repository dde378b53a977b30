"""A run's parameters -> how its training is spread over devices and processes, checked before anything starts.

strategy none, batch_size 64                             one process, 64 rows in a step
strategy mirrored, devices 2, batch_size 32              one process, two devices, 64 rows in a step
strategy multi_worker, workers 2, batch_size 32          two processes in step, 64 rows in a step
strategy parameter_server, workers 2, servers 1, ...     two processes, each at its own pace, 64 rows in a step of one
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from waybill.records.errors import RecordError
from waybill.records.graph import Param

STRATEGIES = ("none", "mirrored", "multi_worker", "parameter_server")
PARAMS = (
    Param(
        "strategy",
        "none",
        "How training is spread: none, mirrored (several devices), multi_worker (several processes in step) or parameter_server (several "
        "processes, each at its own pace, and others that hold the weights)",
        choices=STRATEGIES,
    ),
    Param("workers", 1, "Processes that train; more than 1 for multi_worker and parameter_server only", 1, 64),
    Param("servers", 0, "Processes that hold the weights; 1 or more for parameter_server, 0 for the others", 0, 64),
    Param("devices", 1, "Devices that a process trains on; 2 or more for mirrored. Without GPUs, shares of the processor", 1, 64),
    Param("batch_size", 64, "Rows in a training step of one device", 1, 8192),
    Param("scale_learning_rate", False, "Multiply the learning rate by the number of devices that train together"),
    Param("mixed_precision", False, "Compute in 16 bits where that will do; weights keep 32. Faster on GPUs and newer processors"),
    Param("xla", False, "Compile the training step with XLA, with strategy none; pays on a GPU and for large models"),
    Param("gpu_memory_growth", True, "Take memory of a GPU as it is needed, not all at once, so that several nodes can share it"),
    Param("profile_steps", 0, "Training steps to record a profile of, for TensorBoard; it slows those steps", 0, 1000),
)


SPREAD = ("multi_worker", "parameter_server")


@dataclasses.dataclass(frozen=True)
class Place:
    """One process of a training.

    Attributes:
      job: TensorFlow's word for what it does: `chief`, `worker` or `ps`.
      index: Which of them it is, from 0.
    """

    job: str
    index: int

    def __str__(self) -> str:
        return {"chief": "chief", "worker": f"worker {self.index}", "ps": f"server {self.index}"}[self.job]


@dataclasses.dataclass(frozen=True)
class Distribution:
    """How a training is spread.

    Attributes:
      strategy: One of `STRATEGIES`.
      workers: Processes that train.
      servers: Processes that hold the weights for them.
      devices: Devices in each.
      batch_size: Rows in a step of one device.
      scale_learning_rate: Whether the learning rate grows with the number of devices that train together.
      mixed_precision: Whether layers compute in 16 bits.
      xla: Whether the training step is compiled with XLA.
      gpu_memory_growth: Whether memory of GPUs is taken as it is needed.
      profile_steps: Steps to record a profile of.
    """

    strategy: str = "none"
    workers: int = 1
    servers: int = 0
    devices: int = 1
    batch_size: int = 64
    scale_learning_rate: bool = False
    mixed_precision: bool = False
    xla: bool = False
    gpu_memory_growth: bool = True
    profile_steps: int = 0

    def __post_init__(self) -> None:
        """Checks that the parts go together.

        Raises:
          RecordError: if they do not.
        """
        if self.strategy not in STRATEGIES:
            raise RecordError(f"strategy is {self.strategy!r}; expected one of {', '.join(STRATEGIES)}")
        for name in ("workers", "devices", "batch_size"):
            if getattr(self, name) < 1:
                raise RecordError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if self.workers > 1 and self.strategy not in SPREAD:
            raise RecordError(f"strategy {self.strategy} with workers {self.workers}; expected 1 worker, or strategy {' or '.join(SPREAD)}")
        if (self.servers > 0) != self.served:
            expected = "1 server or more" if self.served else "0 servers, or strategy parameter_server"
            raise RecordError(f"strategy {self.strategy} with servers {self.servers}; expected {expected}")
        if (self.devices > 1 and self.strategy in ("none", "parameter_server")) or (self.devices < 2 and self.strategy == "mirrored"):
            expected = "2 devices or more" if self.strategy == "mirrored" else "1 device, or strategy mirrored or multi_worker"
            raise RecordError(f"strategy {self.strategy} with devices {self.devices}; expected {expected}")
        if self.xla and self.strategy != "none":
            raise RecordError(f"strategy {self.strategy} with xla; expected none: what devices tell each other is not compiled")

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Distribution:
        """What a run's parameters say; those that are not there are as for one process.

        Raises:
          RecordError: if they do not go together.
        """
        return cls(**{field.name: params[field.name] for field in dataclasses.fields(cls) if field.name in params})

    @property
    def served(self) -> bool:
        """Whether servers hold the weights, so that workers need not wait for each other."""
        return self.strategy == "parameter_server"

    @property
    def replicas(self) -> int:
        """Devices that train together, each with a share of every step."""
        return 1 if self.served else self.workers * self.devices

    @property
    def global_batch(self) -> int:
        """Rows in a step of all of them."""
        return self.replicas * self.batch_size

    def rate(self, base: float) -> float:
        """The learning rate of a step.

        Args:
          base: That of one device alone.

        Returns:
          With `scale_learning_rate`, so many times `base` as devices train together, since a step averages over so many times the rows
          (the linear rule of Goyal et al., "Accurate, Large Minibatch SGD", 2017); else `base`.
        """
        return base * self.replicas if self.scale_learning_rate else base

    @property
    def places(self) -> tuple[Place, ...]:
        """The processes beside the one that asks for the training, in TensorFlow's words; none when that trains by itself."""
        if self.served:
            jobs = {"chief": 1, "worker": self.workers, "ps": self.servers}
            return tuple(Place(job, index) for job, count in jobs.items() for index in range(count))
        return tuple(Place("worker", index) for index in range(self.workers)) if self.strategy == "multi_worker" else ()

    def check_rows(self, rows: int) -> None:
        """Checks that there is something to do for everyone.

        Raises:
          RecordError: if there are fewer rows than devices.
        """
        sharing = self.workers * self.devices
        if rows < sharing:
            raise RecordError(
                f"{sharing} devices would share {rows} rows; expected a row for each at least. Train with fewer workers or devices, "
                "or on a longer window"
            )
