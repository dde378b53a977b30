"""A model's arrays -> its answers over TensorFlow Serving's gRPC API, which says what version answered.

with GrpcClient("127.0.0.1:8500") as client:
    answer = client.predict(Spec("orders", signature="raw"), {"amount": np.array([[12.5]], np.float32)})
    answer.version, answer.outputs["late"]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeAlias

import grpc
import numpy as np

from waybill.client.errors import Refused, TooLate, Unreachable
from waybill.client.spec import Patience, Spec

_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)

Values: TypeAlias = "np.ndarray[Any, Any]"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a model said.

    Attributes:
      version: The version that answered.
      outputs: Its outputs by name; texts are bytes.
    """

    version: int
    outputs: Mapping[str, Values]


class GrpcClient:
    """A client of one server; may be used by several threads. Used as a context manager, or closed.

    Args:
      address: Where it is: `host:port`, or `unix:` and a path.
      patience: How long an answer may take, and how often is asked.
    """

    def __init__(self, address: str, patience: Patience | None = None):
        from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

        self._address = address
        self._patience = patience or Patience()
        self._channel = grpc.insecure_channel(address, [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def __enter__(self) -> GrpcClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def predict(self, spec: Spec, inputs: Mapping[str, Any], only: Collection[str] = ()) -> Answer:
        """The outputs of a signature.

        Args:
          spec: What is asked.
          inputs: By the signature's names, arrays of the signature's types, or what NumPy makes an array of.
          only: Names of the outputs that are wanted; none for all.

        Raises:
          Refused: if the server says no.
          Unreachable: if nobody answers.
          TooLate: if the deadline passes.
        """
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest(output_filter=list(only))
        _fill(request.model_spec, spec)
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        response = self._ask(spec, self._prediction.Predict, request)
        outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
        return Answer(int(response.model_spec.version.value), outputs)

    def classify(self, spec: Spec, examples: Sequence[Any]) -> list[list[tuple[str, float]]]:
        """For each tf.Example, as a message or serialized, its classes with their scores. Raises as `predict`."""
        from tensorflow_serving.apis import classification_pb2

        request = _about(classification_pb2.ClassificationRequest(), spec, examples)
        found = self._ask(spec, self._prediction.Classify, request).result.classifications
        return [[(str(one.label), float(one.score)) for one in row.classes] for row in found]

    def regress(self, spec: Spec, examples: Sequence[Any]) -> list[float]:
        """A value for each tf.Example, as a message or serialized. Raises as `predict`."""
        from tensorflow_serving.apis import regression_pb2

        request = _about(regression_pb2.RegressionRequest(), spec, examples)
        return [float(one.value) for one in self._ask(spec, self._prediction.Regress, request).result.regressions]

    def states(self, model: str) -> dict[int, str]:
        """The versions of a model and their states, such as `AVAILABLE`; none when nothing is known of it. Raises as `predict`."""
        from tensorflow_serving.apis import get_model_status_pb2

        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            found = self._ask(Spec(model), self._models.GetModelStatus, request).model_version_status
        except Refused as error:
            if error.code == "NOT_FOUND":
                return {}
            raise
        return {int(one.version): get_model_status_pb2.ModelVersionStatus.State.Name(one.state) for one in found}

    def _ask(self, spec: Spec, method: Callable[..., Any], request: Any) -> Any:
        where = f"{spec.model} at {self._address}"

        def once(seconds: float) -> Any:
            try:
                return method(request, timeout=seconds)
            except grpc.RpcError as error:
                code, says = error.code(), error.details() or "no words"
                if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise TooLate(f"{where} gave no answer within {seconds:.1f} s") from error
                if code in _AGAIN:
                    raise Unreachable(f"{where} does not answer ({says}); is the server up? `waybill serve`") from error
                raise Refused(where, code.name, says) from error

        return self._patience.ask(where, once)


def _fill(message: Any, spec: Spec) -> None:
    message.name, message.signature_name = spec.model, spec.signature
    if spec.version is not None:
        message.version.value = spec.version
    if spec.label:
        message.version_label = spec.label


def _about(request: Any, spec: Spec, examples: Sequence[Any]) -> Any:
    from tensorflow.core.example import example_pb2

    _fill(request.model_spec, spec)
    for example in examples:
        found = example_pb2.Example.FromString(example) if isinstance(example, bytes) else example
        request.input.example_list.examples.add().CopyFrom(found)
    return request
