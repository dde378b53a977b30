"""A training on several machines: each process of it starts by itself, knows its number, and finds the others under agreed addresses.

The first of them runs the node, as it would alone. When that comes to its training it leaves an order in the shared `scratch/` folder; the
others, which have been waiting for it, take their places and train along. Kubernetes starts them as the pods of one Indexed Job; whatever
else starts processes on several machines with a shared folder can do the same, with three environment variables.
"""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Callable, Iterator

import cloudpickle
from absl import logging

from waybill.launch.errors import LaunchError
from waybill.records.distribution import Distribution, Place
from waybill.records.settings import Settings
from waybill.training import cluster
from waybill.training.network import Given

_LOOK_EVERY = 0.5
_PATIENCE = 1800.0  # seconds; the first has to resolve inputs, and may wait for an earlier attempt to end

Work = Callable[[Place, cluster.Report], None]


class NoOrder(LaunchError):
    """A process that was started for a training has nothing to do."""


@contextlib.contextmanager
def led(settings: Settings, distribution: Distribution, work: Work, stall_seconds: float) -> Iterator[Given]:
    """Tells the others what to do; what they do ends with the block.

    Args:
      settings: Say who the others are.
      distribution: What is asked for.
      work: What each does, given its place.
      stall_seconds: How long no step may be done.

    Yields:
      Where they are.

    Raises:
      LaunchError: if there are not as many as are asked for.
    """
    places, peers = distribution.places, settings.training_peers
    if len(places) != len(peers):
        raise LaunchError(f"{len(places)} processes are to train, and {len(peers)} were started: {', '.join(peers)}")
    path = _order(settings)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}")
    part.write_bytes(cloudpickle.dumps((distribution, work, stall_seconds)))
    part.rename(path)
    try:
        yield Given(peers)
    finally:
        path.unlink(missing_ok=True)


def join(settings: Settings, say: Callable[[str], None], patience: float = _PATIENCE) -> None:
    """Waits for the order and does its part; returns when the training is over, or was not needed.

    Raises:
      NoOrder: if none came in time.
      WorkerFailed: if this process's part ended early.
    """
    path, deadline = _order(settings), time.monotonic() + patience
    while not path.exists():
        if _over(settings).exists():
            say("the node is done, and there was nothing to train")
            return
        if time.monotonic() > deadline:
            raise NoOrder(f"no order for this training appeared at {path} within {patience:.0f} s; the log of its first process says why")
        time.sleep(_LOOK_EVERY)
    distribution, work, stall_seconds = cloudpickle.loads(path.read_bytes())
    place = distribution.places[settings.training_index]
    logging.info("takes part in %s as %s", settings.training_job, place)
    served = distribution.served  # then it has no end of its own
    until = (lambda: not path.exists()) if served else None
    cluster.run(distribution.places, work, stall_seconds, Given(settings.training_peers), say, here=[place], until=until)


def over(settings: Settings) -> None:
    """Says that the node is done, to those who still wait."""
    path = _over(settings)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch()


def _order(settings: Settings) -> pathlib.Path:
    return settings.scratch / "orders" / settings.training_job


def _over(settings: Settings) -> pathlib.Path:
    return _order(settings).with_suffix(".over")
