"""A release on disk -> scores for rows, through either of its signatures, as a client of the served model would get them."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from waybill.serving.answers import numbers
from waybill.serving.errors import ServingError

if TYPE_CHECKING:
    import tensorflow as tf

EXAMPLES_SIGNATURE = "serving_default"
RAW_SIGNATURE = "raw"


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A SavedModel in memory.

    Attributes:
      path: Where it was loaded from.
      model: TensorFlow's own object.
      output: Which output of the signatures holds the scores; empty where there is only one.
    """

    path: pathlib.Path
    model: Any
    output: str = ""

    def columns(self) -> dict[str, tf.TensorSpec]:
        """The raw signature's inputs: a tensor [n, 1] per column."""
        return dict(self._signature(RAW_SIGNATURE).structured_input_signature[1])

    def raw_inputs(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[list[Any]]]:
        """Rows of raw values as inputs of the `raw` signature: `[n, 1]` cells per column.

        Args:
          rows: A value per column of the signature; a column that is None or not there is missing. It is sent as "" for text, NaN
            for a float, -1 for an integer, which an exported `raw` signature takes as signs that a value is missing.

        Raises:
          ServingError: if the model has no such signature.
        """
        return {name: [[_cell(row.get(name), spec.dtype)] for row in rows] for name, spec in self.columns().items()}

    def score_rows(self, rows: Sequence[Mapping[str, Any]]) -> list[list[float]]:
        """Scores rows of raw values through the `raw` signature: a list of numbers for each.

        Args:
          rows: See `raw_inputs`.

        Raises:
          ServingError: if the model has no such signature, or it does not answer with a score for each row.
        """
        import tensorflow as tf

        kinds = self.columns()
        tensors = {name: tf.constant(cells, dtype=kinds[name].dtype) for name, cells in self.raw_inputs(rows).items()}
        return self._numbers(self._signature(RAW_SIGNATURE)(**tensors), len(rows))

    def score_examples(self, examples: Sequence[bytes]) -> list[list[float]]:
        """Scores serialized tf.Examples through `serving_default`: a list of numbers for each.

        Raises:
          ServingError: if the model has no such signature, or it does not answer with a score for each row.
        """
        import tensorflow as tf

        signature = self._signature(EXAMPLES_SIGNATURE)
        (name,) = signature.structured_input_signature[1]
        return self._numbers(signature(**{name: tf.constant(list(examples), dtype=tf.string)}), len(examples))

    def _numbers(self, answer: Mapping[str, Any], rows: int) -> list[list[float]]:
        return numbers({name: tensor.numpy() for name, tensor in answer.items()}, self.output, rows)

    def _signature(self, name: str) -> Any:
        """One of the model's signatures."""
        if name not in self.model.signatures:
            found = ", ".join(self.model.signatures) or "none"
            raise ServingError(f"the model at {str(self.path)!r} has no signature {name!r}; it has {found}")
        return self.model.signatures[name]


def load(path: pathlib.Path, output: str = "") -> LoadedModel:
    """Loads a SavedModel from a release's folder.

    Args:
      path: The folder.
      output: See `LoadedModel`.

    Raises:
      ServingError: if there is none, or it is not whole.
    """
    import tensorflow as tf

    try:
        return LoadedModel(path, tf.saved_model.load(str(path)), output)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ServingError(f"cannot load the model at {str(path)!r}: {error}") from error


def _cell(value: Any, dtype: tf.DType) -> Any:
    """A raw value as its tensor's element."""
    if value is not None:
        return value
    if dtype.is_floating:
        return float("nan")
    return "" if dtype.name == "string" else -1
