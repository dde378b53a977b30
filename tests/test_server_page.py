"""The page of `waybill serve`: what it says of what is served, the form it makes of a signature, and who may look at it."""

from __future__ import annotations

import contextlib
import html.parser
import http.client
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import browser
import pytest
import serving_models
import serving_target
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

HOSTILE = '<img src=x onerror="alert(1)">&"\'{{7*7}}'


class Raw(tf.Module):
    """fare, company, seats -> half the fare plus b: a raw signature with one column of each kind."""

    def __init__(self, b: float):
        super().__init__()
        self.b = tf.Variable(b)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 1], tf.float32, name="fare"),
            tf.TensorSpec([None, 1], tf.string, name="company"),
            tf.TensorSpec([None, 1], tf.int64, name="seats"),
        ]
    )
    def raw(self, fare, company, seats):
        known = tf.where(tf.math.is_nan(fare), -1.0, fare)
        names = tf.cast(tf.strings.length(company), tf.float32)
        return {"score": known / 2 + self.b + names * 100 + tf.cast(seats, tf.float32) * 10000}


class Pictures(tf.Module):
    """Ten scores by the share of ink in a tenth of the rows each, of numbers or of a PNG that is dark on light."""

    def __init__(self):
        super().__init__()
        self.one = tf.Variable(1.0)

    def _scores(self, ink):
        rows = tf.reduce_mean(ink, axis=2)
        return {"scores": tf.nn.softmax(rows * 20.0) * self.one}

    @tf.function(input_signature=[tf.TensorSpec([None, 10, 10], tf.float32, name="ink")])
    def pixels(self, ink):
        return self._scores(ink)

    @tf.function(input_signature=[tf.TensorSpec([None, 1], tf.string, name="shot")])
    def encoded(self, shot):
        def decoded(one):
            return 1.0 - tf.image.resize(tf.cast(tf.io.decode_png(one, channels=1), tf.float32), (10, 10), "area")[:, :, 0] / 255.0

        return self._scores(tf.map_fn(decoded, tf.reshape(shot, [-1]), fn_output_signature=tf.TensorSpec([10, 10], tf.float32)))


def save_raw(folder: pathlib.Path, b: float) -> None:
    model = Raw(b)
    tf.saved_model.save(model, str(folder), {"raw": model.raw})


def add_warm_up(folder: pathlib.Path, **row: Any) -> None:
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = "raw"
    types = {"fare": tf.float32, "company": tf.string, "seats": tf.int64}
    for name, kind in types.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto([[row[name]]], kind))
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra/tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


def config_of(models: pathlib.Path) -> str:
    def block(name: str, folder: str, rest: str = "") -> str:
        base = json.dumps(str(models / folder))
        return f"config {{ name: {json.dumps(name)} base_path: {base} model_platform: 'tensorflow' {rest} }}\n"

    labels = "version_labels { key: 'stable' value: 1 } version_labels { key: 'canary' value: 2 }"
    blocks = (
        block("trips", "trips", f"model_version_policy {{ specific {{ versions: 1 versions: 2 }} }} {labels}"),
        block(HOSTILE, "half"),
        *(block(name, name) for name in ("numbers", "shots", "broken")),
    )
    return f"model_config_list {{\n{''.join(blocks)}}}"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serving_target.Target]:
    """A server with a labelled pair, a hostile name, two models of pictures, and one that does not load."""
    models = tmp_path_factory.mktemp("models")
    for version, b in ((1, 0.25), (2, 0.75)):
        save_raw(models / f"trips/{version}", b)
    add_warm_up(models / "trips/1", fare=12.5, company='Blue <b>"Cab"</b>', seats=-1)
    serving_models.save_half(models / "half/7")
    pictures = Pictures()
    tf.saved_model.save(pictures, str(models / "numbers/1"), {"serving_default": pictures.pixels})
    tf.saved_model.save(pictures, str(models / "shots/1"), {"serving_default": pictures.encoded})
    (models / "broken/3").mkdir(parents=True)
    file = models / "models.config"
    file.write_text(config_of(models))
    with serving_target.apart(models, "--models-config", str(file), "--load-retries", "0") as found:
        for name, versions in (("trips", (1, 2)), (HOSTILE, (7,)), ("numbers", (1,)), ("shots", (1,)), ("broken", ())):
            found.answering(name, *versions) if versions else found.until(name, lambda states: states.get(3) == "END")
        yield found


class Page(html.parser.HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words += data

    def form(self, model: str) -> dict[str, str]:
        (found,) = (about for tag, about in self.elements if tag == "form" and about["data-model"] == model)
        return found

    def fields(self, model: str) -> dict[str, dict[str, str]]:
        """What a model's fields are, by name, with what each starts with."""
        found: dict[str, dict[str, str]] = {}
        inside, field = False, {}
        for tag, about in self.elements:
            if tag == "form":
                inside = about["data-model"] == model
            if inside and "data-name" in about:
                field = found[about["data-name"]] = dict(about)
            if inside and tag == "input" and about.get("class") == "value":
                field["value"] = about["value"]
        return found


@pytest.fixture
def page(target: serving_target.Target) -> Page:
    status, kind, body = target.ask("GET", "/")
    assert (status, kind) == (200, "text/html")
    return Page(body.decode())


def asked(target: serving_target.Target, path: str, host: str | None = None, method: str = "GET") -> tuple[int, Any, bytes]:
    with contextlib.closing(http.client.HTTPConnection(target.host, timeout=30)) as connection:
        connection.putrequest(method, path, skip_host=host is not None)
        if host is not None:
            connection.putheader("Host", host)
        connection.endheaders()
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def test_a_form_is_made_from_the_raw_signature_and_filled_from_the_models_own_warm_up(page: Page) -> None:
    assert page.form("trips")["data-signature"] == "raw"
    fields = page.fields("trips")
    assert {name: (about["data-kind"], about["data-missing"], about["value"]) for name, about in fields.items()} == {
        "company": ("text", '""', 'Blue <b>"Cab"</b>'),
        "fare": ("number", "NaN", "12.5"),
        "seats": ("whole", "-1", ""),  # the request said that it is missing
    }
    assert "Filled with the first of the version's own warm-up requests." in page.words


def test_without_warm_up_requests_a_form_starts_from_neutral_values_and_says_so(page: Page) -> None:
    assert page.fields(HOSTILE)["x"]["value"] == "0"
    assert "The version brings no example" in page.words


def test_versions_are_asked_side_by_side_stable_first(page: Page) -> None:
    assert json.loads(page.form("trips")["data-targets"]) == [["1", "stable"], ["2", "canary"]]


def test_a_version_that_did_not_load_is_shown_with_its_reason(page: Page) -> None:
    assert "Could not find SavedModel" in page.words
    assert ("span", {"class": "state END"}) in page.elements


def test_inputs_of_pictures_get_a_board(page: Page) -> None:
    numbers, shots = page.fields("numbers")["ink"], page.fields("shots")["shot"]
    assert (numbers["data-kind"], numbers["data-size"]) == ("pixels", "10 10 0")
    assert (shots["data-kind"], shots["data-around"]) == ("picture", "2")
    assert sum(tag == "canvas" for tag, _ in page.elements) == 2


def test_a_hostile_name_stays_text(page: Page) -> None:
    assert page.form(HOSTILE)["data-model"] == HOSTILE
    assert HOSTILE in page.words
    assert {tag for tag, _ in page.elements}.isdisjoint({"img", "b"})
    assert not [about for _, about in page.elements if any(name.startswith("on") or name == "style" for name in about)]


def test_a_page_runs_nothing_but_its_own_script(target: serving_target.Target, page: Page) -> None:
    for path, kind in (("/", "text/html"), ("/page/page.js", "text/javascript"), ("/page/page.css", "text/css")):
        status, headers, _ = asked(target, path)
        assert (status, headers.get_content_type()) == (200, kind)
        rules = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
        assert rules["default-src"] == rules["form-action"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert [about["src"] for tag, about in page.elements if tag == "script"] == ["/page/page.js"]
    assert [about["href"] for tag, about in page.elements if tag == "link"] == ["/page/page.css"]


@pytest.mark.parametrize("host", ["localhost:8501", "LOCALHOST", "127.0.0.1:8501", "[::1]:8501", "192.168.1.7"])
def test_an_address_or_localhost_may_look(target: serving_target.Target, host: str) -> None:
    assert asked(target, "/", host)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8501", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", ""])
def test_a_name_that_could_point_anywhere_may_not(target: serving_target.Target, host: str) -> None:
    for path in ("/", "/page/page.js"):
        status, _, body = asked(target, path, host)
        assert status == 403
        assert b"trips" not in body


def test_nothing_but_looking_is_done_on_a_page(target: serving_target.Target) -> None:
    assert asked(target, "/", method="POST")[0] == 404
    assert asked(target, "/page/")[0] == 404


FORMS = "[...document.forms].find((form) => form.dataset.model === %s)"


def form_of(model: str) -> str:
    return FORMS % json.dumps(model)


def ask(tab: browser.Browser, model: str, answers: int) -> list[str]:
    """Presses Enter on the form's button, as somebody without a mouse would, and reads the answers."""
    form = form_of(model)
    tab.run(f"{form}.querySelector('.answers').replaceChildren(); {form}.querySelector('[type=submit]').focus()")
    tab.key("Enter", 13)
    cards = f"[...{form}.querySelectorAll('.answer')]"
    tab.until(f"{cards}.length === {answers}")
    return tab.run(f"{cards}.map((card) => card.innerText)")


def draw_down(tab: browser.Browser, model: str, share: float) -> None:
    """Draws a line with the mouse across the board of a model, at a share of its height."""
    tab.run(f"{form_of(model)}.querySelector('canvas').scrollIntoView({{block: 'center'}})")
    x, y, width, height = tab.run(
        f"(() => {{ const box = {form_of(model)}.querySelector('canvas').getBoundingClientRect(); "
        "return [box.x, box.y, box.width, box.height]; })()"
    )
    tab.mouse("mousePressed", x + 20, y + share * height)
    tab.mouse("mouseMoved", x + width - 20, y + share * height)
    tab.mouse("mouseReleased", x + width - 20, y + share * height)


@pytest.fixture(scope="module")
def tab() -> Iterator[browser.Browser]:
    if not browser.found():
        pytest.skip(f"no browser: none of {', '.join(browser.NAMES)} is on the PATH")
    with browser.opened() as found:
        yield found


def test_a_person_asks_two_versions_and_sees_both_scores(target: serving_target.Target, tab: browser.Browser) -> None:
    tab.open(f"{target.rest}/")
    first, second = ask(tab, "trips", 2)
    # 12.5 / 2 + b, 17 characters of a company, no seats
    assert "stable, version 1" in first
    assert "-8293.5" in first
    assert "canary, version 2" in second
    assert "difference to the first: +0.5" in second
    assert " ms from this page and back" in first
    assert tab.complaints() == []


def test_what_is_typed_arrives_as_typed_and_nothing_is_missing(target: serving_target.Target, tab: browser.Browser) -> None:
    tab.open(f"{target.rest}/")
    for name, text in (("fare", ""), ("company", ""), ("seats", "3")):
        tab.run(f"{form_of('trips')}.querySelector('[data-name={name}] .value').select()")
        tab.run(f"{form_of('trips')}.querySelector('[data-name={name}] .value').value = ''")
        tab.run(f"{form_of('trips')}.querySelector('[data-name={name}] .value').focus()")
        tab.write(text)
    first, _ = ask(tab, "trips", 2)
    assert f"{-0.5 + 0.25 + 30000:g}" in first  # a missing fare counts as -1


def test_a_number_that_is_none_is_refused_beside_its_field(target: serving_target.Target, tab: browser.Browser) -> None:
    tab.open(f"{target.rest}/")
    tab.run(f"{form_of('trips')}.querySelector('[data-name=seats] .value').value = '1.5'")
    tab.run(f"{form_of('trips')}.requestSubmit()")
    assert "expected a whole number" in tab.until(f"{form_of('trips')}.querySelector('[data-name=seats] .wrong').innerText")
    assert tab.run("document.activeElement.closest('.field').dataset.name") == "seats"
    assert tab.run(f"{form_of('trips')}.querySelectorAll('.answer').length") == 0


def test_a_hostile_name_is_asked_like_any_other(target: serving_target.Target, tab: browser.Browser) -> None:
    tab.open(f"{target.rest}/")
    (answer,) = ask(tab, HOSTILE, 1)
    assert "version 7" in answer
    assert "2" in answer.split("\n")
    assert tab.complaints() == []


@pytest.mark.parametrize("model", ["numbers", "shots"])
def test_a_drawing_is_told_by_ten_bars(target: serving_target.Target, tab: browser.Browser, model: str) -> None:
    tab.open(f"{target.rest}/")
    draw_down(tab, model, 0.35)
    (answer,) = ask(tab, model, 1)
    assert "highest: 3" in answer
    assert tab.run(f"{form_of(model)}.querySelectorAll('.bars li').length") == 10
    assert tab.complaints() == []


def test_a_board_is_drawn_on_with_the_keyboard(target: serving_target.Target, tab: browser.Browser) -> None:
    tab.open(f"{target.rest}/")
    tab.run(f"{form_of('numbers')}.querySelector('canvas').focus()")
    for _ in range(7):
        tab.key("ArrowDown", 40)
    for _ in range(12):
        tab.key("ArrowRight", 39, shift=True)
    assert "highest: 7" in ask(tab, "numbers", 1)[0]


def test_a_phone_needs_no_sideways_scrolling(target: serving_target.Target, tab: browser.Browser) -> None:
    tab.open(f"{target.rest}/", width=360, height=740)
    assert tab.run("document.documentElement.scrollWidth") <= 360
