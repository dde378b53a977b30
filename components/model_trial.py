"""An exported model and rows to ask about -> what came of trying it, in a fork of this process, or of a fresh one where a fork would hang.

    python -m components.model_trial    # takes a request as JSON on its standard input, and leaves what came of it on its standard output

Under Waybill's launcher a node has run no TensorFlow op when it begins, and a fork has TensorFlow imported. Other runners of TFX run all
nodes in one process, the trainer's among them.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Any

from waybill.launch.backends import die_with_parent
from waybill.records.live_scores import MAX_ROWS
from waybill.records.settings import PROJECT
from waybill.serving import apart, golden, trial, warmup
from waybill.serving.errors import ServingError
from waybill.serving.watch import Ended, Limits
from waybill.training import network

_TO_IMPORT = 300.0  # seconds that a fresh interpreter may take to import TensorFlow, on a busy machine


@dataclasses.dataclass(frozen=True)
class Request:
    """What to try.

    Attributes:
      model: The SavedModel's folder.
      files: Files of the split to ask about.
      golden: How many of its rows to ask about by every way.
      output: Which output of the signatures holds the scores; empty where there is only one.
      limits: What the trial may take.
    """

    model: pathlib.Path
    files: tuple[pathlib.Path, ...]
    golden: int
    output: str
    limits: Limits

    def to_json(self) -> str:
        """The request as text."""
        return json.dumps(dataclasses.asdict(self), default=lambda path: str(path.absolute()))

    @classmethod
    def from_json(cls, text: str) -> Request:
        """The inverse of `to_json`."""
        value: dict[str, Any] = json.loads(text)
        files = tuple(map(pathlib.Path, value["files"]))
        return cls(pathlib.Path(value["model"]), files, value["golden"], value["output"], Limits(**value["limits"]))


def drawn(request: Request) -> golden.Golden:
    """The rows to ask about.

    Raises:
      DamagedRecords: if a file of them is damaged.
    """
    return golden.draw(request.files, request.golden, MAX_ROWS)


def run(request: Request, rows: golden.Golden) -> Ended:
    """Tries a model.

    Args:
      request: What to try.
      rows: What `drawn` returned for it.

    Raises:
      ServingError: if the fresh process ends without a word.
      BadWarmup: if the model's warm-up requests cannot be read.
    """
    return here(request, rows) if apart.may_fork() else elsewhere(request)


def here(request: Request, rows: golden.Golden) -> Ended:
    """Tries a model in a fork of this process, which must have run no TensorFlow op."""
    steps = trial.Trial(request.model, rows.requests, rows.every, warmup.read(request.model), request.output).steps()
    return apart.run(steps, request.limits, network.leave)


def elsewhere(request: Request) -> Ended:
    """Tries a model in a fork of a fresh interpreter, which takes the time to import TensorFlow.

    Raises:
      ServingError: if that ends without a word.
    """
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(
            command, input=request.to_json(), stdout=subprocess.PIPE, text=True, cwd=PROJECT, preexec_fn=die_with_parent, check=False,
            timeout=request.limits.seconds + _TO_IMPORT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ServingError(f"the process that should try {str(request.model)!r} did not come to it in time: {error}") from error
    if done.returncode:
        raise ServingError(f"the process that should try {str(request.model)!r} ended with status {done.returncode}; its words are above")
    return Ended(**json.loads(done.stdout))


def main() -> None:
    """Tries what standard input asks for."""
    request = Request.from_json(sys.stdin.read())
    print(json.dumps(dataclasses.asdict(here(request, drawn(request)))))


if __name__ == "__main__":
    main()
