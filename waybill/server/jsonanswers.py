"""Outputs, classes, values, states and signatures -> the JSON of TensorFlow Serving's answers."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from waybill.server.errors import RequestError, invalid
from waybill.server.manager import State
from waybill.server.tensors import Values

_BYTES = "_bytes"  # outputs whose names end so are bytes, not texts


def predictions(outputs: Mapping[str, Values], *, by_row: bool) -> bytes:
    """The answer to a predict request, in the form in which it was asked.

    Raises:
      RequestError: if the outputs do not have one first dimension, and rows are wanted.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    named = len(outputs) > 1
    if not by_row:
        columns = {name: _nested(values, _writer(name, values)) for name, values in outputs.items()}
        return _document("outputs", _object(columns) if named else next(iter(columns.values())))
    count = _rows(outputs)
    rows = {name: [_nested(values[row], _writer(name, values)) for row in range(count)] for name, values in outputs.items()}
    if not named:
        return _document("predictions", _list(next(iter(rows.values()))))
    return _document("predictions", _list(_object({name: rows[name][row] for name in rows}) for row in range(count)))


def classified(result: Any) -> bytes:
    """The answer to a classify request: for each example pairs of label and score."""
    pairs = (_list(f"[{_string(one.label)}, {_decimal(np.float32(one.score))}]" for one in row.classes) for row in result.classifications)
    return _document("results", _list(pairs))


def regressed(result: Any) -> bytes:
    """The answer to a regress request: a value for each example."""
    return _document("results", _list(_decimal(np.float32(one.value)) for one in result.regressions))


def states(found: Mapping[int, State]) -> bytes:
    """The answer to a question for versions; their numbers are strings."""
    rows = [
        {
            "version": str(version),
            "state": state.state,
            "status": {
                "error_code": state.error.code if state.error else "OK",
                "error_message": state.error.message if state.error else "",
            },
        }
        for version, state in found.items()
    ]
    return json.dumps({"model_version_status": rows}, indent=1).encode()


def metadata(name: str, version: int, signatures: Any) -> bytes:
    """The answer to a question for signatures, a SignatureDefMap."""
    from google.protobuf import json_format

    said = json_format.MessageToDict(signatures, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    spec = {"name": name, "signature_name": "", "version": str(version)}
    return json.dumps({"model_spec": spec, "metadata": {"signature_def": said}}, indent=1).encode()


def error(problem: RequestError) -> bytes:
    """The answer to a request that did not work."""
    return _document("error", _string(problem.message))


def _rows(outputs: Mapping[str, Values]) -> int:
    count = None
    for name, values in outputs.items():
        if not values.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if count is not None and count != len(values):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(values)} expecting: {count}")
        count = len(values)
    return count or 0


def _writer(name: str, values: Values) -> Callable[[Any], str]:
    """What writes one value of a tensor."""
    if values.dtype == object:
        return _packed if name.endswith(_BYTES) else lambda text: _string(text.decode("utf-8", "surrogateescape"))
    if values.dtype.name in ("float32", "float64"):
        return _decimal
    if values.dtype == bool:
        return lambda value: "true" if value else "false"
    if values.dtype.kind in "iu" and values.dtype.name != "uint16":
        return str
    raise invalid(f"Failed to write JSON value for tensor type: {values.dtype}")


def _nested(values: Any, write: Callable[[Any], str]) -> str:
    if not isinstance(values, np.ndarray):
        return write(values)
    if not values.ndim:
        return write(values.item() if values.dtype == object else values[()])
    return _list(_nested(part, write) for part in values)


def _decimal(value: Any) -> str:
    """The shortest of two ways to write a float that leads back to it; a whole number keeps its point."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = f"{value:g}"
    if type(value)(text) != value:
        text = f"{value:.{9 if isinstance(value, np.float32) else 17}g}"
    return text if "." in text or "e" in text else f"{text}.0"


def _packed(text: bytes) -> str:
    return f'{{"b64": "{base64.b64encode(text).decode()}"}}'


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _list(parts: Iterable[str]) -> str:
    return f"[{', '.join(parts)}]"


def _object(members: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{_string(name)}: {text}' for name, text in members.items())}}}"


def _document(key: str, text: str) -> bytes:
    document = f"{{\n    {_string(key)}: {text}\n}}\n"
    try:
        return document.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # half of a pair of surrogates, which a request may hold and UTF-8 may not
        return document.encode("utf-8", "replace")
