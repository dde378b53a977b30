"""A loaded model and the inputs of a signature -> its outputs, as TensorFlow Serving's Predict has it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from waybill.server.errors import RequestError, invalid
from waybill.server.protos import array_of
from waybill.server.session import Session
from waybill.server.tensors import Values

DEFAULT = "serving_default"


def predict(session: Session, signature_name: str, inputs: Mapping[str, Values], only: Collection[str] = ()) -> dict[str, Values]:
    """Asks a signature.

    Args:
      session: The model.
      signature_name: Name of the signature; empty for `serving_default`.
      inputs: Arrays by the names that the signature has for them.
      only: Names of the outputs to compute; none for all.

    Raises:
      RequestError: if the model has no such signature, inputs or outputs are not the signature's, or the runtime refuses.
    """
    name = signature_name or DEFAULT
    if name not in session.signatures:
        raise RequestError("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
    signature = session.signatures[name]
    feeds = _feeds(signature, inputs)
    outputs = list(_chosen(signature, only))
    answers = session.run(feeds, [signature.outputs[alias].name for alias in outputs])
    return dict(zip(outputs, answers, strict=True))


def _feeds(signature: Any, inputs: Mapping[str, Values]) -> dict[str, Values]:
    """The inputs by the names of their tensors; those that are not sent come from the signature's defaults."""
    sent, wanted, defaults = set(inputs), set(signature.inputs), set(signature.defaults)
    missing = wanted - sent
    if len(sent) > len(wanted) or (len(sent) < len(wanted) and not defaults):
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} len({_set(sent)}) != len({_set(wanted)}). "
            f"Sent extra: {_set(sent - wanted)}. Missing but required: {_set(missing)}."
        )
    if missing - defaults:
        raise invalid(
            f"Request inputs do not match required inputs for model. Sent extra: {_set(sent - wanted)}. "
            f"Missing but required: {_set(missing - defaults)}."
        )
    feeds = {signature.inputs[alias].name: values for alias, values in inputs.items() if alias in wanted}
    return feeds | {signature.inputs[alias].name: _default(signature, alias) for alias in missing}


def _default(signature: Any, alias: str) -> Values:
    try:
        return array_of(signature.defaults[alias])
    except ValueError as error:
        raise invalid(f"tensor parsing error: {alias}") from error


def _chosen(signature: Any, only: Collection[str]) -> Iterable[str]:
    """The outputs to compute, in the order asked for."""
    chosen: dict[str, None] = {}
    for alias in only:
        if alias not in signature.outputs:
            there = ",".join(sorted(signature.outputs))
            raise invalid(f"output tensor alias not found in signature: {alias} Outputs expected to be in the set {{{there}}}.")
        if alias in chosen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        chosen[alias] = None
    return chosen or sorted(signature.outputs)


def _set(names: Iterable[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"
