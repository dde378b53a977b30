"""Beam's pipelines, built without asking Python the same questions thousands of times and without packing what nobody unpacks.

A small Transform is a graph of two thousand Beam transforms, and building it takes longer than running it. A third of that time goes to
questions with few different answers: which parameters a method has, how Beam's flags read in the eyes of one class of options, which
modules a pickled function may reach. The answers are kept here. What is built stays the same, which a test compares.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import functools
import sys
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from waybill.launch.replaced import replace

# The runner that works in this process; the name of Beam's direct runner means another engine where it can download one.
IN_PROCESS = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
Parameters = tuple[list[str], list[Any]]
_AS_IT_IS = b"as it is:"  # neither bzip2's nor zlib's first bytes


@dataclasses.dataclass
class _Stays:
    """Whether the Beam pipeline of this process runs in it, as far as TFX has said; it does before it builds one."""

    here: bool = False


_STAYS = _Stays()


def build_quickly() -> None:
    """Replaces the functions; imports Beam, and does nothing the second time.

    Raises:
      UnknownSource: if Beam or TFX are of another version than the locked one.
    """
    import objsize
    from apache_beam.internal import cloudpickle_pickler
    from apache_beam.internal.cloudpickle import cloudpickle
    from apache_beam.options import pipeline_options
    from apache_beam.transforms import core, userstate
    from tensorflow_transform import impl_helper
    from tfx.utils import dependency_utils

    # Beam asks it how large a side input is; looking through the globals of thousands of modules first is most of the answer's cost.
    objsize.default_settings = objsize.ObjSizeSettings(exclude_modules_globals=False)
    replace(dependency_utils, "make_beam_dependency_flags", "d98e76d51160f25d", _packed_for_others)
    replace(core, "get_function_args_defaults", "5e41a60ff81fe8ca", _remembered)
    replace(impl_helper, "trace_preprocessing_function", "178e962f8984c3d6", _traced_once)
    replace(cloudpickle, "_find_imported_submodules", "72a2f8605bfda2b6", _by_package)
    replace(cloudpickle_pickler, "dumps", "cb8949d19cc40958", _left_as_it_is)
    replace(cloudpickle_pickler, "loads", "3b3044e5c7f93007", _read_as_it_is)
    replace(userstate, "get_dofn_specs", "eeb36145d3115aa0", _asked_once_per_class)
    replace(pipeline_options.PipelineOptions, "view_as", "3fd63693be9c56f3", _viewed(pipeline_options.PipelineOptions))


def _packed_for_others(original: Callable[[list[str]], list[str]]) -> Callable[[list[str]], list[str]]:
    """Spares this very process the package of TFX that remote workers need.

    TFX copies itself into a temporary folder, builds a source distribution there and leaves both behind: a second, and 40 MB of disk, for
    each node that uses Beam.
    """

    def make_beam_dependency_flags(beam_pipeline_args: list[str]) -> list[str]:
        _STAYS.here = f"--runner={IN_PROCESS}" in beam_pipeline_args
        return list(beam_pipeline_args) if _STAYS.here else original(beam_pipeline_args)

    return make_beam_dependency_flags


def _traced_once(original: Callable[..., Any]) -> Callable[..., Any]:
    """Traces once for TFX's two questions in a row, which columns are analysed and which are transformed.

    Both only read the graph. What is traced to be written has a folder for its assets, and is traced anew.
    """
    last: list[Any] = [None, None, None]

    def trace_preprocessing_function(preprocessing_fn: Any, input_specs: Any, use_tf_compat_v1: bool, base_temp_dir: Any = None) -> Any:
        if use_tf_compat_v1 or base_temp_dir is not None:
            return original(preprocessing_fn, input_specs, use_tf_compat_v1, base_temp_dir)
        if last[0] is not preprocessing_fn or last[1] != input_specs:
            last[:] = [preprocessing_fn, input_specs, original(preprocessing_fn, input_specs, use_tf_compat_v1)]
        return last[2]

    return trace_preprocessing_function


def _remembered(original: Callable[[Any], Parameters]) -> Callable[[Any], Parameters]:
    """Answers for functions and methods from memory: a function's parameters do not change, and a method's are its function's."""
    known: weakref.WeakKeyDictionary[Any, dict[bool, Parameters]] = weakref.WeakKeyDictionary()

    def get_function_args_defaults(f: Any) -> Parameters:
        bound = isinstance(f, types.MethodType)
        function = f.__func__ if bound else f
        if not isinstance(function, types.FunctionType):
            return original(f)
        answers = known.setdefault(function, {})
        if bound not in answers:
            answers[bound] = original(f)
        args, defaults = answers[bound]
        return list(args), list(defaults)

    return get_function_args_defaults


def _asked_once_per_class(original: Callable[[Any], tuple[set[Any], set[Any]]]) -> Callable[[Any], tuple[set[Any], set[Any]]]:
    """Knows which classes of DoFn have no method that takes state or timers; an instance may still bring such a function along."""
    from apache_beam.transforms.core import _DoFnParam

    stateless: weakref.WeakKeyDictionary[type, tuple[str, ...]] = weakref.WeakKeyDictionary()

    def get_dofn_specs(dofn: Any) -> tuple[set[Any], set[Any]]:
        own = stateless.get(type(dofn))
        if own is not None and not _brings_methods(dofn, own, _DoFnParam):
            return set(), set()
        found = original(dofn)
        if not any(found):
            stateless[type(dofn)] = tuple(name for name in dir(dofn) if name.startswith("_inspect_"))
        return found

    return get_dofn_specs


def _brings_methods(dofn: Any, inspected: tuple[str, ...], parameter: type) -> bool:
    """Whether an instance has methods, or parameters of methods, that its class has not."""
    if any(isinstance(value, types.MethodType) for value in vars(dofn).values()):
        return True
    return any(isinstance(default, parameter) for name in inspected for default in getattr(dofn, name)()[1])


def _by_package(original: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Looks for submodules among a package's own modules, where the original reads the names of all modules for each global of a function.

    The names are sorted into packages anew whenever a module has come or gone.
    """
    seen: tuple[int, str] = (0, "")
    below: dict[str, list[tuple[str, frozenset[str]]]] = {}

    def modules_of(package: str) -> list[tuple[str, frozenset[str]]]:
        if package not in below:
            inside = [name for name in list(sys.modules) if name.startswith(f"{package}.")]
            below[package] = [(name, frozenset(name[len(package) + 1 :].split("."))) for name in inside]
        return below[package]

    def find_imported_submodules(code: types.CodeType, top_level_dependencies: Iterable[Any]) -> list[Any]:
        nonlocal seen
        now = (len(sys.modules), next(reversed(sys.modules)))
        if now != seen:
            seen = now
            below.clear()
        used, found = set(code.co_names), []
        for package in top_level_dependencies:
            if isinstance(package, types.ModuleType) and getattr(package, "__package__", None):
                found += [sys.modules[name] for name, words in modules_of(package.__name__) if words <= used]
        return found

    return find_imported_submodules


def _left_as_it_is(original: Callable[..., bytes]) -> Callable[..., bytes]:
    """Packs a pickled function only when it is going to leave this process; a thousand of them take bzip2 a quarter of a second."""
    inner = original.__globals__["_dumps"]

    def dumps(o: Any, enable_trace: bool = True, use_zlib: bool = False, *args: Any, **kwargs: Any) -> bytes:
        if use_zlib or not _STAYS.here:
            return original(o, enable_trace, use_zlib, *args, **kwargs)
        return base64.b64encode(_AS_IT_IS + inner(o, *args, **kwargs))

    return dumps


def _read_as_it_is(original: Callable[..., Any]) -> Callable[..., Any]:
    """Reads what `_left_as_it_is` wrote, and everything that others did."""
    inner = original.__globals__["_loads"]

    def loads(encoded: bytes, enable_trace: bool = True, use_zlib: bool = False) -> Any:
        if not use_zlib and (found := base64.b64decode(encoded)).startswith(_AS_IT_IS):
            return inner(found[len(_AS_IT_IS) :])
        return original(encoded, enable_trace, use_zlib)

    return loads


def _viewed(base: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes `view_as`, which has Beam parse the same flags for the same class of options once."""

    @functools.lru_cache(maxsize=256)
    def parsed(cls: Any, flags: tuple[str, ...]) -> Any:
        return cls(list(flags))._visible_options

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def view_as(self: Any, cls: Any) -> Any:
            if self._flags is None or cls.__init__ is not base.__init__:
                return original(self, cls)  # reads the process's arguments, or makes itself in a way of its own
            view = cls.__new__(cls)
            view._flags = self._flags
            view._visible_options = visible = copy.deepcopy(parsed(cls, tuple(self._flags)))
            for name in view._visible_option_list():
                self._all_options.setdefault(name, getattr(visible, name))
            view._all_options = self._all_options
            return view

        return view_as

    return make
