"""Run specs <-> files named by their digest, written once and never changed."""

from __future__ import annotations

import json
import os
import pathlib
import uuid

from waybill.launch.errors import SpecMissing
from waybill.records import digest
from waybill.records.run_spec import RunSpec, check_digest


def save(folder: pathlib.Path, spec: RunSpec) -> pathlib.Path:
    """Writes a spec under its digest; whole or not at all, and nothing when it is there."""
    target = _path(folder, spec.digest)
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{uuid.uuid4().hex}"
    with staged.open("w", encoding="utf-8") as handle:
        handle.write(digest.canonical_json(spec.to_json()))
        handle.flush()
        os.fsync(handle.fileno())
    staged.chmod(0o444)
    staged.rename(target)
    return target


def load(folder: pathlib.Path, spec_digest: str) -> RunSpec:
    """Reads the spec of a digest.

    Raises:
      SpecMissing: if there is none, or its bytes no longer have that digest.
    """
    path = _path(folder, check_digest(spec_digest))
    if not path.is_file():
        raise SpecMissing(f"no run spec {spec_digest} under {folder}; the run_spec task of the same run prints the digest to use")
    text = path.read_text(encoding="utf-8")
    if digest.of_bytes(text.encode()) != spec_digest:
        raise SpecMissing(f"run spec {path} is damaged: its bytes do not have the digest it is named for; clear the run from run_spec")
    return RunSpec.from_json(json.loads(text))


def _path(folder: pathlib.Path, spec_digest: str) -> pathlib.Path:
    return folder / f"{spec_digest.removeprefix(digest.PREFIX)}.json"
