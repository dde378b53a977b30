"""A SavedModel's folder -> what can be said of it without running anything of it."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Collection
from typing import Any

from waybill.serving import warmup
from waybill.serving.errors import BadWarmup, UnreadableModel
from waybill.serving.op_scan import denied_ops, methods_of
from waybill.serving.words import one_line

_LARGEST_GRAPH = 1 << 30  # bytes of `saved_model.pb`


def look(folder: pathlib.Path, allowed_ops: Collection[str]) -> dict[str, Any]:
    """Looks at a folder; whatever is wrong with it becomes a fact.

    Args:
      folder: The SavedModel's.
      allowed_ops: See `denied_ops`.

    Returns:
      How many `files` there are and their `size`, what `strangers` are among them, which operations are `denied` or why its graph is
      `unreadable`, and of its warm-up requests how many there are (`warmup`), of what they hold values (`warmup_columns`), or why they are
      none (`warmup_problem`).
    """
    files, strangers = _listed(folder)
    facts: dict[str, Any] = {"files": len(files), "size": sum(files.values()), "strangers": tuple(strangers)}
    if strangers:  # a link could lead anywhere
        return {**facts, "unreadable": "not looked at, because not all of it is plain files"}
    methods: dict[str, str] = {}
    try:
        if files.get(folder / "saved_model.pb", 0) > _LARGEST_GRAPH:
            raise UnreadableModel(f"saved_model.pb has more than {_LARGEST_GRAPH} bytes")
        facts["denied"] = tuple(map(str, denied_ops(folder, allowed_ops)))
        methods = methods_of(folder)
    except UnreadableModel as error:
        facts["unreadable"] = one_line(str(error))
    try:
        requests = warmup.read(folder)
        warmup.check_methods(requests, methods)
        facts["warmup"] = len(requests)
        facts["warmup_columns"] = frozenset(name for request in requests for name in request.columns())
    except BadWarmup as error:
        facts["warmup_problem"] = one_line(str(error))
    return facts


def strangers_in(folder: pathlib.Path) -> list[str]:
    """What is no plain file and no folder, relative to the folder."""
    return _listed(folder)[1]


def _listed(root: pathlib.Path) -> tuple[dict[pathlib.Path, int], list[str]]:
    """Plain files with their sizes, and what else there is, relative to the folder."""
    files, strangers = {}, []
    for folder, folders, names in os.walk(root):
        for name in sorted((*folders, *names)):
            path = pathlib.Path(folder, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                strangers.append(one_line(str(path.relative_to(root))))
            elif path.is_file():
                files[path] = path.stat().st_size
    return files, strangers
