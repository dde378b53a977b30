"""Steps as they are done -> signs of life, states saved in time, an end on SIGTERM. The same for all ways to train."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping

from absl import logging

from waybill.records.distribution import Distribution
from waybill.training.progress import Progress
from waybill.training.recipe import Plan
from waybill.training.seat import Beat, Seat

_BEAT_SECONDS = 0.5


class Pace:
    """Counts the steps of a training.

    Args:
      progress: What is counted and saved.
      plan: How long to train, and how often to save.
      seat: This process's place; only a chief saves.
    """

    def __init__(self, progress: Progress, plan: Plan, seat: Seat):
        self._progress = progress
        self._plan = plan
        self._seat = seat
        self._saved = self._told = time.monotonic()
        self._asked_to_end = False
        self._rows: dict[int, int] = {}

    @property
    def going(self) -> bool:
        """Whether there is anything left to learn."""
        epochs, each = self._plan.schedule()
        return self._progress.step < epochs * each and self._progress.waited < self._plan.patience

    @property
    def due(self) -> bool:
        """Whether to save now."""
        return self._seat.chief and (self._asked_to_end or time.monotonic() - self._saved >= self._plan.save_seconds)

    def stepped(self, loss: float, rows: Mapping[int, int]) -> None:
        """Notes a step.

        Args:
          loss: Mean loss since the last look, or of the step.
          rows: Rows that were learned from, by the number of the worker.
        """
        self._progress.step += 1
        for worker, count in rows.items():
            self._rows[worker] = self._rows.get(worker, 0) + count
        self.beat(loss)

    def beat(self, loss: float, waits_for: str = "") -> None:
        """Gives a sign of life, unless the last one was just now."""
        passed = time.monotonic() - self._told
        if self._seat.report and passed > _BEAT_SECONDS:
            rates = {worker: count / passed for worker, count in sorted(self._rows.items())}
            self._seat.report(Beat(self._progress.step, loss, rates, waits_for))
            self._told += passed
            self._rows = dict.fromkeys(self._rows, 0)

    def save(self) -> None:
        """Saves the state; ends the training when that was what it was saved for.

        Raises:
          AskedToEnd: if somebody sent SIGTERM.
        """
        self._progress.save()
        self._saved = time.monotonic()
        if self._asked_to_end:
            raise AskedToEnd(self._progress.step)

    @contextlib.contextmanager
    def saved_on_sigterm(self) -> Iterator[None]:
        """While the block runs, SIGTERM ends a chief after the step that is running, with its state saved; it dies of the signal.

        The others take no notice: the chief cannot finish its step without them, and they end with it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: object) -> None:
            self._asked_to_end = True

        before = signal.signal(signal.SIGTERM, ask if self._seat.chief else signal.SIG_IGN)
        try:
            yield
        except AskedToEnd as end:
            logging.warning("asked to end by SIGTERM; the state after step %d is saved, the next attempt goes on from there", end.args[0])
        finally:
            signal.signal(signal.SIGTERM, before)
            if self._asked_to_end:
                os.kill(os.getpid(), signal.SIGTERM)


class AskedToEnd(BaseException):
    """Somebody sent SIGTERM, and the state is saved."""


def profiled(distribution: Distribution) -> tuple[int, int] | int:
    """First and last of the steps of an attempt to record a profile of, as Keras's TensorBoard callback takes them; 0 for none."""
    return (_SETTLED, _SETTLED + distribution.profile_steps - 1) if distribution.profile_steps else 0


_SETTLED = 10  # the first steps are slow, and say nothing of the others
