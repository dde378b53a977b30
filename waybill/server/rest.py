"""A request of HTTP -> TensorFlow Serving's answer over REST.

The paths, what they are matched by, and what does not match them are TensorFlow Serving's: case plays no part, a query is part of the path,
and names are decoded after they were found.
"""

from __future__ import annotations

import dataclasses
import re
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from waybill.server import jsonanswers, jsonexamples, jsonfeeds, metrics
from waybill.server.errors import RequestError, invalid
from waybill.server.jsontext import parse, shown
from waybill.server.service import SIGNATURES, Service

_MODEL = r"/([^/:]+)"
_VERSION = r"(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_ASK = re.compile(rf"/v1/models{_MODEL}{_VERSION}:(classify|regress|predict)", re.IGNORECASE | re.DOTALL)
_LOOK = re.compile(rf"/v1/models(?:{_MODEL})?{_VERSION}(/metadata)?", re.IGNORECASE | re.DOTALL)
_API = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_DIGITS = 19  # of the largest version
_JSON, _TEXT = "application/json", "text/plain"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes:
      status: Status of HTTP.
      body: The body.
      kind: Its Content-Type.
      headers: Further headers, in lower case.
    """

    status: int
    body: bytes
    kind: str = _JSON
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Rest:
    """TensorFlow Serving's REST API.

    Args:
      service: What can be asked.
      monitoring: Whether the page for Prometheus is there.
    """

    def __init__(self, service: Service, *, monitoring: bool = True):
        self._service = service
        self._monitoring = monitoring

    def answer(self, method: str, path: str, origin: str, body: bytes) -> Answer | None:
        """Answers a request; None for a path that is not the API's.

        Args:
          method: Of HTTP, in capitals.
          path: The path as it was sent, with its query.
          origin: The header Origin; empty where there is none.
          body: The body.
        """
        if self._monitoring and path.split("?")[0] == metrics.PATH:
            return self._page(path)
        if not _API.fullmatch(path):
            return None
        if method == "OPTIONS":
            return Answer(200 if re.search(r"https?://", origin) else 400, b"")
        began, model, word = time.monotonic(), "", ""
        problem: RequestError | None = None
        try:
            try:
                spec, word, look = self._parsed(method, path)
            except _Unnamed as error:
                problem = error
                return Answer(400, b"")  # TensorFlow Serving leaves before it has written the error
            model = spec.name
            return Answer(200, self._look(spec, look) if look else self._ask(spec, word, body))
        except RequestError as error:
            problem = error
            return Answer(error.http, jsonanswers.error(error))
        except Exception as error:  # noqa: BLE001 - a request that breaks something here is one request's error
            problem = RequestError("INTERNAL", f"{type(error).__name__}: {error}")
            return Answer(problem.http, jsonanswers.error(problem))
        finally:
            self._service.note(model, word, "REST", time.monotonic() - began, problem)

    def _page(self, path: str) -> Answer:
        if path != metrics.PATH:
            return Answer(400, f"Unexpected path: {path}. Should be {metrics.PATH}".encode(), _TEXT)
        return Answer(200, self._service.metrics.page().encode(), _TEXT)

    def _parsed(self, method: str, path: str) -> tuple[Any, str, str]:
        """The ModelSpec of a path, and either the word of what is asked, or what is looked at."""
        from tensorflow_serving.apis import model_pb2

        found = _ASK.fullmatch(path) if method == "POST" else _LOOK.fullmatch(path) if method == "GET" else None
        # The word is compared with its case, unlike the rest of the path.
        if not found or (method == "POST" and found[4] != found[4].lower()):
            raise invalid(f"Malformed request: {method} {path}")
        spec = model_pb2.ModelSpec(name=_decoded(found[1] or ""))
        if found[2]:
            number = found[2].lstrip("0") or "0"
            if len(number) > _DIGITS or int(number) > 2**63 - 1:
                raise _Unnamed("INVALID_ARGUMENT", f"Failed to convert version: {found[2]} to numeric.")
            spec.version.value = int(number)
        if found[3]:
            spec.version_label = _decoded(found[3])
        if method == "POST":
            return spec, found[4], ""
        return spec, "", "metadata" if found[4] == "/metadata" else "status"

    def _look(self, spec: Any, what: str) -> bytes:
        if not spec.name:
            raise invalid("Missing model name in request.")
        if what == "metadata":
            found, signatures = self._service.metadata(spec, [SIGNATURES])
            return jsonanswers.metadata(spec.name, found, signatures)
        # A label does not choose here: TensorFlow Serving answers with all versions.
        version = spec.version.value if spec.HasField("version") else None
        return jsonanswers.states(self._service.core.states(spec.name, version))

    def _ask(self, spec: Any, word: str, body: bytes) -> bytes:
        document = parse(body)
        if not isinstance(document, dict):
            raise invalid(f"JSON Value: {shown(document)} Is not object")
        if "signature_name" in document:
            if not isinstance(document["signature_name"], str):
                raise invalid(f"JSON Value: {shown(document)} not formatted correctly. 'signature_name' key must be a string value.")
            spec.signature_name = document["signature_name"]
        if word == "predict":
            inputs, by_row = jsonfeeds.feeds(document, self._service.inputs(spec))
            _, outputs = self._service.predict(spec, inputs)
            return jsonanswers.predictions(outputs, by_row=by_row)
        return self._about_examples(spec, word, document)

    def _about_examples(self, spec: Any, word: str, document: dict[str, Any]) -> bytes:
        from tensorflow_serving.apis import classification_pb2, regression_pb2

        request: Any = classification_pb2.ClassificationRequest() if word == "classify" else regression_pb2.RegressionRequest()
        request.model_spec.CopyFrom(spec)
        jsonexamples.fill(document, request.input)
        if word == "classify":
            response = classification_pb2.ClassificationResponse()
            self._service.classify(request, response)
            return jsonanswers.classified(response.result)
        response = regression_pb2.RegressionResponse()
        self._service.regress(request, response)
        return jsonanswers.regressed(response.result)


class _Unnamed(RequestError):
    """An error that is told by the status alone."""


def _decoded(part: str) -> str:
    return urllib.parse.unquote(part, errors="replace")
