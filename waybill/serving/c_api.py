"""Arrays <-> tensors of TensorFlow's C library, and what a call of it came to.

The library is part of TensorFlow's wheel. In a process that has TensorFlow imported it is the one that is there already.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import pathlib
from typing import Any, TypeAlias

import numpy as np

from waybill.serving.errors import ModelRefused, ServingError

_LIBRARY = "libtensorflow_cc.so.2"
_STRING, _STRING_SIZE = 7, 24  # TensorFlow's number of the type, and its `TF_TString` in bytes
TYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64", 10: "bool", 17: "uint16", 19: "float16",
    22: "uint32", 23: "uint64",
}  # fmt: skip
_CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
    "UNAUTHENTICATED",
)  # fmt: skip

Values: TypeAlias = "np.ndarray[Any, Any]"


class Output(ctypes.Structure):
    """`TF_Output`: one output of an operation."""

    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class Buffer(ctypes.Structure):
    """`TF_Buffer`: bytes of the library's."""

    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p)]


class Status:
    """What a call of the library came to."""

    def __init__(self) -> None:
        self.pointer = library().TF_NewStatus()

    def check(self) -> None:
        """Raises ModelRefused unless the call went well."""
        code = library().TF_GetCode(self.pointer)
        message = library().TF_Message(self.pointer).decode(errors="replace")
        library().TF_DeleteStatus(self.pointer)
        if code:
            raise ModelRefused(_CODES[code] if code < len(_CODES) else str(code), message)


@functools.lru_cache(maxsize=1)
def library() -> Any:
    """TensorFlow's library, with its functions' types.

    Raises:
      ServingError: if TensorFlow is not installed with it.
    """
    found = importlib.util.find_spec("tensorflow")
    folders = (found.submodule_search_locations or []) if found else []
    paths = [path for folder in folders if (path := pathlib.Path(folder, _LIBRARY)).is_file()]
    if not paths:
        raise ServingError(f"no {_LIBRARY} in an installed tensorflow package; install the locked requirements")
    loaded = ctypes.CDLL(str(paths[0]))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    many = {
        "TF_NewGraph": (pointer, []),
        "TF_NewBuffer": (pointer, []),
        "TF_NewStatus": (pointer, []),
        "TF_NewSessionOptions": (pointer, []),
        "TF_GetCode": (number, [pointer]),
        "TF_Message": (text, [pointer]),
        "TF_DeleteStatus": (None, [pointer]),
        "TF_DeleteTensor": (None, [pointer]),
        "TF_LoadSessionFromSavedModel": (pointer, [pointer, pointer, text, pointer, number, pointer, pointer, pointer]),
        "TF_SessionRun": (
            None,
            [pointer, pointer, pointer, pointer, number, pointer, pointer, number, pointer, number, pointer, pointer],
        ),
        "TF_CloseSession": (None, [pointer, pointer]),
        "TF_DeleteSession": (None, [pointer, pointer]),
        "TF_DeleteGraph": (None, [pointer]),
        "TF_DeleteBuffer": (None, [pointer]),
        "TF_DeleteSessionOptions": (None, [pointer]),
        "TF_GraphOperationByName": (pointer, [pointer, text]),
        "TF_AllocateTensor": (pointer, [number, pointer, number, ctypes.c_size_t]),
        "TF_TensorData": (pointer, [pointer]),
        "TF_TensorByteSize": (ctypes.c_size_t, [pointer]),
        "TF_TensorType": (number, [pointer]),
        "TF_NumDims": (number, [pointer]),
        "TF_Dim": (ctypes.c_int64, [pointer, number]),
        "TF_NewTensor": (pointer, [number, pointer, number, pointer, ctypes.c_size_t, pointer, pointer]),
        "TF_StringInit": (None, [pointer]),
        "TF_StringCopy": (None, [pointer, text, ctypes.c_size_t]),
        "TF_StringDealloc": (None, [pointer]),
        "TF_StringGetSize": (ctypes.c_size_t, [pointer]),
        "TF_StringGetDataPointer": (pointer, [pointer]),
    }
    for name, (gives, takes) in many.items():
        function = getattr(loaded, name)
        function.restype, function.argtypes = gives, takes
    return loaded


def tensor_of(values: Values) -> int:
    """The library's copy of an array. Long texts in it are not freed before this process ends: the graph may still hold them.

    Raises:
      ModelRefused: if the array is of a type that is not known here.
    """
    tf = library()
    texts = values.dtype == object
    kind = _STRING if texts else next((number for number, name in TYPES.items() if name == values.dtype.name), None)
    if kind is None:
        raise ModelRefused("UNIMPLEMENTED", f"an input of type {values.dtype}; expected one of {', '.join(TYPES.values())} or texts")
    shape = (ctypes.c_int64 * values.ndim)(*values.shape)
    size = values.size * _STRING_SIZE if texts else values.nbytes
    tensor: int = tf.TF_AllocateTensor(kind, shape, values.ndim, size)
    data = tf.TF_TensorData(tensor)
    if not texts:
        ctypes.memmove(data, np.ascontiguousarray(values).ctypes.data, size)
        return tensor
    for number, value in enumerate(values.ravel()):
        place = data + number * _STRING_SIZE
        tf.TF_StringInit(place)
        tf.TF_StringCopy(place, value, len(value))
    return tensor


def array_of(tensor: int) -> Values | None:
    """An array with a tensor's numbers, and the tensor freed; None for one that holds no numbers."""
    tf = library()
    try:
        kind = TYPES.get(tf.TF_TensorType(tensor))
        if kind is None:
            return None
        shape = [tf.TF_Dim(tensor, axis) for axis in range(tf.TF_NumDims(tensor))]
        data = ctypes.string_at(tf.TF_TensorData(tensor), tf.TF_TensorByteSize(tensor))
        return np.frombuffer(data, kind).reshape(shape)
    finally:
        tf.TF_DeleteTensor(tensor)
