"""The Python that runs the set-up -> whether the environments can be made from it."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import platform
import shutil
import sys
import sysconfig

from tools.bootstrap.errors import SetupError

SUPPORTED = ((3, 10), (3, 13))
NAME_ANOTHER = "Name another: make PYTHON=/path/to/python3.11 <verb>"


@dataclasses.dataclass(frozen=True)
class Interpreter:
    """The facts the checks are made from.

    Attributes:
      path: The interpreter's file, outside of any virtual environment.
      version: Its version as (major, minor, micro).
      implementation: `CPython` for the one everybody has.
      free_threaded: Whether it is a build without the global lock.
      can_make_venv: Whether the modules `venv` and `ensurepip` are there; Debian and Ubuntu package them apart.
      can_compile: Whether a C++ compiler and this Python's headers are there.
    """

    path: str
    version: tuple[int, int, int]
    implementation: str
    free_threaded: bool
    can_make_venv: bool
    can_compile: bool


def inspect_interpreter() -> Interpreter:
    """Reads the running interpreter's facts."""
    headers = pathlib.Path(sysconfig.get_path("include", vars={"installed_base": sys.base_prefix}), "Python.h")
    return Interpreter(
        path=str(pathlib.Path(getattr(sys, "_base_executable", sys.executable)).resolve()),
        version=sys.version_info[:3],
        implementation=platform.python_implementation(),
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        can_make_venv=all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
        can_compile=headers.is_file() and any(shutil.which(compiler) for compiler in ("c++", "g++", "clang++")),
    )


def check(interpreter: Interpreter) -> None:
    """Refuses a Python that the environments cannot be made from.

    Raises:
      SetupError: with what is wrong and how to name or complete another.
    """
    found = ".".join(map(str, interpreter.version[:2]))
    low, high = SUPPORTED
    if not low <= interpreter.version[:2] <= high:
        raise SetupError(f"{interpreter.path} is Python {found}; Airflow 3.3 and TFX 1.21 need 3.10 to 3.13. {NAME_ANOTHER}")
    if interpreter.implementation != "CPython" or interpreter.free_threaded:
        kind = "a free-threaded build" if interpreter.free_threaded else interpreter.implementation
        raise SetupError(f"{interpreter.path} is {kind}; TensorFlow has wheels for the ordinary CPython only. {NAME_ANOTHER}")
    if not interpreter.can_make_venv:
        raise SetupError(
            f"{interpreter.path} lacks its modules venv or ensurepip. On Debian and Ubuntu install them with "
            f"`apt-get install python{found}-venv`; elsewhere take a complete Python {found}. {NAME_ANOTHER}"
        )


def check_can_compile(interpreter: Interpreter) -> None:
    """Refuses a Python 3.10 that has nothing to compile pyfarmhash with; the later ones have a wheel of it.

    Raises:
      SetupError: naming the packages to install.
    """
    if interpreter.version[:2] < (3, 11) and not interpreter.can_compile:
        raise SetupError(
            "TFX needs pyfarmhash, which has to be compiled for Python 3.10, and a C++ compiler or Python's headers are missing. "
            f"Install them (Debian and Ubuntu: `apt-get install g++ python3.10-dev`) or use Python 3.11 to 3.13. {NAME_ANOTHER}"
        )
