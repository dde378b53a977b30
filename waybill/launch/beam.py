"""Beam's pipelines, built without asking Python the same questions thousands of times.

A small Transform is a graph of two thousand Beam transforms, and building it takes longer than running it. A third of that time goes to
two questions with few different answers: which parameters a method has, and how Beam's flags read in the eyes of one class of options.
Both answers are kept here. What is built stays the same, which a test compares.
"""

from __future__ import annotations

import copy
import functools
import types
import weakref
from collections.abc import Callable
from typing import Any

from waybill.launch.replaced import replace

Parameters = tuple[list[str], list[Any]]


def build_quickly() -> None:
    """Replaces the two functions; imports Beam, and does nothing the second time.

    Raises:
      UnknownSource: if this is another version of Beam than the locked one.
    """
    from apache_beam.options import pipeline_options
    from apache_beam.transforms import core

    replace(core, "get_function_args_defaults", "5e41a60ff81fe8ca", _remembered)
    replace(pipeline_options.PipelineOptions, "view_as", "3fd63693be9c56f3", _viewed(pipeline_options.PipelineOptions))


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
