"""What a pipeline's owner asks of an exported model as a server would meet it -> plain limits that a node carries as JSON."""

from __future__ import annotations

import dataclasses
import json

from waybill.gates.errors import PolicyError


@dataclasses.dataclass(frozen=True)
class InfraPolicy:
    """How an exported model is tried, and what is good.

    The limits are meant to be far from what a good model needs: they stop what is broken, on a busy machine too.

    Attributes:
      output: Which output of the signatures holds the scores that are compared; empty where there is only one.
      golden_requests: Rows of the eval split that each signature is asked about by each loader.
      tolerance: Largest good difference between two scores of the same row.
      max_load_seconds: How long either loader may take.
      max_single_seconds: Median time of an answer about one row.
      max_batch_seconds: Median time of an answer about all golden rows at once.
      max_bytes: Size of the model's folder.
      max_files: Number of files in it.
      max_trial_seconds: How long everything together may take; then the process is ended.
      max_trial_memory: Bytes of memory it may hold, beyond what it shares with the node; then it is ended.
      personal_columns: Columns that must not occur in the model's own warm-up requests, which are stored with it as plain text.
      allowed_ops: Types of operations that are good in this model, although they are denied to others.
    """

    output: str = ""
    golden_requests: int = 64
    tolerance: float = 1e-5
    max_load_seconds: float = 30.0
    max_single_seconds: float = 0.5
    max_batch_seconds: float = 1.0
    max_bytes: int = 1 << 30
    max_files: int = 1000
    max_trial_seconds: float = 180.0
    max_trial_memory: int = 4 << 30
    personal_columns: tuple[str, ...] = ()
    allowed_ops: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("personal_columns", "allowed_ops"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, (tuple, str)) and not (isinstance(value, (int, float)) and value > 0):
                raise PolicyError(f"{field.name} is {value!r}; expected more than 0")

    def to_json(self) -> str:
        """The policy as one line of JSON, for an execution property."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> InfraPolicy:
        """The inverse of `to_json`.

        Raises:
          PolicyError: if the text is not an infra policy.
        """
        expected = sorted(field.name for field in dataclasses.fields(cls))
        try:
            value = json.loads(text)
        except ValueError as error:
            raise PolicyError(f"got {text[:80]!r}, expected InfraPolicy.to_json(): {error}") from error
        if not isinstance(value, dict) or sorted(value) != expected:
            found = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise PolicyError(f"got {found}, expected the fields of InfraPolicy: {expected}")
        try:
            return cls(**value)
        except TypeError as error:
            raise PolicyError(f"this is not an infra policy: {error}") from error
