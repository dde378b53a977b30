"""A name that somebody typed -> the name of a pipeline, its folder, its DAG and its model, or a reason why it cannot be."""

from __future__ import annotations

import importlib.util
import keyword
import pathlib
import re

from waybill.scaffold.errors import NameUnfit, Occupied

_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
_SHOWN = 60


def targets(name: str) -> dict[str, str]:
    """What a pipeline is made of, each relative to the project, in the order in which it is put there: the DAG finds all else."""
    return {
        "schema": f"schemas/{name}.pbtxt",
        "test": f"tests/test_{name}.py",
        "package": f"pipelines/{name}",
        "dag": f"dags/{name}_dag.py",
    }


def check_name(name: str, project: pathlib.Path) -> str:
    """Returns `name` when a new pipeline may bear it.

    Args:
      name: The name.
      project: The project folder.

    Raises:
      NameUnfit: if no pipeline can be called that.
      Occupied: if there is one already, or something else that would be in its way.
    """
    if not _NAME.fullmatch(name):
        raise NameUnfit(
            f"the name is {name[:_SHOWN]!r}; expected 2 to 40 small letters, 0 to 9 and _, beginning with a letter, such as late_orders; "
            "choose another one"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise NameUnfit(f"the name is {name!r}, a word of Python's own; expected one that a package may bear; choose another one")
    if name.startswith("airflow_"):
        raise NameUnfit(f"the name is {name!r}; tests of such a name run in Airflow's Python; choose one that begins otherwise")
    if (project / f"pipelines/{name}").exists():
        raise Occupied(
            f"there is a pipeline {name!r} already, in pipelines/{name}; expected a new name; choose another one, or remove what "
            f"belongs to it: {', '.join(targets(name).values())}"
        )
    if (project / f"pipelines/{name}.py").exists() or _is_package(name):
        raise NameUnfit(f"the name is {name!r}, as of a Python module that is there already; expected a new one; choose another name")
    if there := [path for path in targets(name).values() if (project / path).exists()]:
        raise Occupied(
            f"{', '.join(there)} is there already; expected nothing that is called {name!r}; move it away, or choose another name"
        )
    return name


def _is_package(name: str) -> bool:
    """Whether an import of the name finds something."""
    return importlib.util.find_spec(name) is not None
