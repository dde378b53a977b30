"""Arrays <-> tensors of TensorFlow's C library, for a process that answers for days: texts come back too, and everything is freed.

An array of texts has dtype object and holds bytes.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any, TypeAlias

import numpy as np

from waybill.server.errors import RequestError
from waybill.serving.c_api import TYPES, library
from waybill.serving.c_api import tensor_of as numbers_of

STRING = 7  # TensorFlow's number of the type
_SIZE = 24  # bytes of its `TF_TString`
_ALIGNED = 64  # what the widest vector instructions want; TensorFlow ends the process over a tensor that is not

Values: TypeAlias = "np.ndarray[Any, Any]"

_held: dict[int, tuple[Any, int]] = {}  # memory of the texts that some tensor is made of, by address
_lock = threading.Lock()


def tensor_of(values: Values) -> int:
    """The library's copy of an array.

    Raises:
      RequestError: if the array is of a type that is not known here.
    """
    if values.dtype == object:
        return _texts(values)
    if values.dtype.name not in TYPES.values():
        raise RequestError("UNIMPLEMENTED", f"an input of type {values.dtype}; expected one of {', '.join(TYPES.values())} or texts")
    return numbers_of(values)


def array_of(tensor: int) -> Values:
    """An array with what a tensor holds, and the tensor freed.

    Raises:
      RequestError: if the tensor is of a type that is not known here.
    """
    tf = library()
    try:
        kind = int(tf.TF_TensorType(tensor))
        shape = [tf.TF_Dim(tensor, axis) for axis in range(tf.TF_NumDims(tensor))]
        data = tf.TF_TensorData(tensor)
        if kind == STRING:
            count = int(np.prod(shape, dtype=np.int64))
            texts = np.empty(count, object)
            texts[:] = [_text(data + place * _SIZE) for place in range(count)]
            return texts.reshape(shape)
        if kind not in TYPES:
            raise RequestError("UNIMPLEMENTED", f"an output of TensorFlow's type {kind}; expected {', '.join(TYPES.values())} or texts")
        size = tf.TF_TensorByteSize(tensor)
        return np.frombuffer(ctypes.string_at(data, size) if size else b"", TYPES[kind]).reshape(shape)
    finally:
        tf.TF_DeleteTensor(tensor)


def _text(place: int) -> bytes:
    tf = library()
    return ctypes.string_at(tf.TF_StringGetDataPointer(place), tf.TF_StringGetSize(place))


def _texts(values: Values) -> int:
    """A tensor of texts. Its memory is ours until TensorFlow says that nothing holds it any more, the graph's own variables included."""
    tf = library()
    count = values.size
    memory = ctypes.create_string_buffer(count * _SIZE + _ALIGNED)
    data = -(-ctypes.addressof(memory) // _ALIGNED) * _ALIGNED
    for number, value in enumerate(values.ravel()):
        tf.TF_StringInit(data + number * _SIZE)
        tf.TF_StringCopy(data + number * _SIZE, value, len(value))
    with _lock:
        _held[data] = (memory, count)
    shape = (ctypes.c_int64 * values.ndim)(*values.shape)
    tensor: int = tf.TF_NewTensor(STRING, shape, values.ndim, data, count * _SIZE, _FREE, None)
    return tensor


def _free(data: int, _size: int, _argument: Any) -> None:
    """Called by TensorFlow, on any of its threads, when nothing holds a tensor of texts any more."""
    with _lock:
        memory, count = _held.pop(data)
    for number in range(count):
        library().TF_StringDealloc(data + number * _SIZE)
    del memory


_FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)(_free)
