"""The versions that should be there -> those that answer: a new one before an old one goes, the old one on where the new one fails.

    aspired {2}, answering 1:   1 AVAILABLE, 2 LOADING  ->  both AVAILABLE  ->  1 UNLOADING, 2 AVAILABLE  ->  1 END

The states and their order are TensorFlow Serving's, under its availability-preserving policy. A version is drained before it is freed:
whoever was given it goes on until they are done.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from waybill.server.errors import RequestError

START, LOADING, AVAILABLE, UNLOADING, END = "START", "LOADING", "AVAILABLE", "UNLOADING", "END"
_DRAINS = 8
_CLOSING_SECONDS = 30


class Closeable(Protocol):
    """What a version is once it is loaded."""

    def close(self) -> None:
        """Frees it."""


@dataclasses.dataclass(frozen=True)
class Retries:
    """How often a failed load is tried again.

    Attributes:
      count: After the first time; 0 for never.
      seconds: Between two tries.
    """

    count: int = 2
    seconds: float = 1.0


@dataclasses.dataclass(frozen=True)
class State:
    """What is known of a version.

    Attributes:
      state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
      error: Why it did not load, where it did not.
    """

    state: str
    error: RequestError | None = None


@dataclasses.dataclass(eq=False)
class _Version:
    """One version that has not ended, or has ended with an error while it is still wanted."""

    model: str
    number: int
    path: pathlib.Path
    state: str = START
    error: RequestError | None = None
    aspired: bool = True
    loaded: Closeable | None = None
    users: int = 0


class Manager:
    """The versions of all models.

    Args:
      load: Loads a model's version from its folder; raises RequestError.
      retries: How often a failed load is tried again.
      threads: How many versions are loaded or freed at once.
      say: Takes a line for the log.
    """

    def __init__(self, load: Callable[[str, int, pathlib.Path], Closeable], retries: Retries, threads: int, say: Callable[[str], None]):
        self._load = load
        self._retries = retries
        self._say = say
        self._versions: dict[str, dict[int, _Version]] = {}
        self._ended: dict[str, dict[int, State]] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._pool = ThreadPoolExecutor(threads, "load")
        self._drains = ThreadPoolExecutor(_DRAINS, "drain")  # of their own: one that waits for its last user keeps no other from loading

    def aspire(self, model: str, wanted: Mapping[int, pathlib.Path]) -> None:
        """Says which versions of a model should be there; returns at once.

        A version that is there already is left alone, whatever its folder holds by now.
        """
        with self._changed:
            there = self._versions.setdefault(model, {})
            for number, path in wanted.items():
                known = there.get(number)
                if known is None:
                    there[number] = _Version(model, number, path)
                elif known.state in (START, LOADING, AVAILABLE):
                    known.aspired = True
            for number, version in list(there.items()):
                version.aspired = version.aspired and number in wanted
            self._act(model)

    @contextlib.contextmanager
    def use(self, model: str, number: int | None) -> Iterator[tuple[int, Closeable]]:
        """A version that answers, kept while it is used: the given one, or the highest.

        Raises:
          RequestError: NOT_FOUND if none answers.
        """
        with self._changed:
            ready = [v for v in self._versions.get(model, {}).values() if v.state == AVAILABLE and number in (None, v.number)]
            if not ready:
                asked = f"Latest({model})" if number is None else f"Specific({model}, {number})"
                raise RequestError("NOT_FOUND", f"Servable not found for request: {asked}")
            version = max(ready, key=lambda v: v.number)
            version.users += 1
        try:
            yield version.number, version.loaded  # type: ignore[misc]
        finally:
            with self._changed:
                version.users -= 1
                if not version.users:
                    self._changed.notify_all()

    def states(self, model: str) -> dict[int, State]:
        """What is known of a model's versions, by number, ascending; those that ended are remembered."""
        with self._changed:
            live = {v.number: State(v.state, v.error) for v in self._versions.get(model, {}).values()}
            return dict(sorted({**self._ended.get(model, {}), **live}.items()))

    def models(self) -> list[str]:
        """Names of all models that any version is known of, sorted."""
        with self._changed:
            return sorted({name for name, found in (*self._versions.items(), *self._ended.items()) if found})

    def wait(self, done: Callable[[], bool], seconds: float) -> bool:
        """Waits until `done` says so, which is asked after every change; False when that takes longer."""
        with self._changed:
            return self._changed.wait_for(done, seconds)

    def close(self) -> None:
        """Frees everything, once nobody uses it any more."""
        with self._changed:
            self._closing = True
            names = list(self._versions)
            self._changed.notify_all()
        for name in names:
            self.aspire(name, {})
        self.wait(lambda: not any(self._versions.values()), _CLOSING_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._drains.shutdown(wait=False, cancel_futures=True)

    def _act(self, model: str) -> None:
        """Starts whatever is to be done next; called with the lock held, after every change."""
        there = self._versions[model]
        for number, version in list(there.items()):
            if version.state == END and not version.aspired:
                del there[number]
        aspired = [v for v in there.values() if v.aspired]
        for version in aspired:
            if version.state == START:
                version.state = LOADING
                self._ended.get(model, {}).pop(version.number, None)
                self._pool.submit(self._bring, version)
        if not aspired or any(v.state == AVAILABLE for v in aspired):
            for version in [v for v in there.values() if not v.aspired and v.state == AVAILABLE]:
                version.state = UNLOADING
                self._drains.submit(self._let_go, version)
        self._changed.notify_all()

    def _bring(self, version: _Version) -> None:
        """Loads a version, on a thread of the pool."""
        name, error = f"{version.model} {version.number}", None
        began = time.monotonic()
        for left in range(self._retries.count, -1, -1):
            error = self._try(version)
            if error is None or not left or not self._still_wanted(version):
                break
            self._say(f"{name} did not load, tries again in {self._retries.seconds:g} s: {error}")
            with self._changed:
                self._changed.wait_for(lambda: self._closing or not version.aspired, self._retries.seconds)
        self._say(f"{name} did not load: {error}" if error else f"{name} is loaded, after {time.monotonic() - began:.2f} s")
        with self._changed:
            version.state, version.error = (END, error) if error else (AVAILABLE, None)
            if error:
                self._ended.setdefault(version.model, {})[version.number] = State(END, error)
            self._act(version.model)

    def _try(self, version: _Version) -> RequestError | None:
        try:
            version.loaded = self._load(version.model, version.number, version.path)
        except RequestError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever a model brings about is the version's end, not the server's
            return RequestError("INTERNAL", f"{type(error).__name__}: {error}")
        return None

    def _still_wanted(self, version: _Version) -> bool:
        with self._changed:
            return version.aspired and not self._closing

    def _let_go(self, version: _Version) -> None:
        """Frees a version once nobody uses it, on a thread of the drains."""
        with self._changed:
            self._changed.wait_for(lambda: version.users == 0)
        if version.loaded:
            version.loaded.close()
        self._say(f"{version.model} {version.number} is unloaded")
        with self._changed:
            version.loaded = None
            self._versions[version.model].pop(version.number, None)
            self._ended.setdefault(version.model, {})[version.number] = State(END)
            self._act(version.model)
