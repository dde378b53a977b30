"""A verdict <-> `verdict.json` in the folder of its artifact."""

from __future__ import annotations

import json
import os
import pathlib

from waybill.records.errors import VerdictFileError
from waybill.records.verdict import Decision, Verdict

FILE_NAME = "verdict.json"


def write(folder: pathlib.Path, verdict: Verdict) -> pathlib.Path:
    """Writes the verdict into the folder, whole or not at all, and returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    aside = folder / f".{FILE_NAME}.{os.getpid()}"
    with aside.open("w", encoding="utf-8") as handle:
        json.dump(verdict.to_json(), handle, indent=1, ensure_ascii=False)
        handle.flush()
        os.fsync(handle.fileno())
    aside.replace(path)
    return path


def read(folder: pathlib.Path, gate: str) -> Verdict:
    """Reads a gate's verdict back and judges its rules once more, so that the decision never rests on one edited word.

    Args:
      folder: The artifact's folder.
      gate: Node id of the gate that must have written it.

    Raises:
      VerdictFileError: if there is no such file, it is damaged, another gate wrote it, or its decision does not follow from its rules.
    """
    path = folder / FILE_NAME
    try:
        verdict = Verdict.from_json(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise VerdictFileError(f"cannot read the verdict of {gate} at {str(path)!r} ({error}); run {gate} again") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VerdictFileError(f"{str(path)!r} is damaged ({error}); expected the verdict of {gate}; run {gate} again") from error
    if verdict.gate != gate:
        raise VerdictFileError(f"{str(path)!r} is the verdict of {verdict.gate}, expected that of {gate}")
    judged = Verdict.judge(gate, verdict.rules).decision
    if verdict.decision is not Decision.BLOCKED and verdict.decision is not judged:
        raise VerdictFileError(f"{str(path)!r} says {verdict.decision.value}, but its own rules say {judged.value}; run {gate} again")
    return verdict
