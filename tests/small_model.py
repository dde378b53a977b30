"""A text -> a folder with the files of a SavedModel and a manifest of them: nothing to learn, enough to be cut off in the middle."""

from __future__ import annotations

import hashlib
import json
import pathlib

SIZE = 1 << 18  # bytes of the largest file


def write(folder: pathlib.Path, says: str) -> pathlib.Path:
    """Writes a model that says something; another text is another model, byte for byte."""
    seed = hashlib.sha256(says.encode()).digest()
    files = {
        "saved_model.pb": says.encode(),
        "variables/variables.index": seed,
        "variables/variables.data-00000-of-00001": seed * (SIZE // len(seed)),
    }
    (folder / "variables").mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps({name: hashlib.sha256(data).hexdigest() for name, data in files.items()}))
    return folder
