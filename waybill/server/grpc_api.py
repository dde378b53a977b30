"""The service -> TensorFlow Serving's PredictionService and ModelService over gRPC."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from waybill.server import examples
from waybill.server.errors import CODES, RequestError, ServerError, invalid
from waybill.server.protos import array_of, fill
from waybill.server.service import Service

_THREADS = 16
_CODES = {code.name: code for code in grpc.StatusCode}
_SIGNATURES = "signature_def"
_STOP_SECONDS = 10.0


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify, Regress, MultiInference, GetModelMetadata.

    Args:
      service: What can be asked.
    """

    def __init__(self, service: Service):
        self._service = service

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        """Asks a signature."""
        return _answer(self._service, "Predict", request.model_spec.name, context, lambda: self._predict(request))

    def Classify(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Asks a signature that classifies about tf.Examples."""
        response = classification_pb2.ClassificationResponse()
        return _answer(self._service, "Classify", request.model_spec.name, context, lambda: self._about(request, response))

    def Regress(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Asks a signature that regresses about tf.Examples."""
        response = regression_pb2.RegressionResponse()
        return _answer(self._service, "Regress", request.model_spec.name, context, lambda: self._about(request, response))

    def MultiInference(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Asks several signatures about the same tf.Examples."""

        def infer() -> Any:
            response = inference_pb2.MultiInferenceResponse()
            self._service.infer(request, response)
            return response

        name = request.tasks[0].model_spec.name if request.tasks else ""
        return _answer(self._service, "MultiInference", name, context, infer)

    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The signatures of a version."""

        def describe() -> Any:
            _check_spec(request)
            version, signatures = self._service.metadata(request.model_spec, request.metadata_field)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = version
            response.metadata[_SIGNATURES].Pack(signatures)
            return response

        return _answer(self._service, "GetModelMetadata", request.model_spec.name, context, describe)

    def _predict(self, request: Any) -> Any:
        _check_spec(request)
        inputs = {}
        for name, proto in request.inputs.items():
            try:
                inputs[name] = array_of(proto)
            except ValueError as error:
                raise invalid(f"tensor parsing error: {name}") from error
        version, outputs = self._service.predict(request.model_spec, inputs, request.output_filter)
        response = predict_pb2.PredictResponse()
        examples.describe(response.model_spec, request.model_spec, version)
        for name, values in outputs.items():
            fill(response.outputs[name], values)
        return response

    def _about(self, request: Any, response: Any) -> Any:
        _check_spec(request)
        ask = self._service.classify if isinstance(request, classification_pb2.ClassificationRequest) else self._service.regress
        ask(request, response)
        return response


class Models(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest.

    Args:
      service: What can be asked.
    """

    def __init__(self, service: Service):
        self._service = service

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What is known of a model's versions."""

        def states() -> Any:
            _check_spec(request)
            spec = request.model_spec
            response = get_model_status_pb2.GetModelStatusResponse()
            for version, state in self._service.core.states(spec.name, spec.version.value if spec.HasField("version") else None).items():
                one = response.model_version_status.add()
                one.version = version
                one.state = get_model_status_pb2.ModelVersionStatus.State.Value(state.state)
                if state.error:
                    one.status.error_code = CODES.index(state.error.code)
                    one.status.error_message = state.error.message
            return response

        return _answer(self._service, "GetModelStatus", request.model_spec.name, context, states)

    def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Serves another configuration."""

        def reload() -> Any:
            self._service.core.reload(request.config)
            return model_management_pb2.ReloadConfigResponse()

        return _answer(self._service, "HandleReloadConfigRequest", "", context, reload)


class Grpc:
    """Both services on a port, and on a Unix socket where one is asked for.

    Args:
      service: What can be asked.
      host: Address to listen on.
      port: Its port; 0 for any free one.
      socket_path: Path of a Unix socket; empty for none.
      largest: Bytes that a request may have.

    Attributes:
      port: The port it listens on.
    """

    def __init__(self, service: Service, host: str, port: int, socket_path: str, largest: int):
        options = [("grpc.max_receive_message_length", largest), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(ThreadPoolExecutor(_THREADS, "grpc"), options=options)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(service), self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(Models(service), self._server)
        try:
            self.port = int(self._server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
            if socket_path:
                self._server.add_insecure_port(f"unix:{socket_path}")
        except RuntimeError as error:
            raise ServerError(f"cannot listen for gRPC on {host}:{port}: {error}; --grpc-port 0 takes any free port") from error

    def start(self) -> None:
        """Answers from now on."""
        self._server.start()

    def stop(self) -> None:
        """Finishes what is being answered, and ends."""
        self._server.stop(_STOP_SECONDS).wait()


def _check_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _answer(service: Service, api: str, model: str, context: Any, work: Callable[[], Any]) -> Any:
    """What `work` returns, or its error as a status; either is noted."""
    began = time.monotonic()
    problem: RequestError | None = None
    try:
        return work()
    except RequestError as error:
        problem = error
    except Exception as error:  # noqa: BLE001 - a request that breaks something here is one request's error
        problem = RequestError("INTERNAL", f"{type(error).__name__}: {error}")
    finally:
        service.note(model, api, "GRPC", time.monotonic() - began, problem)
    context.abort(_CODES.get(problem.code, grpc.StatusCode.UNKNOWN), problem.short)
    return None
