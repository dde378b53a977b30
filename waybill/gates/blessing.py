"""Evaluator's ModelBlessing folder -> yes or no."""

from __future__ import annotations

import pathlib

from waybill.gates.errors import EvidenceError


def is_blessed(blessing: pathlib.Path) -> bool:
    """What Evaluator wrote into the folder of its ModelBlessing artifact.

    Raises:
      EvidenceError: unless there is exactly one of its two marks.
    """
    yes, no = (blessing / "BLESSED").is_file(), (blessing / "NOT_BLESSED").is_file()
    if yes == no:
        found = "both marks" if yes else "neither mark"
        raise EvidenceError(f"found {found} in {str(blessing)!r}; expected BLESSED or NOT_BLESSED; run evaluator again")
    return yes
