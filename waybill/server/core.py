"""Models to serve, and folders that change -> the version that a request is for: what REST and gRPC ask.

One thread looks at the base paths, and at models.config where one is served from, as often as it is told to. A configuration takes the
place of the one before; labels are checked before models are added, which is TensorFlow Serving's order and its trap: a label cannot be
moved to a version in the file that brings that version.
"""

from __future__ import annotations

import contextlib
import pathlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from waybill.server import config, source
from waybill.server.config import Model
from waybill.server.errors import RequestError, ServerError, invalid
from waybill.server.manager import AVAILABLE, END, Manager, State

_RELOAD_SECONDS = 60


class Core:
    """What is served.

    Args:
      manager: Where versions are loaded.
      say: Takes a line for the log.
      early_labels: Whether a label that is not in use yet may name a version that is not loaded.
      example: Gives a tf.Example that belongs to the version in a folder, empty for none.

    Attributes:
      example: The same.
    """

    def __init__(
        self,
        manager: Manager,
        say: Callable[[str], None],
        *,
        early_labels: bool = True,
        example: Callable[[pathlib.Path], bytes] = lambda _: b"",
    ):
        self._manager = manager
        self.example = example
        self._say = say
        self._early_labels = early_labels
        self._models: tuple[Model, ...] = ()
        self._labels: dict[str, dict[str, int]] = {}
        self._configuring = threading.Lock()
        self._polling = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._said: dict[str, str] = {}
        self._text: str | None = None

    @property
    def models(self) -> tuple[Model, ...]:
        """The models of the configuration in force."""
        return self._models

    @property
    def labels(self) -> Mapping[str, Mapping[str, int]]:
        """Versions by label, by model."""
        return self._labels

    def configure(self, models: Iterable[Model]) -> None:
        """Serves these models and no others; models that are in both configurations answer all the while.

        Raises:
          RequestError: FAILED_PRECONDITION if a label names a version that does not answer, and may not; nothing has changed then.
        """
        with self._configuring:
            models = tuple(models)
            labels = {model.name: self._checked_labels(model) for model in models}
            gone = {model.name for model in self._models} - {model.name for model in models}
            with self._polling:
                self._models, self._labels = models, labels
                for name in gone:
                    self._manager.aspire(name, {})
            self.poll()

    def reload(self, message: Any) -> None:
        """Serves what a ModelServerConfig says; returns when the models it adds answer.

        Raises:
          RequestError: if it is not accepted, or a new model did not become available.
        """
        before = {model.name for model in self._models}
        models = config.models_of(message)
        self.configure(models)
        new = [model.name for model in models if model.name not in before]
        self._manager.wait(lambda: all(self._settled(name) for name in new), _RELOAD_SECONDS)
        if failed := [name for name in new if not self._answers(name)]:
            reasons = ", ".join(f"{{{self._why_not(name)}}}" for name in failed)
            raise RequestError("UNKNOWN", f"{len(failed)} model(s) did not become available: {{{reasons}, }}")

    def follow(self, poll_seconds: float, file: pathlib.Path | None = None) -> None:
        """Looks at the base paths, and at a models.config, again and again, until `close`; with 0 only once.

        Raises:
          ServerError: if there is such a file and it cannot be served from.
        """
        if file is not None:
            self._follow_file(file, first=True)
        self.poll()
        if poll_seconds:
            self._thread = threading.Thread(target=self._look, args=(poll_seconds, file), name="poll", daemon=True)
            self._thread.start()

    def poll(self) -> None:
        """Looks at all base paths once. Where one is missing nothing changes for any model, which is TensorFlow Serving's way."""
        with self._polling:
            found = {}
            try:
                for model in self._models:
                    found[model.name] = model.policy.choose(source.versions(model.name, model.base))
            except RequestError as error:
                self._say_once("poll", f"FileSystemStoragePathSource encountered a filesystem access error: {error.message}")
                return
            self._said.pop("poll", None)
            for name, wanted in found.items():
                self._manager.aspire(name, wanted)

    @contextlib.contextmanager
    def use(self, spec: Any) -> Iterator[tuple[int, Any]]:
        """The version that a ModelSpec asks for, and what was loaded of it, kept while it is used.

        Raises:
          RequestError: if it names no model, or nothing answers to it.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        with contextlib.ExitStack() as used:
            while True:
                version = self._version(spec)
                try:
                    found = used.enter_context(self._manager.use(spec.name, version))
                    break
                except RequestError:
                    if self._version(spec) == version:
                        raise  # otherwise the label moved between the two looks, and the version before it is gone
            yield found

    def states(self, name: str, version: int | None = None) -> dict[int, State]:
        """What is known of a model's versions.

        Raises:
          RequestError: NOT_FOUND if nothing is.
        """
        found = self._manager.states(name)
        if version is not None:
            if version not in found:
                raise RequestError("NOT_FOUND", f"Could not find version {version} of model {name}")
            return {version: found[version]}
        if not found:
            raise RequestError("NOT_FOUND", f"Could not find any versions of model {name}")
        return found

    def wait(self, seconds: float) -> bool:
        """Waits until every model answers or has failed; False when that takes longer."""
        return self._manager.wait(lambda: all(self._settled(model.name) for model in self._models), seconds)

    def close(self) -> None:
        """Stops looking, and frees all models."""
        self._stopped.set()
        if self._thread:
            self._thread.join()
        self._manager.close()

    def _version(self, spec: Any) -> int | None:
        choice = spec.WhichOneof("version_choice")
        if choice == "version":
            return int(spec.version.value)
        if choice == "version_label":
            labels = self._labels.get(spec.name, {})
            if spec.version_label not in labels:
                raise invalid(f"Unrecognized servable version label: {spec.version_label}")
            return labels[spec.version_label]
        return None

    def _checked_labels(self, model: Model) -> dict[str, int]:
        states, used = self._manager.states(model.name), self._labels.get(model.name, {})
        for label, version in model.labels.items():
            early = self._early_labels and used.get(label, version) == version
            if not early and (version not in states or states[version].state != AVAILABLE):
                raise RequestError(
                    "FAILED_PRECONDITION",
                    f"Request to assign label to version {version} of model {model.name}, which is not currently available for inference",
                )
        return dict(model.labels)

    def _look(self, seconds: float, file: pathlib.Path | None) -> None:
        while not self._stopped.wait(seconds):
            try:
                if file is not None:
                    self._follow_file(file, first=False)
                self.poll()
            except Exception as error:  # noqa: BLE001 - the next look may go well, and what answers goes on answering
                self._say_once("look", f"{type(error).__name__}: {error}")

    def _follow_file(self, file: pathlib.Path, *, first: bool) -> None:
        """Serves what a file says when it says something new. One that is not there, or is refused later on, leaves the one before."""
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            self._say_once("file", f"there is no {file} yet; it is served from as soon as it is there")
            return
        if text == self._text:
            return
        try:
            self.configure(config.read(file))
        except (ServerError, RequestError) as error:
            if first:
                raise ServerError(str(error)) from error
            self._say_once("file", f"{file} is not accepted, the one before stays in force: {error}")
            return
        self._text = text
        self._said.pop("file", None)
        self._say(f"serves {', '.join(model.name for model in self._models) or 'no model'}, by {file}")

    def _say_once(self, topic: str, line: str) -> None:
        """Says a line that may be true at every look, once."""
        if self._said.get(topic) != line:
            self._said[topic] = line
            self._say(line)

    def _answers(self, name: str) -> bool:
        return any(state.state == AVAILABLE for state in self._manager.states(name).values())

    def _settled(self, name: str) -> bool:
        states = self._manager.states(name)
        return self._answers(name) or (bool(states) and all(state.state == END for state in states.values()))

    def _why_not(self, name: str) -> str:
        errors = [
            f"{{name: {name} version: {number}}} due to error: {s.error}" for number, s in self._manager.states(name).items() if s.error
        ]
        return ", ".join(errors) or f"{{name: {name}}}"
