"""A version's own warm-up requests, or a row it was judged on -> one row to fill its form with. One from elsewhere would be a guess."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from waybill.server.protos import array_of
from waybill.server.tensors import STRING, Values
from waybill.serving import warmup
from waybill.serving.c_api import TYPES
from waybill.serving.errors import BadWarmup
from waybill.serving.golden import columns_of, values_of


def example(folder: pathlib.Path, name: str, inputs: Mapping[str, Any]) -> dict[str, Values]:
    """The first row that a version warms up with, by input; empty where it has none that fits.

    Args:
      folder: Folder of the version.
      name: The signature to ask.
      inputs: Its TensorInfos.
    """
    try:
        requests = [request for request in warmup.read(folder) if hasattr(request.message, "inputs")]
        return _asked(requests, name, inputs) or _packed(requests, inputs)
    except (BadWarmup, OSError, KeyError, ValueError, TypeError, OverflowError):
        return {}  # whoever loads the version says what is wrong with the file


def of_row(row: bytes, inputs: Mapping[str, Any]) -> dict[str, Values]:
    """A serialized tf.Example, by input; empty where the inputs are not columns of such rows.

    Args:
      row: The tf.Example; empty for none.
      inputs: TensorInfos of the signature.
    """
    from google.protobuf.message import DecodeError

    try:
        values = values_of(row)
        if not all(_is_column(info) for info in inputs.values()) or not values.keys() & inputs.keys():
            return {}
        return columns_of([values], {alias: _type(info) for alias, info in inputs.items()})
    except (DecodeError, KeyError, ValueError, TypeError, OverflowError):
        return {}


def _asked(requests: Iterable[warmup.Request], name: str, inputs: Mapping[str, Any]) -> dict[str, Values]:
    """A row of a request to the signature itself."""
    for request in requests:
        if request.signature == name and set(request.message.inputs) == set(inputs):
            arrays = {alias: array_of(tensor) for alias, tensor in request.message.inputs.items()}
            if all(values.size for values in arrays.values()):
                return {alias: values[:1] if values.ndim else values for alias, values in arrays.items()}
    return {}


def _packed(requests: Iterable[warmup.Request], inputs: Mapping[str, Any]) -> dict[str, Values]:
    """A row of a request to another signature, of tf.Examples that have columns of these names."""
    texts = (text for request in requests for tensor in request.message.inputs.values() for text in tensor.string_val[:1])
    return next(filter(None, (of_row(text, inputs) for text in texts)), {})


def _is_column(info: Any) -> bool:
    return not info.tensor_shape.unknown_rank and [dim.size for dim in info.tensor_shape.dim] == [-1, 1]


def _type(info: Any) -> str:
    return "object" if info.dtype == STRING else TYPES[info.dtype]
