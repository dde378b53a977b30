"""A version's folder -> nothing, or why it is not loaded though TensorFlow's loader would take it.

The C++ loader takes a model without its variables and lets every question to it fail; it takes one that writes files when it is asked, and
one whose weights are no numbers. Promoted releases have been tried for all of that; here it is looked at once more, because anything can be
put under a base path.
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from waybill.server.errors import RequestError
from waybill.serving.errors import UnreadableModel
from waybill.serving.export import strangers_in
from waybill.serving.op_scan import denied_ops

_VARIABLES = ("VarHandleOp", "VariableV2", "Variable")
_SHOWN = 5


def check(folder: pathlib.Path) -> None:
    """Looks at a folder before it is loaded.

    Raises:
      RequestError: FAILED_PRECONDITION, with everything that speaks against it; a folder that is no SavedModel is left to the loader, whose
        words a client expects.
    """
    if not (folder / "saved_model.pb").is_file():
        return
    if strangers := strangers_in(folder):
        raise _refused(f"it holds what is no plain file: {_some(strangers)}")
    try:
        denied = denied_ops(folder)
    except UnreadableModel:
        return
    if denied:
        raise _refused(f"it does what no model should need to: {_some([str(found) for found in denied])}")
    if not (folder / "variables" / "variables.index").is_file():
        if _has_variables(folder):
            raise _refused("it has variables, and no variables/variables.index that says where they are; it was not copied whole")
        return
    if bad := _not_finite(folder):
        raise _refused(f"variables of it hold NaN or infinity: {_some(bad)}")


def _refused(why: str) -> RequestError:
    return RequestError("FAILED_PRECONDITION", f"the version is not loaded: {why}. With --no-checks it would be")


def _some(words: list[str]) -> str:
    left = len(words) - _SHOWN
    return "; ".join(words[:_SHOWN]) + (f"; and {left} more" if left > 0 else "")


def _has_variables(folder: pathlib.Path) -> bool:
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return any(
        any(node.op in _VARIABLES for node in graph.graph_def.node)
        or any(node.WhichOneof("kind") == "variable" for node in graph.object_graph_def.nodes)
        for graph in model.meta_graphs
    )


def _not_finite(folder: pathlib.Path) -> list[str]:
    """Names of the variables that hold what is no number; those that cannot be read are left to the loader."""
    import tensorflow as tf

    try:
        checkpoint: Any = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        kinds = checkpoint.get_variable_to_dtype_map()
        names = sorted(name for name, kind in kinds.items() if kind.is_floating)
        return [name for name in names if not np.isfinite(checkpoint.get_tensor(name).astype(np.float64)).all()]
    except (tf.errors.OpError, ValueError, RuntimeError):
        return []
