"""Requests of TensorFlow Serving's protocol -> its answers, as messages; REST and gRPC are two doors to this.

Each call takes the version that the request is for, keeps it while it is asked, and notes how long that took.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from waybill.server import examples, metrics
from waybill.server.core import Core
from waybill.server.errors import RequestError, invalid
from waybill.server.metrics import Metrics
from waybill.server.predict import DEFAULT, predict
from waybill.server.tensors import Values

SIGNATURES = "signature_def"  # the one field of metadata that there is
_RUNTIME = "TF1"  # what TensorFlow Serving calls a session


class Service:
    """What can be asked.

    Args:
      core: What is served.
      noted: Where it is noted.
    """

    def __init__(self, core: Core, noted: Metrics):
        self.core = core
        self.metrics = noted

    def inputs(self, spec: Any) -> Mapping[str, Any]:
        """TensorInfos of the inputs of the signature that a ModelSpec names.

        Raises:
          RequestError: if nothing answers to it, or it has no such signature.
        """
        name = spec.signature_name or DEFAULT
        with self.core.use(spec) as (_, session):
            if name not in session.signatures:
                raise invalid(f'Serving signature name: "{name}" not found in signature def')
            found: Mapping[str, Any] = session.signatures[name].inputs
        if not found:
            raise invalid(f"Failed to get input map for signature: {spec.signature_name or 'DEFAULT'}")
        return found

    def predict(self, spec: Any, inputs: Mapping[str, Values], only: Collection[str] = ()) -> tuple[int, dict[str, Values]]:
        """The version that answered, and its outputs.

        Raises:
          RequestError: as TensorFlow Serving would.
        """
        with self.core.use(spec) as (version, session), self._timed(spec.name, "Predict"):
            return version, predict(session, spec.signature_name, inputs, only)

    def classify(self, request: Any, response: Any) -> None:
        """Fills a ClassificationResponse. Raises RequestError."""
        with self.core.use(request.model_spec) as (version, session), self._timed(request.model_spec.name, "Classify"):
            examples.describe(response.model_spec, request.model_spec, version)
            count = examples.classify(session, request.model_spec.signature_name, request.input, response.result)
        self.metrics.count(metrics.EXAMPLES, request.model_spec.name, by=count)

    def regress(self, request: Any, response: Any) -> None:
        """Fills a RegressionResponse. Raises RequestError."""
        with self.core.use(request.model_spec) as (version, session), self._timed(request.model_spec.name, "Regress"):
            examples.describe(response.model_spec, request.model_spec, version)
            count = examples.regress(session, request.model_spec.signature_name, request.input, response.result)
        self.metrics.count(metrics.EXAMPLES, request.model_spec.name, by=count)

    def infer(self, request: Any, response: Any) -> None:
        """Fills a MultiInferenceResponse. Raises RequestError."""
        if not request.tasks:
            raise invalid("ModelSpec has no name specified.")
        spec = request.tasks[0].model_spec
        with self.core.use(spec) as (version, session):
            count = examples.infer(session, request, version, response)
        self.metrics.count(metrics.EXAMPLES, spec.name, by=count)

    def metadata(self, spec: Any, fields: Collection[str]) -> tuple[int, Any]:
        """The version that a ModelSpec is for, and its SignatureDefMap.

        Raises:
          RequestError: if no field is asked for, or another than `signature_def`, or nothing answers.
        """
        from tensorflow_serving.apis import get_model_metadata_pb2

        if not fields:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        if stray := [field for field in fields if field != SIGNATURES]:
            raise invalid(f"Metadata field {stray[0]} is not supported")
        found = get_model_metadata_pb2.SignatureDefMap()
        with self.core.use(spec) as (version, session):
            for name, signature in session.signatures.items():
                found.signature_def[name].CopyFrom(signature)
        return version, found

    def note(self, model: str, api: str, door: str, seconds: float, problem: RequestError | None) -> None:
        """Counts a request that was answered. Names that nothing is served under are not kept: anybody can think of any number of them."""
        name = model if any(model == one.name for one in self.core.models) else ""
        self.metrics.count(metrics.REQUESTS, name, problem.code if problem else "OK")
        if problem is None:
            self.metrics.observe(metrics.LATENCY, seconds, name, api, door)

    @contextlib.contextmanager
    def _timed(self, model: str, api: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.metrics.observe(metrics.RUNTIME, time.monotonic() - began, model, api, _RUNTIME)
