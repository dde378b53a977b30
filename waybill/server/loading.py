"""A version's folder -> a model that has answered its warm-up requests, and so may answer others."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable
from typing import Any

from waybill.launch.errors import DamagedRecords
from waybill.launch.tfrecords import records
from waybill.server import examples, metrics
from waybill.server.errors import RequestError, invalid
from waybill.server.metrics import Metrics
from waybill.server.predict import predict
from waybill.server.protos import array_of
from waybill.server.session import Session

WARMUP = pathlib.PurePath("assets.extra", "tf_serving_warmup_requests")
_MOST = 1000  # requests in the file


class Loader:
    """Loads versions.

    Args:
      noted: Where it is noted how long a warm-up took.
      check: Looks at a version's folder before it is loaded; raises RequestError to refuse it.
      warm: Whether warm-up requests are replayed.
    """

    def __init__(self, noted: Metrics, check: Callable[[pathlib.Path], None], *, warm: bool = True):
        self._metrics = noted
        self._check = check
        self._warm = warm

    def load(self, model: str, version: int, folder: pathlib.Path) -> Session:
        """A session on a folder, warm.

        Raises:
          RequestError: if the folder is refused, cannot be loaded, or a warm-up request fails.
        """
        self._check(folder)
        session = Session.load(folder)
        if self._warm and (folder / WARMUP).is_file():
            try:
                self._replay(session, folder / WARMUP, str(folder))
            except BaseException:
                session.close()
                raise
        return session

    def _replay(self, session: Session, path: pathlib.Path, folder: str) -> None:
        began, read, status = time.monotonic(), 0, "OK"
        try:
            for log in _logs(path):
                read += 1
                if read > _MOST:
                    raise invalid(f"Number of warmup records exceeds the maximum ({_MOST}) at {path}")
                _ask(session, log)
        except RequestError as error:
            status = error.code
            raise
        finally:
            self._metrics.observe(metrics.WARMUP, time.monotonic() - began, folder, status)
            self._metrics.count(metrics.WARMED, folder, status, by=read)


def _logs(path: pathlib.Path) -> Any:
    """The PredictionLogs of a file, one after the other."""
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis import prediction_log_pb2

    with path.open("rb") as handle:
        if handle.read(2) == b"\x1f\x8b":
            raise RequestError("DATA_LOSS", f"{path} is gzipped; warm-up requests are read from plain TFRecords only")
    try:
        for record in records(path):
            yield prediction_log_pb2.PredictionLog.FromString(record)
    except DamagedRecords as error:
        raise RequestError("DATA_LOSS", str(error)) from error
    except DecodeError as error:
        raise invalid(f"Failed to parse warmup record: {error} from {path}") from error


def _ask(session: Session, log: Any) -> None:
    from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        asked = log.predict_log.request
        try:
            inputs = {name: array_of(proto) for name, proto in asked.inputs.items()}
        except ValueError as error:
            raise invalid(f"tensor parsing error: {error}") from error
        predict(session, asked.model_spec.signature_name, inputs, asked.output_filter)
    elif kind == "classify_log":
        asked = log.classify_log.request
        examples.classify(session, asked.model_spec.signature_name, asked.input, classification_pb2.ClassificationResult())
    elif kind == "regress_log":
        asked = log.regress_log.request
        examples.regress(session, asked.model_spec.signature_name, asked.input, regression_pb2.RegressionResult())
    elif kind == "multi_inference_log":
        examples.infer(session, log.multi_inference_log.request, 0, inference_pb2.MultiInferenceResponse())
    else:
        raise RequestError("UNIMPLEMENTED", f"Unsupported log_type for warmup: {kind or 'none'}")
