"""What is served -> the page at `/`: models, versions, labels, and a form for each model."""

from __future__ import annotations

import dataclasses
import json
import pathlib

import jinja2

from waybill.gates.report_text import shown
from waybill.server import forms, page_example, source
from waybill.server.config import Model
from waybill.server.core import Core
from waybill.server.errors import RequestError
from waybill.server.forms import Form
from waybill.server.manager import AVAILABLE, State
from waybill.server.page_template import PAGE

STABLE = "stable"
_ASKED = 4  # versions that are asked side by side


@dataclasses.dataclass(frozen=True)
class Version:
    """One version.

    Attributes:
      number: Its number.
      labels: The labels that it bears.
      state: TensorFlow Serving's word for its state; `not there` for one that only a label knows.
      error: Why it did not load; empty where it did.
    """

    number: int
    labels: tuple[str, ...]
    state: str
    error: str


@dataclasses.dataclass(frozen=True)
class Shown:
    """One model on the page.

    Attributes:
      name: Its name.
      versions: Its versions, the newest first.
      asked: Those that the form asks, the first of which the form was made from.
      form: The form; None where nothing answers, or no form can be made.
    """

    name: str
    versions: tuple[Version, ...]
    asked: tuple[Version, ...]
    form: Form | None

    @property
    def targets(self) -> str:
        """The versions to ask, as JSON for the script; numbers as texts, because a script's numbers are not exact."""
        return json.dumps([[str(one.number), ", ".join(one.labels)] for one in self.asked])


def render(core: Core) -> str:
    """The page, as HTML in which every value is escaped."""
    return _TEMPLATE.render(models=[_shown(core, model) for model in core.models])


def _shown(core: Core, model: Model) -> Shown:
    versions = _versions(core, model)
    asked = _asked(versions)
    return Shown(model.name, versions, asked, _form(core, model, asked[0].number) if asked else None)


def _versions(core: Core, model: Model) -> tuple[Version, ...]:
    try:
        states = dict(core.states(model.name))
    except RequestError:
        states = {}
    by_label = core.labels.get(model.name, {})
    found = []
    for number in sorted(states.keys() | set(by_label.values()), reverse=True):
        state = states.get(number, State("not there"))
        labels = tuple(sorted(label for label, version in by_label.items() if version == number))
        found.append(Version(number, labels, state.state, state.error.message if state.error else ""))
    return tuple(found)


def _asked(versions: tuple[Version, ...]) -> tuple[Version, ...]:
    """What answers: stable first, then other labels, then the rest from the newest on."""
    answering = [one for one in versions if one.state == AVAILABLE]
    return tuple(sorted(answering, key=lambda one: (STABLE not in one.labels, not one.labels, -one.number))[:_ASKED])


def _form(core: Core, model: Model, number: int) -> Form | None:
    from tensorflow_serving.apis import model_pb2

    spec = model_pb2.ModelSpec(name=model.name)
    spec.version.value = number
    try:
        with core.use(spec) as (_, session):
            signatures, pictures = session.signatures, session.decodes_pictures
    except RequestError:
        return None  # it went between the two looks
    name = forms.choose(signatures)
    if not name:
        return None
    inputs, folder = signatures[name].inputs, _folder(model, number)
    row, what = page_example.example(folder, name, inputs) if folder else {}, "the first of the version's own warm-up requests"
    if folder and not row:
        row, what = page_example.of_row(core.example(folder), inputs), "a row of the eval split that the version was judged on"
    return forms.make(name, signatures[name], row, what, pictures=pictures)


def _folder(model: Model, number: int) -> pathlib.Path | None:
    try:
        return source.versions(model.name, model.base).get(number)
    except RequestError:
        return None


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["shown"] = shown
    return made


_TEMPLATE = _environment().from_string(PAGE)
