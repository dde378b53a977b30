"""Bytes, files, folders and plain values -> one name for their content.

A digest is `sha256:` and 64 hexadecimal characters. A folder's digest covers the relative path and bytes of every file in it, in the
order of the paths' bytes; times, modes and empty folders do not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from waybill.records.errors import RecordError

PREFIX = "sha256:"
_CHUNK = 1 << 20


def of_bytes(data: bytes) -> str:
    """The digest of `data`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def of_json(value: Any) -> str:
    """The digest of a plain value's canonical JSON: sorted keys, no spaces, UTF-8, no NaN."""
    return of_bytes(canonical_json(value).encode())


def canonical_json(value: Any) -> str:
    """The one JSON text of a plain value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def of_file(path: pathlib.Path) -> str:
    """The digest of a file's bytes."""
    sha = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            sha.update(chunk)
    return PREFIX + sha.hexdigest()


def of_files(root: pathlib.Path, files: Iterable[pathlib.Path]) -> str:
    """The digest of some files under `root`: their relative paths and bytes."""
    named = sorted((os.fsencode(path.relative_to(root).as_posix()), path) for path in files)
    sha = hashlib.sha256()
    for name, path in named:
        sha.update(len(name).to_bytes(8, "big") + name + of_file(path).encode())
    return PREFIX + sha.hexdigest()


def of_tree(root: pathlib.Path) -> str:
    """The digest of everything under `root`; for a plain file, that of a folder holding just it.

    Raises:
      RecordError: if the tree holds anything but plain files and folders, whose content has no bytes to vouch for.
    """
    if root.is_file() and not root.is_symlink():
        return of_files(root.parent, [root])
    return of_files(root, plain_files(root))


def plain_files(root: pathlib.Path) -> list[pathlib.Path]:
    """Every file under `root`, sorted.

    Raises:
      RecordError: if there is a symbolic link or a special file among them.
    """
    found = []
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = pathlib.Path(folder, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise RecordError(f"{str(path)!r} is a symbolic link or a special file; expected plain files and folders only")
        found += [pathlib.Path(folder, name) for name in names]
    return sorted(found)
