"""A SavedModel's folder -> a session of TensorFlow's C++ runtime, with the loader that TensorFlow Serving has."""

from __future__ import annotations

import ctypes
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from waybill.server.errors import CODES, RequestError
from waybill.server.tensors import Values, array_of, tensor_of
from waybill.serving.c_api import Buffer, Output, library

_SERVE = b"serve"  # the tag of what TensorFlow Serving loads
_DECODERS = frozenset({"DecodePng", "DecodeJpeg", "DecodeImage", "DecodeBmp", "DecodeGif", "DecodeAndCropJpeg", "DecodeWebP"})


class Session:
    """A model in memory. Many threads may ask it at once.

    Attributes:
      signatures: SignatureDefs by name.
      decodes_pictures: Whether its graph takes encoded pictures apart, so that an input of bytes may be one.
    """

    def __init__(self, session: int, graph: int, signatures: Mapping[str, Any], *, decodes_pictures: bool = False):
        self._session = session
        self._graph = graph
        self.signatures = signatures
        self.decodes_pictures = decodes_pictures

    @classmethod
    def load(cls, folder: pathlib.Path) -> Session:
        """Loads what TensorFlow Serving would load from a folder.

        Raises:
          RequestError: with the loader's own words.
        """
        from tensorflow.core.protobuf import meta_graph_pb2

        tf = library()
        graph, about, options, status = tf.TF_NewGraph(), tf.TF_NewBuffer(), tf.TF_NewSessionOptions(), tf.TF_NewStatus()
        tags = (ctypes.c_char_p * 1)(_SERVE)
        session = tf.TF_LoadSessionFromSavedModel(options, None, bytes(folder), tags, 1, graph, about, status)
        buffer = ctypes.cast(about, ctypes.POINTER(Buffer)).contents
        text = ctypes.string_at(buffer.data, buffer.length) if buffer.data else b""
        tf.TF_DeleteSessionOptions(options)
        tf.TF_DeleteBuffer(about)
        try:
            _check(status)
        except RequestError:
            tf.TF_DeleteGraph(graph)
            raise
        meta = meta_graph_pb2.MetaGraphDef.FromString(text)
        return cls(session, graph, dict(meta.signature_def), decodes_pictures=_decodes_pictures(meta.graph_def))

    def run(self, feeds: Mapping[str, Values], fetches: Sequence[str]) -> list[Values]:
        """Asks once.

        Args:
          feeds: Arrays by the name of a tensor of the graph, such as `serving_default_x:0`; those of texts hold bytes.
          fetches: Names of the tensors to compute.

        Raises:
          RequestError: with the runtime's own words.
        """
        tf = library()
        inputs = (Output * len(feeds))(*(self._place(name) for name in feeds))
        outputs = (Output * len(fetches))(*(self._place(name) for name in fetches))
        given = (ctypes.c_void_p * len(feeds))()
        answers = (ctypes.c_void_p * len(fetches))()
        status = tf.TF_NewStatus()
        try:
            for place, values in enumerate(feeds.values()):
                given[place] = tensor_of(values)
            tf.TF_SessionRun(
                self._session, None, inputs, given, len(feeds), outputs, answers, len(fetches), None, 0, None, status
            )  # fmt: skip
        except BaseException:
            tf.TF_DeleteStatus(status)
            raise
        finally:
            for tensor in filter(None, given):
                tf.TF_DeleteTensor(tensor)
        _check(status)
        return _arrays([int(tensor or 0) for tensor in answers])

    def close(self) -> None:
        """Frees the model; nobody may be asking it."""
        tf, status = library(), library().TF_NewStatus()
        tf.TF_CloseSession(self._session, status)
        tf.TF_DeleteSession(self._session, status)
        tf.TF_DeleteGraph(self._graph)
        tf.TF_DeleteStatus(status)

    def _place(self, tensor: str) -> Output:
        name, _, index = tensor.partition(":")
        operation = library().TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise RequestError("NOT_FOUND", f"FetchOutputs node {tensor}: not found")
        return Output(operation, int(index or 0))


def _decodes_pictures(graph: Any) -> bool:
    """Whether an operation of a GraphDef, or of a function in it, takes an encoded picture apart."""
    bodies = (graph.node, *(function.node_def for function in graph.library.function))
    return any(node.op in _DECODERS for body in bodies for node in body)


def _arrays(tensors: Sequence[int]) -> list[Values]:
    """What tensors hold, and all of them freed, also when one is of an unknown type."""
    found: list[Values] = []
    problem: RequestError | None = None
    for tensor in tensors:
        try:
            found.append(array_of(tensor))
        except RequestError as error:
            problem = error
    if problem:
        raise problem
    return found


def _check(status: int) -> None:
    """Raises RequestError unless a call of the library went well; frees the status."""
    tf = library()
    code, message = tf.TF_GetCode(status), tf.TF_Message(status).decode(errors="replace")
    tf.TF_DeleteStatus(status)
    if code:
        raise RequestError(CODES[code] if code < len(CODES) else "UNKNOWN", message)
