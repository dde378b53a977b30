"""A signature -> the form in which a person asks it: a field for each input, filled with an example where the model brings one.

length DT_FLOAT [n, 1], colour DT_STRING [n, 1]    ->    a field for a number and a field for a text; left empty they are missing
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from waybill.server.predict import DEFAULT
from waybill.server.tensors import STRING, Values
from waybill.serving.c_api import TYPES
from waybill.serving.saved_model import RAW_SIGNATURE

TEXT, NUMBER, WHOLE, TRUTH = "text", "number", "whole", "truth"
PICTURE, PIXELS, LIST = "picture", "pixels", "list"
_PREDICT = ("", "tensorflow/serving/predict")
_LARGEST = 4096  # values that a field may hold
_WIDEST = 1024  # pixels
_LONGEST = 65536  # bytes of an example in a field


@dataclasses.dataclass(frozen=True)
class Field:
    """One input.

    Attributes:
      name: The input's name in the signature.
      kind: `text`, `number`, `whole`, `truth`; `picture` for an encoded one, `pixels` for its numbers, `list` for any other tensor.
      dtype: TensorFlow's name of the type, such as `float32`.
      shape: The shape, in words.
      around: In how many lists a value is sent.
      value: What the field starts with; of a picture in base64.
      missing: What is sent for an empty field, as JSON; empty where something must be said.
      size: Height, width and channels of `pixels`; channels are 0 where the tensor has no such dimension.
    """

    name: str
    kind: str
    dtype: str
    shape: str
    around: int = 0
    value: str = ""
    missing: str = ""
    size: tuple[int, int, int] = (0, 0, 0)


@dataclasses.dataclass(frozen=True)
class Form:
    """What a signature is asked with.

    Attributes:
      signature: Its name.
      fields: Its inputs, by name.
      outputs: Names of its outputs.
      filled: Which example the fields hold, in words; empty for none.
    """

    signature: str
    fields: tuple[Field, ...]
    outputs: tuple[str, ...]
    filled: str


def choose(signatures: Mapping[str, Any]) -> str:
    """The signature to make a form of: the raw one, the default one, or the first by name that is predicted with; empty for none."""
    order = [RAW_SIGNATURE, DEFAULT, *sorted(signatures)]
    able = (name for name in order if name in signatures and signatures[name].inputs and signatures[name].method_name in _PREDICT)
    return next(able, "")


def make(name: str, signature: Any, example: Mapping[str, Values], what: str, *, pictures: bool) -> Form | None:
    """The form of a signature; None where an input is of a type or a size that no field is for.

    Args:
      name: Its name.
      signature: The SignatureDef.
      example: One row by input, each `[1, ...]`; empty for none.
      what: What the example is, in words.
      pictures: Whether the model decodes pictures: its only input of texts is one then.
    """
    inputs = dict(sorted(signature.inputs.items()))
    alone = sum(info.dtype == STRING for info in inputs.values()) == 1
    fields = []
    for alias, info in inputs.items():
        field = _field(alias, info, picture=pictures and alone, raw=name == RAW_SIGNATURE)
        if field is None:
            return None
        fields.append(dataclasses.replace(field, value=_shown(field, example[alias])) if alias in example else field)
    return Form(name, tuple(fields), tuple(sorted(signature.outputs)), what if example else "")


def _field(name: str, info: Any, *, picture: bool, raw: bool) -> Field | None:
    """A field that starts with what is neutral: nothing where that means missing, 0 where a number must be there."""
    dtype = "text" if info.dtype == STRING else TYPES.get(info.dtype, "")
    dims = None if info.tensor_shape.unknown_rank else [dim.size for dim in info.tensor_shape.dim]
    words = "any shape" if dims is None else f"[{', '.join('n' if size < 0 else str(size) for size in dims)}]"
    if not dtype:
        return None
    kind = _kind(dtype)
    if dims is None or all(size in (-1, 1) for size in dims):
        around = 1 if dims is None else len(dims)
        if kind == TEXT:
            return Field(name, PICTURE if picture else TEXT, dtype, words, around, missing="" if picture else '""')
        missing = _missing(kind, dtype) if raw else ""
        return Field(name, kind, dtype, words, around, "" if missing else "false" if kind == TRUTH else "0", missing)
    if kind in (NUMBER, WHOLE) and _is_picture(dims):
        return Field(name, PIXELS, dtype, words, size=(dims[1], dims[2], dims[3] if len(dims) == 4 else 0))
    shape = [max(size, 1) for size in dims]
    if math.prod(shape) > _LARGEST:
        return None
    nothing = np.full(shape, "" if kind == TEXT else False if kind == TRUTH else 0, object)
    return Field(name, LIST, dtype, words, value=json.dumps(nothing.tolist()))


def _kind(dtype: str) -> str:
    if dtype in ("text", "bool"):
        return TEXT if dtype == "text" else TRUTH
    return NUMBER if dtype.startswith("float") else WHOLE


def _missing(kind: str, dtype: str) -> str:
    """The sign for a missing value in a raw signature."""
    return "NaN" if kind == NUMBER else "-1" if kind == WHOLE and not dtype.startswith("u") else ""


def _is_picture(dims: list[int]) -> bool:
    """Whether a shape is `[n, height, width]`, alone or with one or three channels."""
    if len(dims) not in (3, 4) or dims[0] not in (-1, 1):
        return False
    return all(1 < size <= _WIDEST for size in dims[1:3]) and (len(dims) == 3 or dims[3] in (1, 3))


def _shown(field: Field, values: Values) -> str:
    """An example as the field holds it; what a field cannot hold leaves it as it was."""
    if field.kind in (LIST, PIXELS):
        whole = values.size <= _LARGEST and (field.kind == LIST or bool(np.isfinite(values).all()))
        return json.dumps(_plain(values)) if whole else field.value
    if values.size != 1:
        return field.value
    value = values.ravel()[0]
    if field.kind == PICTURE:
        return base64.b64encode(value).decode() if len(value) <= _LONGEST else ""
    if field.kind == TEXT:
        return str(value.decode("utf-8", "replace"))
    if field.kind == TRUTH:
        return "true" if value else "false"
    missing = (field.missing == "NaN" and np.isnan(value)) or (field.missing == "-1" and value == -1)
    return "" if missing else str(value)


def _plain(values: Values) -> Any:
    """An array as lists that JSON can hold."""
    if values.dtype == object:
        return np.vectorize(lambda text: text.decode("utf-8", "replace"), otypes=[object])(values).tolist()
    return values.tolist()
