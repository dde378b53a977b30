"""The task that decides whether a release is served; where that needs another person, Airflow asks for one, and the task waits for them.

The task itself asks, and no task before it: a task that is marked as success has decided nothing. It waits as `awaiting_input`, without a
process, a slot or a place in a pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset, AssetAlias

from waybill.orchestration import approval, asking
from waybill.orchestration.approval import PATIENCE, Answer
from waybill.orchestration.notice import HELD, Notice
from waybill.orchestration.operator import NodeOperator, node_words
from waybill.orchestration.outcome import conclude
from waybill.records.node import NodeResult

_PROMOTED, _ASKED = "promoted", "asked"


class PromoterOperator(NodeOperator):
    """Decides whether a release is served. A promotion is an asset event, for whoever waits for one; a hold is none.

    Args:
      asset: Name of the asset: the model as it is served.
    """

    def __init__(self, *, asset: str, **kwargs: Any):
        super().__init__(outlets=[AssetAlias(asset)], **kwargs)
        self.asset = asset

    def execute(self, context: Any) -> dict[str, Any]:
        """Runs the node; if another person has to agree, asks for one in Airflow and gives its slot back."""
        result = self.launch(node_words(self, context))
        if promotion(result).get("outcome") == _ASKED:
            conclude(result, self.log)
            result = self._answer(context, promotion(result)["version"])
        return self._end(context, result)

    def answered(self, context: Any, version: str, number: int, event: Mapping[str, Any]) -> dict[str, Any]:
        """Goes on when somebody has answered, or nobody has in time.

        Args:
          context: The task's context.
          version: The release that was asked about.
          number: The request's number in the journal.
          event: Airflow's record of the answer: what was chosen, and which user was logged in.
        """
        answer = Answer.of(event)
        if answer is None:
            self.log.error("nobody answered within %s; the request stays open on the command line", PATIENCE)
            return self._end(context, self._answer(context, version), over=True)
        if not answer.who:
            raise self.stopped("Airflow does not say who answered, so that nothing was decided; clear the task to ask again")
        return self._end(context, self._answer(context, version, f"--number={number}", *answer.words()))

    def _answer(self, context: Any, version: str, *words: str) -> NodeResult:
        """Passes on what somebody answered, or without words looks what has become of the request."""
        dag_run = context["dag_run"]
        triggered_by = dag_run.triggering_user_name or ""
        run = [f"--node={self.task_id}", f"--asked-by={asking.name(dag_run)}", f"--triggered-by={triggered_by}"]
        return self.launch(["answer", dag_run.dag_id, str(version), *run, *words], names_people=True)

    def _end(self, context: Any, result: NodeResult, *, over: bool = False) -> dict[str, Any]:
        """Tells Airflow and people what was decided; waits where that is still open, unless waiting is over."""
        told, decided = conclude(result, self.log), promotion(result)
        outcome, says = decided.get("outcome", ""), str(decided.get("says", ""))
        if outcome == _ASKED and not over:
            asked = result.extra["approval"]
            approval.ask(context, asked, says, {"version": decided["version"], "number": asked["number"]})
        if outcome == _PROMOTED:
            served = Asset(name=self.asset, uri=f"waybill://{self.asset}")
            context["outlet_events"][AssetAlias(self.asset)].add(served, extra={"version": decided["version"]})
        elif outcome in (HELD, _ASKED):
            Notice(HELD, says)(context)
            outcome = HELD
        return {**told, "promotion": outcome}


def promotion(result: NodeResult) -> dict[str, Any]:
    """What a promoter's result says of its decision; empty when it came to none."""
    return dict(result.extra.get("promotion", {}))
