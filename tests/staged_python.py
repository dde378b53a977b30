"""TFX's Python, called as it always is, that knows the pipelines in a test's folder as if they were the project's.

    <folder>/python -m waybill.cli.main run-spec steered ...      ->      staged_python.py <folder>/python -m waybill.cli.main ...

`<folder>/python` is the script that `WAYBILL_TFX_PYTHON` names. The commands, the warm host and its forks are the real ones; only the
answer to which pipelines there are is the test's.
"""

from __future__ import annotations

import pathlib
import runpy
import sys

import pipelines
from waybill.cli import load
from waybill.records import settings


def know(folder: pathlib.Path) -> None:
    """Makes the pipelines of a folder known. They are of one kind, so one of them is enough for the host to import and to practise."""
    pipelines.__path__.append(str(folder))
    load.check_name = lambda name: name
    load.names = lambda: sorted(path.parent.name for path in folder.glob("*/pipeline.py"))[:1]
    settings.graph_path = lambda name: folder / name / "graph.json"


if __name__ == "__main__":
    python, _, module, *words = sys.argv[1:]
    sys.executable = python  # what this process starts must know them too, and the host takes commands for its own interpreter only
    know(pathlib.Path(python).parent / "pipelines")
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
