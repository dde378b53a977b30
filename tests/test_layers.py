"""What import-linter cannot see of the rules on imports, read from the source itself."""

from __future__ import annotations

import ast
import pathlib
import runpy
import sys
from typing import Any

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[1]
OURS = ("waybill", "components", "pipelines", "tools")
SOURCES = sorted(path for folder in OURS for path in (PROJECT / folder).rglob("*.py"))
PLAIN = [path for path in SOURCES if path.name == "__init__.py" or path.is_relative_to(PROJECT / "waybill/records")]
NOTICE = PROJECT / "waybill/orchestration/notice.py"  # imports one of Airflow's notifiers, which the settings name
DAGS = sorted((PROJECT / "dags").glob("*.py"))


def imported(source: str) -> set[str]:
    """Every module named by an import anywhere in the source, whole."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def name_of(path: pathlib.Path) -> str:
    return str(path.relative_to(PROJECT))


def calls_by_name(source: str) -> set[str]:
    """Last part of the name of everything the source calls."""
    functions = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in functions}


@pytest.mark.parametrize("path", PLAIN, ids=name_of)
def test_the_records_and_every_init_import_the_standard_library_and_records_only(path: pathlib.Path) -> None:
    strangers = {
        module
        for module in imported(path.read_text())
        if module.split(".")[0] not in sys.stdlib_module_names and not module.startswith("waybill.records")
    }
    assert strangers == set()


@pytest.mark.parametrize("path", [p for p in SOURCES if not (p.is_relative_to(PROJECT / "waybill/cli") or p == NOTICE)], ids=name_of)
def test_only_the_command_line_imports_by_a_computed_name(path: pathlib.Path) -> None:
    assert not calls_by_name(path.read_text()) & {"import_module", "__import__", "run_module", "run_path"}


@pytest.mark.parametrize("path", DAGS, ids=name_of)
def test_a_dag_file_does_not_bear_the_name_of_a_package(path: pathlib.Path) -> None:
    assert path.stem not in {p.parent.name for p in SOURCES if p.name == "__init__.py"}


def test_setup_names_every_package_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", lambda **named: told.update(named))
    runpy.run_path(str(PROJECT / "setup.py"))
    there = {".".join(p.parent.relative_to(PROJECT).parts) for p in SOURCES if p.name == "__init__.py"}
    assert set(told["packages"]) == {package for package in there if package.split(".")[0] != "tools"}
