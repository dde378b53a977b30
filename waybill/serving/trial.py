"""A SavedModel and golden requests -> the steps in which it is tried: loaded and asked by both of TensorFlow's loaders.

Each step finds plain values under its name; `waybill.serving.apart` runs them where they can do no harm.
"""

from __future__ import annotations

import functools
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from waybill.serving import answers, saved_model
from waybill.serving.apart import Step
from waybill.serving.cpp_model import CppModel
from waybill.serving.golden import columns_of, examples_of, values_of
from waybill.serving.saved_model import EXAMPLES_SIGNATURE, RAW_SIGNATURE
from waybill.serving.warmup import Request
from waybill.serving.words import one_line

Scores: TypeAlias = list[list[float]]  # numbers by row

_SINGLE, _BATCHES = 20, 5  # how many requests are timed
_LARGEST_BATCH = 1024


class Trial:
    """A model and what it is asked.

    Args:
      folder: The SavedModel's.
      golden: Serialized tf.Examples to ask about by every way.
      every: All rows of the eval split, to ask about by one way; None to leave it out.
      warmup: The model's own warm-up requests.
      output: Which output of the signatures holds the scores; empty where there is only one.
    """

    def __init__(
        self, folder: pathlib.Path, golden: Sequence[bytes], every: Sequence[bytes] | None, warmup: Sequence[Request], output: str = ""
    ):
        self._folder = folder
        self._golden = golden
        self._every = every
        self._warmup = warmup
        self._output = output
        self._rows = [values_of(example) for example in golden]

    def steps(self) -> list[Step]:
        """What to do, in order; a step needs those before it."""
        steps = [
            Step("cpp_load", "loads the model with the C++ loader", self._load_cpp),
            Step("cpp_examples", f"asks {EXAMPLES_SIGNATURE} in the C++ runtime", lambda: self._ask_examples(self._golden)),
            Step("cpp_raw", f"asks {RAW_SIGNATURE} in the C++ runtime", self._ask_raw),
            Step("cpp_single", "asks about one row at a time", self._ask_singly),
            Step("cpp_batch", "asks about all golden rows at once", self._time_batches),
        ]
        if self._warmup:
            steps.append(Step("warmup", "replays the warm-up requests", self._replay))
        if self._every is not None:
            steps.append(Step("cpp_every", "asks about the whole eval split", self._ask_every))
        return [
            *steps,
            Step("variables", "reads the variables", self._look_at_variables),
            Step("python_load", "loads the model with the Python loader", self._load_python),
            Step("python_examples", f"asks {EXAMPLES_SIGNATURE} in Python", lambda: self._python.score_examples(self._golden)),
            Step("python_raw", f"asks {RAW_SIGNATURE} in Python", lambda: self._python.score_rows(self._rows)),
        ]

    def _load_cpp(self) -> float:
        began = time.monotonic()
        self._cpp = CppModel.load(self._folder)
        return time.monotonic() - began

    def _load_python(self) -> float:
        began = time.monotonic()
        self._python = saved_model.load(self._folder, self._output)
        return time.monotonic() - began

    def _ask_examples(self, examples: Sequence[bytes]) -> Scores:
        (name,) = self._cpp.inputs(EXAMPLES_SIGNATURE)
        return answers.numbers(self._cpp.ask(EXAMPLES_SIGNATURE, {name: examples_of(examples)}), self._output, len(examples))

    def _ask_raw(self) -> Scores:
        columns = columns_of(self._rows, self._cpp.inputs(RAW_SIGNATURE))
        return answers.numbers(self._cpp.ask(RAW_SIGNATURE, columns), self._output, len(self._rows))

    def _ask_singly(self) -> dict[str, list[Any]]:
        asked = [_timed(functools.partial(self._ask_examples, [one])) for one in self._golden[:_SINGLE]]
        return {"scores": [score for (score,), _ in asked], "seconds": [seconds for _, seconds in asked]}

    def _time_batches(self) -> list[float]:
        return [_timed(lambda: self._ask_examples(self._golden))[1] for _ in range(_BATCHES)]

    def _ask_every(self) -> Scores:
        every = self._every or ()
        batches = [every[first : first + _LARGEST_BATCH] for first in range(0, len(every), _LARGEST_BATCH)]
        return [score for batch in batches for score in self._ask_examples(batch)]

    def _replay(self) -> int:
        for request in self._warmup:
            self._cpp.ask(request.signature, request.feeds(self._cpp.inputs(request.signature)))
        return len(self._warmup)

    def _look_at_variables(self) -> dict[str, Any]:
        """How many variables there are, and which hold what is no number."""
        import tensorflow as tf

        if not (self._folder / "variables" / "variables.index").is_file():
            return {"looked_at": 0, "bad": []}  # a model may have none; one whose graph has some does not answer without them
        checkpoint = tf.train.load_checkpoint(str(self._folder / "variables" / "variables"))
        kinds = checkpoint.get_variable_to_dtype_map()
        names = sorted(name for name, kind in kinds.items() if kind.is_floating)
        bad = [name for name in names if not np.isfinite(checkpoint.get_tensor(name).astype(np.float64)).all()]
        return {"looked_at": len(names), "bad": [one_line(name) for name in bad]}


def _timed(work: Callable[[], Scores]) -> tuple[Scores, float]:
    began = time.monotonic()
    return work(), time.monotonic() - began
