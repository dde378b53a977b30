"""A decision on what is stable, and the server that answers -> models.config, in two steps: a label never names what does not answer.

    1. versions: old, new; stable: old    the server loads the new one
    2. versions: new; stable: new         written when the server says that the new one is AVAILABLE

TensorFlow Serving checks labels before it adds versions, and refuses the whole file when one names a version that is not loaded. So a file
that did both would be refused for ever, and the old versions with it.
"""

from __future__ import annotations

import time

from waybill.client.errors import ClientError
from waybill.client.rest import RestClient
from waybill.client.spec import Patience, Spec
from waybill.records.settings import Settings
from waybill.serving import models_config
from waybill.serving.errors import LabelStays
from waybill.serving.models_config import STABLE, Entry
from waybill.serving.state import ServingState
from waybill.store.connection import Store

SECONDS = 60.0  # for the server to load a version, and again to follow the label
_PAUSE = 0.1


def hand_over(settings: Settings, store: Store, model: str, now: ServingState | None = None) -> None:
    """Writes what is decided to models.config; where that moves a label, in two steps, and returns when the server has followed.

    Args:
      settings: Where things are.
      store: The MLMD database.
      model: The model's name.
      now: The model's state, where it was read already.

    Raises:
      LabelStays: if the server does not load the new version, or does not follow; the label is where it was.
      ServingError: if the file cannot be written.
    """
    file = models_config.read(settings.serving)
    decided = models_config.decided(settings, store, {model: now} if now else None)
    # A label that could not be moved the last time stays until its own model is asked about again.
    decided |= {name: file[name] for name, entry in decided.items() if name != model and _stuck(file.get(name), entry)}
    before = file.get(model, Entry(()))
    there = models_config.present(settings.serving / model)
    held = {label: version for label, version in before.labels.items() if version in there}
    wanted = decided.get(model, Entry(()))
    if wanted.labels.get(STABLE, 0) in (0, held.get(STABLE, 0)) or STABLE not in held:
        models_config.write(settings.serving, decided)
        return
    new = wanted.labels[STABLE]
    both = Entry(tuple(sorted({*wanted.versions, *held.values()})), held)
    models_config.write(settings.serving, {**decided, model: both})
    server = _Server(settings.server, model, held[STABLE], new)
    server.await_loaded()
    models_config.write(settings.serving, decided)
    server.await_label()


def _stuck(before: Entry | None, wanted: Entry) -> bool:
    """Whether a model's label is not where it should be."""
    return before is not None and STABLE in before.labels and before.labels[STABLE] != wanted.labels.get(STABLE)


class _Server:
    """The server that follows the file.

    Args:
      url: Where its REST API is.
      model: The model whose label moves.
      old: The version that is stable.
      new: The version that will be.
    """

    def __init__(self, url: str, model: str, old: int, new: int):
        self._url, self._model, self._old, self._new = url, model, old, new
        self._client = RestClient(url, Patience(5.0, tries=2))

    def await_loaded(self) -> None:
        """Waits until the new version answers."""
        deadline, state = time.monotonic() + SECONDS, "nothing"
        while time.monotonic() < deadline:
            try:
                state = self._client.states(self._model).get(self._new, "nothing")
            except ClientError as error:
                raise self._stays(str(error)) from error
            if state == "AVAILABLE":
                return
            time.sleep(_PAUSE)
        raise self._stays(f"after {SECONDS:g} s the server at {self._url} says {state} of version {self._new}, not AVAILABLE")

    def await_label(self) -> None:
        """Waits until the label leads to the new version."""
        deadline, found = time.monotonic() + SECONDS, self._old
        while time.monotonic() < deadline:
            try:
                found = self._client.version_of(Spec(self._model, label=STABLE))
            except ClientError as error:
                raise self._stays(str(error)) from error
            if found == self._new:
                return
            time.sleep(_PAUSE)
        raise self._stays(
            f"after {SECONDS:g} s the server at {self._url} still answers to it with version {found}; does it follow the file?"
        )

    def _stays(self, why: str) -> LabelStays:
        return LabelStays(self._model, self._old, self._new, why)
