"""The JSON of a predict request -> the inputs of a signature, by row (`instances`) or by column (`inputs`).

{"instances": [{"amount": [12.5], "colour": ["blue"]}, ...]}    ->    {"amount": float32 [n, 1], "colour": texts [n, 1]}
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from waybill.server.errors import RequestError, invalid
from waybill.server.jsontext import kind, shown
from waybill.server.tensors import STRING, Values
from waybill.serving.c_api import TYPES

_DEEPEST = 254  # dimensions of a tensor
_NAMES = {"float32": "float", "float64": "double"}  # TensorFlow's words where they are not NumPy's
_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1), "uint32": (0, 2**32 - 1), "uint64": (0, 2**64 - 1)}


def feeds(document: Mapping[str, Any], inputs: Mapping[str, Any]) -> tuple[dict[str, Values], bool]:
    """The inputs, and whether they came by row.

    Args:
      document: The request.
      inputs: The signature's TensorInfos by name.

    Raises:
      RequestError: if the request has neither or both forms, or values do not fit the signature.
    """
    if "instances" in document:
        if "inputs" in document:
            raise invalid(
                f"JSON Value: {shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
            )
        return _by_row(document, inputs), True
    if "inputs" in document:
        return _by_column(document["inputs"], inputs), False
    raise invalid("Missing 'inputs' or 'instances' key")


def text_of(value: Any) -> bytes:
    """The bytes of a string, or of an object that holds them in base64.

    Raises:
      RequestError: if an object holds something else.
    """
    if isinstance(value, str):
        try:
            return value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from error
    if not is_base64(value):
        raise invalid(f"JSON Value: {shown(value)} not formatted correctly for base64 data")
    try:
        packed = "".join(value["b64"].split())
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def is_base64(value: Any) -> bool:
    """Whether a value is an object that stands for bytes."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _by_row(document: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Values]:
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {shown(document)} No values in 'instances' array")
    if not _is_row(rows[0]) and len(inputs) > 1:
        raise invalid("instances is a plain list, but expecting list of objects as multiple input tensors required as per tensorinfo_map")
    if not _is_row(rows[0]):
        (name,) = inputs
        if (place := next((i for i, row in enumerate(rows) if _is_row(row)), None)) is not None:
            raise invalid(f"Expecting value/list but got object at item {place} of input list")
        return {name: _stacked(rows, inputs[name].dtype, lambda place: f"Failed to process element: {place} of 'instances' list.")}
    _check_rows(rows, inputs)
    return {
        name: _stacked(
            [row[name] for row in rows],
            info.dtype,
            lambda place, name=name: f"Failed to process element: {place} key: {name} of 'instances' list.",
        )
        for name, info in inputs.items()
    }


def _check_rows(rows: Sequence[Any], inputs: Mapping[str, Any]) -> None:
    """Raises unless every row is an object with exactly the inputs."""
    for place, row in enumerate(rows):
        if not _is_row(row):
            raise invalid(f"Expecting object but got list at item {place} of input list")
        if set(row) == set(inputs):
            continue
        if stray := [name for name in row if name not in inputs]:
            raise invalid(
                f"Failed to process element: {place} key: {stray[0]} of 'instances' list. "
                f"Error: INVALID_ARGUMENT: JSON object: does not have named input: {stray[0]}"
            )
        raise invalid(
            f"Failed to process element: {place} of 'instances' list. JSON object: {shown(row)} keys must be equal to: "
            f"{','.join(sorted(inputs))}"
        )


def _is_row(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _stacked(items: Sequence[Any], dtype: int, where: Any) -> Values:
    """One tensor of items that must have one shape."""
    first: list[int] | None = None
    leaves: list[Any] = []
    for place, item in enumerate(items):
        try:
            shape = _shape(item)
            found = _leaves(item, shape)
            _check(found, dtype)
            first = shape if first is None else first
            if len(found) != (expected := int(np.prod(first, dtype=np.int64))):
                raise invalid(f"Expecting tensor size: {expected} but got: {len(found)}")
            if shape != first:
                raise invalid(f"Expecting shape {_words(first)} but got: {_words(shape)}")
        except RequestError as error:
            raise invalid(f"{where(place)} Error: {error}") from error
        leaves.extend(found)
    return _array(leaves, dtype).reshape([len(items), *(first or [])])


def _by_column(value: Any, inputs: Mapping[str, Any]) -> dict[str, Values]:
    if not _is_row(value):
        if len(inputs) > 1:
            raise invalid("inputs is a plain value/list, but expecting an object as multiple input tensors required as per tensorinfo_map")
        (name,) = inputs
        return {name: _tensor(value, inputs[name].dtype)}
    for name in inputs:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _tensor(value[name], info.dtype) for name, info in inputs.items()}


def _tensor(value: Any, dtype: int) -> Values:
    shape = _shape(value)
    leaves = _leaves(value, shape)
    _check(leaves, dtype)
    return _array(leaves, dtype).reshape(shape)


def _shape(value: Any) -> list[int]:
    """The shape that a value has by its first elements."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > _DEEPEST:
            raise invalid(f"a list nested deeper than {_DEEPEST}, which no tensor is")
        if not value:
            break
        value = value[0]
    return shape


def _leaves(value: Any, shape: Sequence[int]) -> list[Any]:
    """The values of a nested list, which must have a shape."""
    found = [value]
    for level, size in enumerate(shape):
        for part in found:
            if not isinstance(part, list):
                raise invalid(
                    f"JSON Value: {shown(part)} found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
                )
            if len(part) != size:
                raise invalid(f"Encountered list at unexpected size: {len(part)} at level: {level} expected size: {size}")
        found = [item for part in found for item in part]
    if any(isinstance(part, list) for part in found):
        raise invalid(f"Encountered list at unexpected level: {len(shape)} expected < {len(shape)}")
    return found


def _check(leaves: Iterable[Any], dtype: int) -> None:
    """Raises unless all values are of a type; one that is an object has to be bytes in base64."""
    if dtype == STRING:
        fits: tuple[type, ...] = (str, dict)
    elif dtype not in TYPES or TYPES[dtype] in ("float16", "uint16"):
        raise RequestError("UNIMPLEMENTED", f"Conversion of JSON Value to type: {TYPES.get(dtype, dtype)}")
    else:
        name = TYPES[dtype]
        fits = (int, float) if name.startswith("float") else (bool,) if name == "bool" else (int,)
        low, high = _RANGES.get(name, _RANGES["int32"])
        if fits == (int,):
            for value in leaves:
                if type(value) is int and not low <= value <= high:
                    raise _unfit(value, dtype)
    for value in leaves:
        if type(value) not in fits:
            raise _unfit(value, dtype)


def _unfit(value: Any, dtype: int) -> RequestError:
    name = "string" if dtype == STRING else _NAMES.get(TYPES[dtype], TYPES[dtype])
    return invalid(f"JSON Value: {shown(value)} Type: {kind(value)} is not of expected type: {name}")


def _array(leaves: list[Any], dtype: int) -> Values:
    if dtype == STRING:
        texts = np.empty(len(leaves), object)
        texts[:] = [text_of(value) for value in leaves]
        return texts
    name = TYPES[dtype]
    with np.errstate(over="ignore"):  # what is too large for a float is infinite
        if name in ("float32", "float64"):
            return np.array([_float(value) for value in leaves], np.float64).astype(name)
        return np.array(leaves, bool if name == "bool" else "uint64" if name == "uint64" else "int64").astype(name)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise invalid("JSON Parse error: Number too big to be stored in double.") from error


def _words(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"
