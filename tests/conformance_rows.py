"""Requests to TensorFlow Serving's REST API, and what comes back: the models are those of `serving_models`."""

from __future__ import annotations

from typing import Any, NamedTuple

ODD = "odd!#$%&'()*+,/:;=?@[]"
ODD_SENT = "odd%21%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3D%3F%40%5B%5D"
HALF, MANY = "/v1/models/half", "/v1/models/many"


class Row(NamedTuple):
    """A request over REST, and what comes back: JSON, or words that the error has."""

    about: str
    method: str
    path: str
    body: Any
    status: int
    wanted: Any


def yes(about: str, method: str, path: str, body: Any, wanted: Any) -> Row:
    return Row(about, method, path, body, 200, wanted)


def examples(signature: str, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"signature_name": signature, "examples": list(rows), **more}


def rows(signature: str, *instances: Any) -> dict[str, Any]:
    return {"signature_name": signature, "instances": list(instances)}


def columns(signature: str, inputs: Any) -> dict[str, Any]:
    return {"signature_name": signature, "inputs": inputs}


STATUS = {"model_version_status": [{"version": "123", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}]}
VALID = {"instances": [1.0]}
MALFORMED = "Malformed request"

ANSWERED = [
    yes("rows of lists", "POST", f"{HALF}:predict", {"instances": [[1.0, 2.0], [3.0, 4.0]]}, {"predictions": [[2.5, 3.0], [3.5, 4.0]]}),
    yes("by version", "POST", f"{HALF}/versions/123:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
    yes("by label", "POST", f"{HALF}/labels/Version_Label:predict", {"instances": [1.0, 2.0]}, {"predictions": [2.5, 3.0]}),
    yes("by signature", "POST", f"{HALF}/versions/123:predict", rows("serving_default", 3.0, 4.0), {"predictions": [3.5, 4.0]}),
    yes("columns", "POST", f"{HALF}/versions/123:predict", columns("serving_default", [3.0, 4.0]), {"outputs": [3.5, 4.0]}),
    yes("three rows", "POST", f"{HALF}:predict", {"instances": [2.0, 3.0, 4.0]}, {"predictions": [3.0, 3.5, 4.0]}),
    yes("one column", "POST", f"{HALF}:predict", {"inputs": [2.0, 3.0, 4.0]}, {"outputs": [3.0, 3.5, 4.0]}),
    yes("a scalar as a column", "POST", f"{HALF}:predict", {"inputs": 2.0}, {"outputs": 3.0}),
    yes("a named column", "POST", f"{HALF}:predict", {"inputs": {"x": [2.0]}}, {"outputs": [3.0]}),
    yes("a named input by row", "POST", f"{HALF}:predict", {"instances": [{"x": 2.0}]}, {"predictions": [3.0]}),
    yes("another model", "POST", "/v1/models/third:predict", VALID, {"predictions": [3.5]}),
    yes("regress", "POST", f"{HALF}:regress", examples("regress_x_to_y", {"x": 80.0}), {"results": [42.0]}),
    yes("regress two", "POST", f"{HALF}:regress", examples("regress_x_to_y", {"x": 2.0}, {"x": [4.0]}), {"results": [3.0, 4.0]}),
    yes("classify", "POST", f"{HALF}:classify", examples("classify_x_to_y", {"x": 20.0}), {"results": [[["", 12.0]]]}),
    Row(
        "classify by label",
        "POST",
        f"{HALF}/labels/Version_Label:classify",
        examples("classify_x_to_y", {"x": 10.0}),
        200,
        {"results": [[["", 7.0]]]},
    ),
    yes("classes with names", "POST", f"{MANY}:classify", examples("classes", {"x": 3}), {"results": [[["low", -3.0], ["high", 3.0]]]}),
    Row(
        "what examples share",
        "POST",
        f"{MANY}:classify",
        examples("classes", {"x": 3}, {"x": 4}, context={"shared": 10}),
        200,
        {"results": [[["low", -13.0], ["high", 13.0]], [["low", -14.0], ["high", 14.0]]]},
    ),
    yes(
        "true is 1 in an example",
        "POST",
        f"{MANY}:classify",
        examples("classes", {"x": True}),
        {"results": [[["low", -1.0], ["high", 1.0]]]},
    ),
    Row("status", "GET", HALF, "", 200, STATUS),
    yes("status of a version", "GET", f"{HALF}/versions/123", "", STATUS),
    yes("status by label has all versions", "GET", f"{HALF}/labels/Version_Label", "", STATUS),
    yes("status by an unknown label as well", "GET", f"{HALF}/labels/no_such", "", STATUS),
    yes("paths without regard to case", "GET", "/V1/MODELS/half", "", STATUS),
    yes("a name with escapes", "POST", f"/v1/models/{ODD_SENT}:predict", VALID, {"predictions": [2.5]}),
    yes("a label with escapes", "POST", f"/v1/models/{ODD_SENT}/labels/{ODD_SENT}:predict", VALID, {"predictions": [2.5]}),
    yes("words after the document", "POST", f"{HALF}:predict", '{"instances": [1.0]} trailing', {"predictions": [2.5]}),
    yes("white space around it", "POST", f"{HALF}:predict", ' \n\t{ "instances" : [ 1.0 ] } ', {"predictions": [2.5]}),
    yes("an integer for a float", "POST", f"{MANY}:predict", rows("same", 1435774380), {"predictions": [1435774336.0]}),
    yes("too large for a float", "POST", f"{MANY}:predict", rows("same", 1.79e308), {"predictions": [float("inf")]}),
    Row(
        "NaN and Infinity, in and out",
        "POST",
        f"{MANY}:predict",
        rows("same", float("nan"), float("inf"), -float("inf")),
        200,
        {"predictions": [float("nan"), float("inf"), -float("inf")]},
    ),
    yes(
        "500,000 brackets in a key nobody asks for",
        "POST",
        f"{HALF}:predict",
        f'{{"a": {"[" * 500_000}{"]" * 500_000}, "instances": [1.0]}}',
        {"predictions": [2.5]},
    ),
    yes("whole numbers", "POST", f"{MANY}:predict", rows("whole", 1, -7), {"predictions": [2, -6]}),
    yes("truth values", "POST", f"{MANY}:predict", rows("opposite", True, False), {"predictions": [False, True]}),
    yes("texts", "POST", f"{MANY}:predict", rows("texts", "taxi", "é"), {"predictions": ["TAXI", "é"]}),
    yes("bytes in base64", "POST", f"{MANY}:predict", rows("texts", {"b64": "aGVsbG8="}), {"predictions": ["HELLO"]}),
    yes(
        "bytes in base64 as a named input",
        "POST",
        f"{MANY}:predict",
        rows("texts", {"text": {"b64": "aGVsbG8="}}),
        {"predictions": ["HELLO"]},
    ),
    yes("an output whose name ends in _bytes", "POST", f"{MANY}:predict", rows("packed", "hello"), {"predictions": [{"b64": "aGVsbG8="}]}),
    yes("no text", "POST", f"{MANY}:predict", rows("packed", ""), {"predictions": [{"b64": ""}]}),
    yes("several outputs by row", "POST", f"{MANY}:predict", rows("two", {"a": 1.5, "b": 2}), {"predictions": [{"sum": 3.5, "b": 2}]}),
    yes(
        "several outputs by column",
        "POST",
        f"{MANY}:predict",
        columns("two", {"a": [1.5, 1.0], "b": [2, 3]}),
        {"outputs": {"sum": [3.5, 4.0], "b": [2, 3]}},
    ),
    yes(
        "the largest integer",
        "POST",
        f"{MANY}:predict",
        columns("two", {"a": [0.0], "b": [2**63 - 1]}),
        {"outputs": {"sum": [9.223372e18], "b": [2**63 - 1]}},
    ),
    yes("a scalar by column", "POST", f"{MANY}:predict", columns("total", [1.0, 2.0]), {"outputs": 3.0}),
    yes(
        "outputs of different length by column",
        "POST",
        f"{MANY}:predict",
        columns("uneven", [1.0, 2.0]),
        {"outputs": {"all": [1.0, 2.0], "first": [1.0]}},
    ),
    yes("no rows come back", "POST", f"{MANY}:predict", rows("none", 1.0), {"predictions": []}),
    yes("no rows go in, by column", "POST", f"{MANY}:predict", columns("same", []), {"outputs": []}),
    yes(
        "a float keeps its digits", "POST", f"{MANY}:predict", rows("same", 0.1, 16777217.0, 1e-7), {"predictions": [0.1, 16777216.0, 1e-7]}
    ),
]

REFUSED = [
    Row("status of an unknown model", "GET", "/v1/models/nope", "", 404, "Could not find any versions of model nope"),
    Row("status of an unknown version", "GET", f"{HALF}/versions/9", "", 404, "Could not find version 9 of model half"),
    Row("no model", "GET", "/v1/models", "", 400, "Missing model name"),
    Row("signatures of an unknown model", "GET", "/v1/models/nope/metadata", "", 404, "Servable not found for request: Latest(nope)"),
    Row("signatures by an unknown label", "GET", f"{HALF}/labels/no_such/metadata", "", 400, "Unrecognized servable version label"),
    Row("signatures are not posted", "POST", f"{HALF}/metadata", "", 400, MALFORMED),
    Row("a prediction is not got", "GET", f"{HALF}:predict", "", 400, MALFORMED),
    Row("another path, got", "GET", "/v1/foo", "", 400, MALFORMED),
    Row("another path, posted", "POST", "/v1/foo", VALID, 400, MALFORMED),
    Row("posted to all models", "POST", "/v1/models", VALID, 400, MALFORMED),
    Row("something under a model", "GET", "/v1/models/debug/model_name", "", 400, MALFORMED),
    Row("version in the singular", "POST", f"{HALF}/version/50:regress", VALID, 400, MALFORMED),
    Row("a version that is a word", "POST", f"{HALF}/versions/HELLO:regress", VALID, 400, MALFORMED),
    Row("version and label", "POST", f"{HALF}/versions/50/labels/x:regress", VALID, 400, MALFORMED),
    Row("label in the singular", "POST", f"{HALF}/label/x:regress", VALID, 400, MALFORMED),
    Row("put", "PUT", HALF, "", 400, MALFORMED),
    Row("delete", "DELETE", HALF, "", 400, MALFORMED),
    Row("patch", "PATCH", HALF, "", 400, MALFORMED),
    Row("a query is part of the name", "GET", f"{HALF}?x=1", "", 404, "Could not find any versions of model half?x=1"),
    Row("a query after a prediction", "POST", f"{HALF}:predict?x=1", VALID, 400, MALFORMED),
    Row("the verb has its case", "POST", f"{HALF}:PREDICT", VALID, 400, MALFORMED),
    Row("an unknown model", "POST", "/v1/models/foo:predict", VALID, 404, "Servable not found for request: Latest(foo)"),
    Row("an unknown version", "POST", f"{HALF}/versions/50:predict", VALID, 404, "Servable not found for request: Specific(half, 50)"),
    Row("an unknown label", "POST", f"{HALF}/labels/no_such:predict", VALID, 400, "Unrecognized servable version label: no_such"),
    Row("no body", "POST", f"{HALF}:predict", "", 400, "JSON Parse error: The document is empty"),
    Row("no JSON", "POST", f"{HALF}:predict", "instances = [1, 2]", 400, "JSON Parse error: Invalid value"),
    Row(
        "cut off",
        "POST",
        f"{HALF}:predict",
        '{"instances": [1.0, 2.0',
        400,
        "JSON Parse error: Missing a comma or ] after an array element.",
    ),
    Row("a member without a name", "POST", f"{HALF}:predict", "{1: 2}", 400, "JSON Parse error: Missing a name for object member."),
    Row("a list at the top", "POST", f"{HALF}:predict", "[1]", 400, "Is not object"),
    Row("texts for floats", "POST", f"{HALF}:predict", {"instances": ["x", "y"]}, 400, "is not of expected type: float"),
    Row(
        "a signature that is a number",
        "POST",
        f"{HALF}:predict",
        {"signature_name": 100},
        400,
        "'signature_name' key must be a string value.",
    ),
    Row("an unknown signature", "POST", f"{HALF}:predict", rows("x", 1.0), 400, 'Serving signature name: "x" not found in signature def'),
    Row("both forms", "POST", f"{HALF}:predict", {"instances": [1.0], "inputs": [1.0]}, 400, "Not formatted correctly"),
    Row("neither form", "POST", f"{HALF}:predict", {"x": [1.0]}, 400, "Missing 'inputs' or 'instances' key"),
    Row("rows that are no list", "POST", f"{HALF}:predict", {"instances": 5}, 400, "to be an list/array"),
    Row("no rows", "POST", f"{HALF}:predict", {"instances": []}, 400, "No values in"),
    Row(
        "a longer row",
        "POST",
        f"{HALF}:predict",
        rows("serving_default", [1, 2], [3, 4], [5, 6, 7]),
        400,
        "Expecting tensor size: 2 but got: 3",
    ),
    Row(
        "a deeper row",
        "POST",
        f"{HALF}:predict",
        rows("serving_default", [1, 2], [3, 4], [[5, 6]]),
        400,
        "Expecting shape [2] but got: [1,2]",
    ),
    Row("a value, then a list", "POST", f"{HALF}:predict", rows("serving_default", 1, [1]), 400, "Expecting shape"),
    Row("a ragged row", "POST", f"{HALF}:predict", rows("serving_default", [[1, 2], [3]]), 400, "Encountered list at unexpected size"),
    Row(
        "a plain list for several inputs",
        "POST",
        f"{MANY}:predict",
        rows("two", 1.0),
        400,
        "instances is a plain list, but expecting list of objects",
    ),
    Row(
        "an object, then a list",
        "POST",
        f"{MANY}:predict",
        rows("two", {"a": 1.0, "b": 1}, [1]),
        400,
        "Expecting object but got list at item 1",
    ),
    Row(
        "a list, then an object",
        "POST",
        f"{HALF}:predict",
        rows("serving_default", 1.0, {"x": 1.0}),
        400,
        "Expecting value/list but got object at item 1",
    ),
    Row("an unknown input", "POST", f"{HALF}:predict", rows("serving_default", {"z": 1.0}), 400, "does not have named input: z"),
    Row("a missing input", "POST", f"{MANY}:predict", rows("two", {"a": 1.0}), 400, "keys must be equal to: a,b"),
    Row("a missing column", "POST", f"{MANY}:predict", columns("two", {"a": [1.0]}), 400, "Missing named input: b in 'inputs' object."),
    Row("a plain value for several columns", "POST", f"{MANY}:predict", columns("two", [1.0]), 400, "inputs is a plain value/list"),
    Row("bad base64", "POST", f"{MANY}:predict", rows("texts", {"b64": "*"}), 400, "Unable to base64 decode"),
    Row("a float for an integer", "POST", f"{MANY}:predict", rows("whole", 1.5), 400, "is not of expected type: int32"),
    Row("too large an integer", "POST", f"{MANY}:predict", rows("whole", 2**31), 400, "is not of expected type: int32"),
    Row(
        "a number of 400 digits",
        "POST",
        f"{HALF}:predict",
        f'{{"instances": [{"9" * 400}]}}',
        400,
        "Number too big to be stored in double.",
    ),
    Row(
        "a truth value for a float",
        "POST",
        f"{HALF}:predict",
        rows("serving_default", True),
        400,
        "Type: True is not of expected type: float",
    ),
    Row("a number for a text", "POST", f"{MANY}:predict", rows("texts", 1), 400, "is not of expected type: string"),
    Row("nothing for a float", "POST", f"{HALF}:predict", rows("serving_default", None), 400, "Type: Null"),
    Row("columns of different length", "POST", f"{MANY}:predict", columns("two", {"a": [1.0, 2.0], "b": [1, 2, 3]}), 400, ""),
    Row("outputs of different length by row", "POST", f"{MANY}:predict", rows("uneven", 1.0, 2.0), 400, "inconsistent batch size"),
    Row("a scalar output by row", "POST", f"{MANY}:predict", rows("total", 1.0), 400, "has no shape information"),
    Row("no examples", "POST", f"{HALF}:classify", {"signature_name": "classify_x_to_y"}, 400, "is expected and was not found"),
    Row("examples that are an object", "POST", f"{HALF}:classify", {"examples": {"x": 1.0}}, 400, "list/array"),
    Row("an empty list of examples", "POST", f"{HALF}:regress", {"examples": []}, 400, "empty array"),
    Row("an example that is a list", "POST", f"{HALF}:regress", {"examples": [[1.0]]}, 400, "Example must be JSON object"),
    Row("a feature with null", "POST", f"{HALF}:regress", examples("regress_x_to_y", {"x": [10, None]}), 400, "unexpected JSON type: Null"),
    Row(
        "a feature of integers and floats",
        "POST",
        f"{HALF}:regress",
        examples("regress_x_to_y", {"x": [10, 10.0]}),
        400,
        "expecting type: int64",
    ),
    Row(
        "a feature with an object",
        "POST",
        f"{HALF}:regress",
        examples("regress_x_to_y", {"x": [10, {"t": 1}]}),
        400,
        "unexpected JSON type: Object",
    ),
    Row(
        "a feature with a list",
        "POST",
        f"{HALF}:regress",
        examples("regress_x_to_y", {"x": [[10], 20]}),
        400,
        "unexpected JSON type: Array",
    ),
    Row("a feature too large", "POST", f"{HALF}:regress", examples("regress_x_to_y", {"x": [2**63]}), 400, "Only int64_t is supported"),
    Row(
        "classify by an unknown signature",
        "POST",
        f"{HALF}:classify",
        examples("x", {"x": 1.0}),
        400,
        "No signature was found with the name: x",
    ),
    Row(
        "classify by one that predicts",
        "POST",
        f"{HALF}:classify",
        examples("", {"x": 1.0}),
        400,
        "No classification inputs found in SignatureDef",
    ),
    Row("regress by one that has two inputs", "POST", f"{MANY}:regress", examples("two", {"x": 1.0}), 400, "Expected one input Tensor."),
    Row("an example without its feature", "POST", f"{HALF}:regress", examples("regress_x_to_y", {"z": 1.0}), 400, "x"),
]
