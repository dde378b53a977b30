"""How a node ended -> how its Airflow task ends."""

from __future__ import annotations

from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from waybill.records.node import EXECUTOR_SECONDS, NodeResult, Outcome


class NodeEnded(SystemExit):
    """A task's bad end, of which everything has been told.

    Airflow logs other exceptions with the frames of its own task runner, thirty lines below the verdict that a person came to read. This
    one it takes for what it is, an end with a reason, in one line.

    Attributes:
      outcome: How the node ended; None where there was no node to end.
    """

    def __init__(self, why: str, outcome: Outcome | None = None) -> None:
        super().__init__(why)
        self.outcome = outcome


class NodeStopped(NodeEnded):
    """The node ended in a way that another attempt would not change; Airflow does not retry it."""


class NodeFailed(NodeEnded):
    """The node failed in a way that another attempt may not; Airflow retries it with a growing delay."""


class RetryWhatMayChange(RetryPolicy):
    """Ends what another attempt would not change, and leaves the rest to the task's retries."""

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """See base class."""
        if isinstance(exception, NodeStopped):
            return RetryDecision.fail("another attempt would not change it")
        return RetryDecision.default()


def conclude(result: NodeResult, log: Any) -> dict[str, Any]:
    """Tells a person how the node ended, and Airflow by returning or raising.

    Returns:
      What later tasks and Airflow's UI may know of it: outcome, message, MLMD run and execution.

    Raises:
      NodeStopped: if it ended badly for good.
      NodeFailed: if another attempt may end well.
    """
    tell = log.info if result.successful else log.error
    worked = f", of which its executor worked {result.extra[EXECUTOR_SECONDS]} s" if EXECUTOR_SECONDS in result.extra else ""
    tell("%s: %s after %.1f s%s", result.node, result.outcome.value, result.seconds, worked)
    for line in result.message.splitlines():
        tell("%s", line)
    for key, references in result.outputs.items():
        for reference in references:
            log.info("%s: artifact %d, %s, at %s", key, reference.id, reference.digest, reference.uri)
    if not result.successful:
        headline = f"{result.node}: {result.outcome.value}: {result.message.splitlines()[0] if result.message else 'no reason given'}"
        raise NodeFailed(headline, result.outcome) if result.retried else NodeStopped(headline, result.outcome)
    return {"outcome": result.outcome.value, "message": result.message, "run": result.run, "execution": result.execution}
