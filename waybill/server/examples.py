"""A loaded model and tf.Examples -> classes with their scores, or values: TensorFlow Serving's Classify, Regress and MultiInference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from waybill.server.errors import RequestError, invalid
from waybill.server.predict import DEFAULT
from waybill.server.session import Session
from waybill.server.tensors import Values

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
_INPUTS, _CLASSES, _SCORES, _REGRESSED = "inputs", "classes", "scores", "outputs"


def classify(session: Session, signature_name: str, source: Any, result: Any) -> int:
    """Fills a ClassificationResult; returns how many examples there were.

    Args:
      session: The model.
      signature_name: Name of the signature; empty for `serving_default`.
      source: The request's Input.
      result: What is filled.

    Raises:
      RequestError: if the signature does not classify, there is no example, or the runtime refuses.
    """
    signature = _signature(session, signature_name)
    outputs = _classes_of(signature)
    examples = _examples(source)
    answers = session.run({signature.inputs[_INPUTS].name: examples}, [signature.outputs[alias].name for alias in outputs])
    _fill_classes(dict(zip(outputs, answers, strict=True)), len(examples), result)
    return len(examples)


def regress(session: Session, signature_name: str, source: Any, result: Any) -> int:
    """Fills a RegressionResult; returns how many examples there were. Arguments and errors as for `classify`."""
    signature = _signature(session, signature_name)
    _check_regresses(signature)
    examples = _examples(source)
    [values] = session.run({signature.inputs[_INPUTS].name: examples}, [signature.outputs[_REGRESSED].name])
    _fill_values(values, len(examples), result)
    return len(examples)


def infer(session: Session, request: Any, version: int, response: Any) -> int:
    """Fills a MultiInferenceResponse: several signatures asked about the same examples; returns how many examples there were.

    Raises:
      RequestError: if the tasks are for different models, or for one signature twice, or one cannot be done.
    """
    names = [task.model_spec.name for task in request.tasks]
    signatures = [task.model_spec.signature_name or DEFAULT for task in request.tasks]
    if not all(names):
        raise invalid("Found ModelSpec with an empty model name.")
    if len(set(names)) > 1:
        raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
    for place, name in enumerate(signatures):
        if name in signatures[:place]:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        if name not in session.signatures:
            raise invalid(f"Requested signature not found in model graph: {name}")
    count = 0
    for task, name in zip(request.tasks, signatures, strict=True):
        if task.method_name not in (CLASSIFY, REGRESS):
            raise RequestError("UNIMPLEMENTED", f"Unsupported signature method_name: {task.method_name}")
        found = response.results.add()
        describe(found.model_spec, task.model_spec, version)
        if task.method_name == CLASSIFY:
            count = classify(session, name, request.input, found.classification_result)
        else:
            count = regress(session, name, request.input, found.regression_result)
    return count


def describe(spec: Any, asked: Any, version: int) -> None:
    """Says in a ModelSpec what answered."""
    spec.name = asked.name
    spec.signature_name = asked.signature_name or DEFAULT
    spec.version.value = version


def _signature(session: Session, name: str) -> Any:
    name = name or DEFAULT
    if name not in session.signatures:
        raise invalid(f"No signature was found with the name: {name}")
    return session.signatures[name]


def _examples(source: Any) -> Values:
    """The tf.Examples of a request's Input as a column of texts, each with the columns that they share."""
    if source.WhichOneof("kind") == "example_list_with_context":
        shared = source.example_list_with_context.context.SerializeToString()
        texts = [shared + example.SerializeToString() for example in source.example_list_with_context.examples]  # this merges the two
    else:
        texts = [example.SerializeToString() for example in source.example_list.examples]
    if not texts:
        raise invalid("Input is empty.")
    column = np.empty(len(texts), object)
    column[:] = texts
    return column


def _classes_of(signature: Any) -> Sequence[str]:
    """The outputs of a signature that classifies."""
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if _INPUTS not in signature.inputs:
        raise invalid(f"No classification inputs found in SignatureDef: {signature}")
    found = [alias for alias in (_CLASSES, _SCORES) if alias in signature.outputs]
    if not found:
        raise invalid(
            f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}". Signature was: {signature}'
        )
    return found


def _fill_classes(answers: dict[str, Values], count: int, result: Any) -> None:
    for alias, kind, name in ((_CLASSES, np.dtype(object), "DT_STRING"), (_SCORES, np.dtype("float32"), "DT_FLOAT")):
        if (values := answers.get(alias)) is None:
            continue
        if values.ndim != 2:
            raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {list(values.shape)}")
        if values.dtype != kind:
            raise invalid(f"Expected {alias} Tensor of {name}. Got: {values.dtype}")
        if len(values) != count:
            raise invalid(f"Expected {alias} output batch size of {count}. Got: {len(values)}")
    classes, scores = answers.get(_CLASSES), answers.get(_SCORES)
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise invalid(f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}")
    for row in range(count):
        filled = result.classifications.add()
        for column in range(next(iter(answers.values())).shape[1]):
            one = filled.classes.add()
            if classes is not None:
                one.label = classes[row, column].decode(errors="replace")
            if scores is not None:
                one.score = scores[row, column]


def _check_regresses(signature: Any) -> None:
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if _INPUTS not in signature.inputs:
        raise invalid(f"No regression inputs found in SignatureDef: {signature}")
    if _REGRESSED not in signature.outputs:
        raise invalid(f"No regression outputs found in SignatureDef: {signature}")


def _fill_values(values: Values, count: int, result: Any) -> None:
    if values.ndim != 1 and not (values.ndim == 2 and values.shape[1] == 1):
        raise invalid(f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {list(values.shape)}")
    if len(values) != count:
        raise invalid(f"Input batch size did not match output batch size: {count} vs. {len(values)}")
    if values.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {values.dtype}")
    for value in values.ravel():
        result.regressions.add().value = value
