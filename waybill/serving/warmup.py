"""A model's `assets.extra/tf_serving_warmup_requests` -> requests that TensorFlow Serving would replay before it answers anybody."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from waybill.launch.errors import DamagedRecords
from waybill.launch.tfrecords import records
from waybill.serving.c_api import Values
from waybill.serving.errors import BadWarmup
from waybill.serving.golden import examples_of, values_of

FILE = pathlib.PurePath("assets.extra", "tf_serving_warmup_requests")
MAX_REQUESTS = 1000  # TensorFlow Serving does not load a model that has more
_DEFAULT = "serving_default"
# Kinds of requests, and the method that TensorFlow Serving demands of their signature; it predicts with a signature of any method.
_KINDS = {"predict_log": "", "classify_log": "tensorflow/serving/classify", "regress_log": "tensorflow/serving/regress"}


@dataclasses.dataclass(frozen=True)
class Request:
    """One request of the file.

    Attributes:
      signature: The signature it asks.
      message: TensorFlow Serving's PredictRequest, ClassificationRequest or RegressionRequest.
      method: The method that the signature must have, or an empty text for any.
    """

    signature: str
    message: Any
    method: str

    def columns(self) -> frozenset[str]:
        """Names of everything it holds a value of: its inputs, and the columns of tf.Examples in them."""
        if hasattr(self.message, "inputs"):
            texts = [text for tensor in self.message.inputs.values() for text in tensor.string_val]
            return frozenset(self.message.inputs) | frozenset(_names(texts))
        return frozenset(_names(_examples(self.message.input)))

    def feeds(self, inputs: Iterable[str]) -> dict[str, Values]:
        """What to feed a signature that has these inputs; a malformed tensor raises what TensorFlow likes."""
        from tensorflow.python.framework import tensor_util

        if hasattr(self.message, "inputs"):
            return {name: tensor_util.MakeNdarray(tensor) for name, tensor in self.message.inputs.items()}
        (name,) = inputs
        return {name: examples_of(_examples(self.message.input))}


def read(folder: pathlib.Path) -> tuple[Request, ...]:
    """The warm-up requests of a SavedModel; none when it has no such file.

    Raises:
      BadWarmup: if TensorFlow Serving could not read them, there are too many, or one is of a kind that is not replayed here.
    """
    path = folder / FILE
    if not path.is_file():
        return ()
    with path.open("rb") as handle:
        if handle.read(2) == b"\x1f\x8b":
            raise BadWarmup("it is gzipped; TensorFlow Serving reads plain TFRecords only")
    try:
        return tuple(_requests(path))
    except DamagedRecords as error:
        raise BadWarmup(str(error)) from error


def check_methods(requests: Iterable[Request], methods: Mapping[str, str]) -> None:
    """Compares requests with what the model's signatures are for.

    Args:
      requests: The model's warm-up requests.
      methods: The method of each of its signatures, by name.

    Raises:
      BadWarmup: if TensorFlow Serving would refuse one, and not load the model for it.
    """
    for number, request in enumerate(requests):
        found = methods.get(request.signature, "")  # a signature that is not there is found out when it is asked
        if request.method and found and found != request.method:
            raise BadWarmup(f"record {number} asks {request.signature}, whose method is {found}; expected {request.method}")


def _requests(path: pathlib.Path) -> Iterator[Request]:
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    for number, record in enumerate(records(path)):
        if number >= MAX_REQUESTS:
            raise BadWarmup(f"more than {MAX_REQUESTS} requests")
        try:
            log = prediction_log_pb2.PredictionLog.FromString(record)
        except DecodeError as error:
            raise BadWarmup(f"record {number} is no PredictionLog: {error}") from error
        kind = log.WhichOneof("log_type")
        if kind not in _KINDS:
            raise BadWarmup(f"record {number} holds {kind or 'nothing'}; expected one of {', '.join(_KINDS)}")
        message = getattr(log, kind).request
        yield Request(message.model_spec.signature_name or _DEFAULT, message, _KINDS[kind])


def _examples(source: Any) -> list[bytes]:
    """The tf.Examples of a classification or regression, each with the columns that they share."""
    if source.WhichOneof("kind") == "example_list_with_context":
        shared = source.example_list_with_context
        return [example.SerializeToString() + shared.context.SerializeToString() for example in shared.examples]  # this merges the two
    return [example.SerializeToString() for example in source.example_list.examples]


def _names(texts: Iterable[bytes]) -> Iterator[str]:
    """Names of the columns in those texts that are tf.Examples."""
    from google.protobuf.message import DecodeError

    for text in texts:
        try:
            found: Mapping[str, Any] = values_of(text)
        except DecodeError:
            continue
        yield from found
