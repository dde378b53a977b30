"""The JSON of a classify or regress request -> tf.Examples in TensorFlow Serving's Input.

{"examples": [{"amount": 12.5, "colour": "blue"}]}    ->    Example(amount: float 12.5, colour: bytes "blue")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from waybill.server.errors import invalid
from waybill.server.jsonfeeds import is_base64, text_of
from waybill.server.jsontext import kind, shown

_WORDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def fill(document: Mapping[str, Any], source: Any) -> None:
    """Fills an Input.

    Args:
      document: The request; `context` holds columns that all examples share.
      source: What is filled.

    Raises:
      RequestError: if there are no examples, or one holds what no tf.Example can.
    """
    examples = source.example_list
    if "context" in document:
        examples = source.example_list_with_context
        _fill_example(document["context"], examples.context)
    if "examples" not in document:
        raise invalid(f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected and was not found")
    given = document["examples"]
    if not isinstance(given, list):
        raise invalid(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not given:
        raise invalid(f"JSON Value: {shown(document)} 'examples' value is an empty array")
    for value in given:
        _fill_example(value, examples.examples.add())


def _fill_example(value: Any, example: Any) -> None:
    if not isinstance(value, dict):
        raise invalid(f"Example must be JSON object but got JSON {kind(value)}")
    for name, content in value.items():
        feature = example.features.feature[name]
        for element in content if isinstance(content, list) else [content]:
            _add(name, element, feature)


def _add(name: str, value: Any, feature: Any) -> None:
    """Adds one value to a feature, all of whose values are of one kind: `true` is an integer, and so is `1`; `1.0` is none."""
    if isinstance(value, str) or is_base64(value):
        field, element = "bytes_list", text_of(value)
    elif isinstance(value, float):
        field, element = "float_list", value  # type: ignore[assignment]
    elif isinstance(value, int):
        field, element = "int64_list", int(value)  # type: ignore[assignment]
    else:
        raise invalid(f"Feature: {name} has element with unexpected JSON type: {kind(value)}")
    there = feature.WhichOneof("kind")
    if there not in (None, field):
        raise invalid(f"Unexpected element type in feature: {name} expecting type: {_WORDS[there]}")
    if field == "int64_list" and not -(2**63) <= element < 2**63:  # type: ignore[operator]
        raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    getattr(feature, field).value.append(element)
