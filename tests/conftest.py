"""The environment that pytest runs in -> the tests that belong to it, kept away from everything outside of them.

Files named `test_airflow_*.py` belong to Airflow's Python, all others to TFX's. `make test` runs both.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import tempfile

import pytest

PARTS = ("runs", "forking", "plain")
IN_AIRFLOWS_PYTHON = importlib.util.find_spec("airflow") is not None


def pytest_configure(config: pytest.Config) -> None:
    """Gives the session a home of its own, before anything reads the environment."""
    home = tempfile.TemporaryDirectory(prefix="waybill-tests-")
    config.add_cleanup(home.cleanup)
    for name in [name for name in os.environ if name.startswith(("WAYBILL_", "AIRFLOW_"))]:
        del os.environ[name]
    os.environ["WAYBILL_HOME"] = f"{home.name}/waybill"
    if IN_AIRFLOWS_PYTHON:
        os.environ["AIRFLOW_HOME"] = f"{home.name}/airflow"
        os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    else:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
        _be_patient()


def pytest_ignore_collect(collection_path: pathlib.Path) -> bool | None:
    """Leaves out the tests of the other environment."""
    if not collection_path.name.startswith("test_"):
        return None
    return True if collection_path.name.startswith("test_airflow_") != IN_AIRFLOWS_PYTHON else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option by which `make test` runs several processes side by side."""
    parser.addoption("--part", choices=PARTS, help="run only whole runs of a pipeline, only the other tests that fork, or only the rest")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Puts the tests that fork first: a child of a process that has run a TensorFlow op waits for threads it does not have."""
    items.sort(key=lambda item: not _forks(item))
    if part := config.getoption("--part"):
        items[:] = [item for item in items if _part(item) == part]


def _part(item: pytest.Item) -> str:
    if not _forks(item):
        return "plain"
    return "runs" if item.get_closest_marker("end_to_end") else "forking"


def _forks(item: pytest.Item) -> bool:
    return any(getattr(value, "__module__", "") in ("harness", "proving") for value in vars(getattr(item, "module", item)).values())


def _be_patient() -> None:
    """Hypothesis fails what takes longer than 200 ms, which on a busy machine says nothing of the code."""
    from hypothesis import HealthCheck, settings

    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
