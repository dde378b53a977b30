"""A SavedModel's folder -> answers of TensorFlow's C++ runtime, which is what TensorFlow Serving loads and asks.

    model = CppModel.load(Path(".../Format-Serving"))
    model.ask("serving_default", {"examples": np.array([example, example], object)})["scores"]    # float32 of shape [2, 1]

The library is part of TensorFlow's wheel; its C API is called directly, so that no Python of TensorFlow's has a say in it. This loader
returns OK for a model whose variables are missing and fails when it is asked, so one that has only been loaded has not been tried.
"""

from __future__ import annotations

import ctypes
import pathlib
from collections.abc import Mapping
from typing import Any

from waybill.serving.c_api import TYPES, Buffer, Output, Status, Values, array_of, library, tensor_of
from waybill.serving.errors import ModelRefused

_SERVE = b"serve"  # the tag of what TensorFlow Serving loads


class CppModel:
    """A model in memory, until this process ends.

    Args:
      session: The library's session.
      graph: The library's graph.
      signatures: Of the model, by name.
    """

    def __init__(self, session: int, graph: int, signatures: Mapping[str, Any]):
        self._session = session
        self._graph = graph
        self._signatures = signatures

    @classmethod
    def load(cls, folder: pathlib.Path) -> CppModel:
        """Loads what TensorFlow Serving would load from a folder.

        Raises:
          ModelRefused: with the loader's own words.
        """
        from tensorflow.core.protobuf import meta_graph_pb2

        tf, status = library(), Status()
        graph, about = tf.TF_NewGraph(), tf.TF_NewBuffer()
        tags = (ctypes.c_char_p * 1)(_SERVE)
        path = bytes(folder)
        session = tf.TF_LoadSessionFromSavedModel(tf.TF_NewSessionOptions(), None, path, tags, 1, graph, about, status.pointer)
        status.check()
        buffer = ctypes.cast(about, ctypes.POINTER(Buffer)).contents
        meta_graph = meta_graph_pb2.MetaGraphDef.FromString(ctypes.string_at(buffer.data, buffer.length))
        return cls(session, graph, dict(meta_graph.signature_def))

    def inputs(self, signature: str) -> dict[str, str]:
        """The inputs of a signature with their types, such as `float32`, or `object` for texts.

        Raises:
          ModelRefused: if the model has no such signature.
        """
        return {name: TYPES.get(info.dtype, "object") for name, info in self._signature(signature).inputs.items()}

    def ask(self, signature: str, inputs: Mapping[str, Values]) -> dict[str, Values]:
        """Asks once.

        Args:
          signature: Name of the signature.
          inputs: Its inputs; those of type object hold bytes.

        Returns:
          Its outputs that are numbers.

        Raises:
          ModelRefused: if the model has no such signature, or the runtime refuses.
        """
        asked, status, tf = self._signature(signature), Status(), library()
        if set(inputs) != set(asked.inputs):
            raise ModelRefused("INVALID_ARGUMENT", f"signature {signature} takes {sorted(asked.inputs)}, got {sorted(inputs)}")
        names, outputs = list(inputs), list(asked.outputs)
        feeds = (Output * len(names))(*(self._output(asked.inputs[name].name) for name in names))
        fetches = (Output * len(outputs))(*(self._output(asked.outputs[name].name) for name in outputs))
        given = (ctypes.c_void_p * len(names))(*(tensor_of(inputs[name]) for name in names))
        answers = (ctypes.c_void_p * len(outputs))()
        tf.TF_SessionRun(
            self._session, None, feeds, given, len(names), fetches, answers, len(outputs), None, 0, None, status.pointer
        )  # fmt: skip
        for tensor in given:
            tf.TF_DeleteTensor(tensor)
        status.check()
        values = {name: array_of(tensor) for name, tensor in zip(outputs, answers, strict=True)}
        return {name: value for name, value in values.items() if value is not None}

    def _signature(self, name: str) -> Any:
        if name not in self._signatures:
            raise ModelRefused("NOT_FOUND", f"the model has no signature {name!r}; it has {', '.join(sorted(self._signatures)) or 'none'}")
        return self._signatures[name]

    def _output(self, tensor: str) -> Output:
        name, _, index = tensor.partition(":")
        operation = library().TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise ModelRefused("NOT_FOUND", f"a signature names the tensor {tensor!r}, which is not in the graph")
        return Output(operation, int(index or 0))
