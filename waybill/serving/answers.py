"""What a signature answered -> the numbers that it gave each row: one score, or one for each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waybill.serving.errors import ModelRefused


def numbers(answer: Mapping[str, Any], output: str, rows: int) -> list[list[float]]:
    """The numbers of each row.

    Args:
      answer: Arrays by the name of the output; those that hold no numbers are left out of account.
      output: Which of them; empty where there is only one.
      rows: How many rows were asked about.

    Raises:
      ModelRefused: unless there is that output, with as much for each row.
    """
    numeric = {name: values for name, values in answer.items() if values.dtype.kind in "biuf"}
    found = ", ".join(sorted(numeric)) or "no numbers"
    if output and output not in numeric:
        raise ModelRefused("NOT_FOUND", f"the answer has no {output!r}; it has {found}")
    if not output and len(numeric) != 1:
        raise ModelRefused("NOT_FOUND", f"the answer has {found}; expected one output, or a policy that names the one with the scores")
    values = numeric[output] if output else next(iter(numeric.values()))
    if values.ndim == 0 or len(values) != rows:
        raise ModelRefused("INVALID_ARGUMENT", f"{1 if values.ndim == 0 else len(values)} scores for {rows} rows")
    given: list[list[float]] = values.reshape(rows, values.size // max(1, rows)).astype(float).tolist()
    return given
