"""TensorProtos <-> arrays. What is sent holds its values in typed fields, as TensorFlow Serving's answers do: clients read those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from waybill.server.errors import RequestError
from waybill.server.tensors import STRING, Values
from waybill.serving.c_api import TYPES

# The field that holds the values of each type.
_FIELDS: Mapping[str, str] = {
    "float32": "float_val", "float64": "double_val", "int32": "int_val", "uint8": "int_val", "int16": "int_val", "int8": "int_val",
    "uint16": "int_val", "int64": "int64_val", "bool": "bool_val", "float16": "half_val", "uint32": "uint32_val", "uint64": "uint64_val",
}  # fmt: skip
_NUMBERS = {name: number for number, name in TYPES.items()}


def array_of(proto: Any) -> Values:
    """The array that a TensorProto holds. As for TensorFlow, one with fewer values than its shape goes on with the last.

    Raises:
      ValueError: if shape and values do not fit, or the type is not known here.
    """
    if proto.tensor_shape.unknown_rank:
        raise ValueError("a tensor without a rank")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    size = int(np.prod(shape, dtype=np.int64))
    if min(shape, default=0) < 0:
        raise ValueError("a tensor with a negative dimension")
    if proto.dtype == STRING:
        values = np.empty(len(proto.string_val), object)
        values[:] = list(proto.string_val)
        return _filled(values, size, b"").reshape(shape)
    kind = TYPES.get(proto.dtype)
    if kind is None:
        raise ValueError(f"a tensor of TensorFlow's type {proto.dtype}")
    if proto.tensor_content:
        return np.frombuffer(proto.tensor_content, kind).reshape(shape)
    given = getattr(proto, _FIELDS[kind])
    bits = np.array(given, np.uint16).view(np.float16) if kind == "float16" else np.array(given, np.int64 if kind in _SMALL else kind)
    return _filled(bits.astype(kind), size, 0).reshape(shape)


_SMALL = ("uint8", "int16", "int8", "uint16")  # sent as wider integers


def _filled(values: Values, size: int, nothing: Any) -> Values:
    if len(values) > size:
        raise ValueError(f"{len(values)} values for a shape of {size}")
    if len(values) == size:
        return values
    rest = np.empty(size - len(values), values.dtype)
    rest[:] = values[-1] if len(values) else nothing
    return np.concatenate([values, rest])


def fill(proto: Any, values: Values) -> None:
    """Writes an array into a TensorProto.

    Raises:
      RequestError: if the type is not known here.
    """
    for size in values.shape:
        proto.tensor_shape.dim.add().size = size
    if values.dtype == object:
        proto.dtype = STRING
        proto.string_val.extend(values.ravel().tolist())
        return
    kind = values.dtype.name
    if kind not in _NUMBERS:
        raise RequestError("UNIMPLEMENTED", f"an output of type {kind}; expected {', '.join(_NUMBERS)} or texts")
    proto.dtype = _NUMBERS[kind]
    flat = values.ravel()
    getattr(proto, _FIELDS[kind]).extend((flat.view(np.uint16) if kind == "float16" else flat).tolist())
