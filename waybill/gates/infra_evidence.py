"""An exported model as it lies there, and what came of trying it, as the infra validator weighs them: plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Scores: TypeAlias = Sequence[Sequence[float]]


@dataclasses.dataclass(frozen=True)
class Export:
    """What can be said of a model's folder without running anything of it.

    Attributes:
      files: How many files there are.
      size: Their bytes.
      strangers: What is neither a plain file nor a folder.
      denied: Operations that no served model should hold, in words.
      unreadable: Why its graph could not be looked at; empty when it could.
      warmup: How many warm-up requests it has.
      warmup_problem: Why TensorFlow Serving would not take them; empty when it would.
      warmup_columns: Names of what those requests hold values of.
    """

    files: int
    size: int
    strangers: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    unreadable: str = ""
    warmup: int = 0
    warmup_problem: str = ""
    warmup_columns: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Trial:
    """What came of loading and asking a model in a process of its own; None for what that process did not come to.

    Scores are a list of numbers for each row, in the order of the golden rows, unless said otherwise.

    Attributes:
      problem: Why it did not come to the end; empty when it did.
      words: What the process printed last.
      network: Why it was not cut off from the network; empty when it was.
      seconds: How long it took.
      memory: Bytes it held at most, beyond what it shared.
      cpp_load: Seconds that the C++ loader took.
      cpp_examples: Scores of serialized tf.Examples, in the C++ runtime.
      cpp_raw: Scores of raw columns, in the C++ runtime.
      cpp_single: `scores` of the first rows one by one, and the `seconds` that each took.
      cpp_batch: Seconds for all golden rows at once, each time anew.
      cpp_every: Scores of all rows of the eval split, in any order.
      warmup: How many warm-up requests were replayed.
      variables: How many were `looked_at`, and the names of `bad` ones, which hold NaN or infinity.
      python_load: Seconds that the Python loader took.
      python_examples: Scores of serialized tf.Examples, in Python.
      python_raw: Scores of raw columns, in Python.
    """

    problem: str
    words: tuple[str, ...]
    network: str
    seconds: float
    memory: int
    cpp_load: float | None = None
    cpp_examples: Scores | None = None
    cpp_raw: Scores | None = None
    cpp_single: Mapping[str, Any] | None = None
    cpp_batch: Sequence[float] | None = None
    cpp_every: Scores | None = None
    warmup: int | None = None
    variables: Mapping[str, Any] | None = None
    python_load: float | None = None
    python_examples: Scores | None = None
    python_raw: Scores | None = None
