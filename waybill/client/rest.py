"""A model's rows -> its answers over TensorFlow Serving's REST API, with nothing but the standard library.

client = RestClient("http://127.0.0.1:8501")
client.predict(Spec("orders", label="stable", signature="raw"), {"amount": [[12.5]], "colour": [["blue"]]})    # {"late": [[0.17]]}
"""

from __future__ import annotations

import base64
import http.client
import json
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from waybill.client.errors import ClientError, Refused, TooLate, Unreachable
from waybill.client.spec import Patience, Spec

_BUSY = (429, 503)


class RestClient:
    """A client of one server; may be used by several threads.

    Args:
      url: Where it is, such as `http://127.0.0.1:8501`.
      patience: How long an answer may take, and how often is asked.

    Raises:
      ValueError: if that is no URL of HTTP.
    """

    def __init__(self, url: str, patience: Patience | None = None):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"got {url!r}, expected the server's URL, such as http://127.0.0.1:8501")
        self._url = url.rstrip("/")
        self._parts = parts
        self._patience = patience or Patience()

    def predict(self, spec: Spec, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs of a signature, by name.

        Args:
          spec: What is asked.
          inputs: By the signature's names, nested lists or what has `tolist`; bytes are sent in base64.

        Raises:
          Refused: if the server says no.
          Unreachable: if nobody answers.
          TooLate: if the deadline passes.
        """
        document = self._post(spec, "predict", {"inputs": _plain(inputs)})["outputs"]
        if isinstance(document, dict) and "b64" not in document:
            return {name: _unpacked(values) for name, values in document.items()}
        return {self._only_output(spec): _unpacked(document)}

    def predict_rows(self, spec: Spec, rows: Sequence[Any]) -> list[Any]:
        """An answer for each row: a value, or outputs by name where the signature has several. Raises as `predict`."""
        found: list[Any] = self._post(spec, "predict", {"instances": _plain(rows)})["predictions"]
        return [_unpacked(row) for row in found]

    def classify(self, spec: Spec, examples: Sequence[Mapping[str, Any]]) -> list[list[tuple[str, float]]]:
        """For each example its classes with their scores. Raises as `predict`.

        Args:
          spec: What is asked.
          examples: By feature a value or a list: of integers, floats or texts.
        """
        found = self._post(spec, "classify", {"examples": _plain(examples)})["results"]
        return [[(str(label), float(score)) for label, score in row] for row in found]

    def regress(self, spec: Spec, examples: Sequence[Mapping[str, Any]]) -> list[float]:
        """A value for each example, which are as for `classify`. Raises as `predict`."""
        return [float(value) for value in self._post(spec, "regress", {"examples": _plain(examples)})["results"]]

    def states(self, model: str) -> dict[int, str]:
        """The versions of a model and their states, such as `AVAILABLE`; none when nothing is known of it. Raises as `predict`."""
        try:
            found = self._send("GET", Spec(model).path, None)["model_version_status"]
        except Refused as error:
            if error.code == "404":
                return {}
            raise
        return {int(one["version"]): str(one["state"]) for one in found}

    def version_of(self, spec: Spec) -> int:
        """The version that answers to a label, or the highest that answers. Raises as `predict`."""
        return int(self._send("GET", f"{spec.path}/metadata", None)["model_spec"]["version"])

    def signatures(self, spec: Spec) -> dict[str, Any]:
        """A model's signatures as the server describes them. Raises as `predict`."""
        found: dict[str, Any] = self._send("GET", f"{spec.path}/metadata", None)["metadata"]["signature_def"]["signature_def"]
        return found

    def _only_output(self, spec: Spec) -> str:
        """The name of an output that is not named in an answer, because the signature has no other."""
        (name,) = self.signatures(spec)[spec.signature or "serving_default"]["outputs"]
        return str(name)

    def _post(self, spec: Spec, word: str, document: Mapping[str, Any]) -> Any:
        named = {"signature_name": spec.signature} if spec.signature else {}
        return self._send("POST", f"{spec.path}:{word}", json.dumps({**named, **document}).encode())

    def _send(self, method: str, path: str, body: bytes | None) -> Any:
        where = f"{self._url}{path}"
        return self._patience.ask(where, lambda seconds: self._send_once(where, method, path, body, seconds))

    def _send_once(self, where: str, method: str, path: str, body: bytes | None, seconds: float) -> Any:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(self._parts.hostname), self._parts.port, timeout=seconds)
        try:
            connection.request(method, self._parts.path.rstrip("/") + path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except TimeoutError as error:
            raise TooLate(f"{where} gave no answer within {seconds:.1f} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{where} does not answer ({error or type(error).__name__}); is the server up? `waybill serve`") from error
        finally:
            connection.close()
        if response.status in _BUSY:
            raise Unreachable(f"{where} is busy ({response.status}: {_error(text)})")
        if response.status != http.client.OK:
            raise Refused(where, str(response.status), _error(text))
        try:
            return json.loads(text)
        except ValueError as error:
            raise ClientError(f"{where} answered something else than JSON; is it a model server? {text[:100]!r}") from error


def _error(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text[:200].decode(errors="replace") or "no words"


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _unpacked(value: Any) -> Any:
    """A value of an answer, with bytes where it holds base64."""
    if isinstance(value, dict):
        return base64.b64decode(value["b64"]) if set(value) == {"b64"} else {name: _unpacked(part) for name, part in value.items()}
    return [_unpacked(part) for part in value] if isinstance(value, list) else value
