"""A form -> a DAG whose one task asks for a waiver as whoever filled the form in, and waits for somebody else to approve it.

The task does what `waybill waive request` and `waybill waive approve` do. Who asked and who approved are Airflow's users, as Airflow
authenticated them. It is green when the waiver holds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG, Param

from waybill.orchestration import approval, asking
from waybill.orchestration.approval import PATIENCE, Answer
from waybill.orchestration.notice import Notice
from waybill.orchestration.operator import LauncherOperator
from waybill.orchestration.outcome import conclude
from waybill.records import settings
from waybill.records.graph import Graph
from waybill.records.node import NodeResult

DAG_ID, TASK_ID = "waybill_waiver", "waiver"
_ASKED = "asked"
_SAYS = """\
### waybill_waiver

Asks that one rule of a gate that has said BLOCKED be let pass, in one interval. Whoever fills in the form asks; another user approves or
rejects it on the run's page, *Required Actions*, or at *Required Actions* in the menu. Green: it is approved; then clear the gate with
everything downstream. Red: it was refused, or nobody answered; the log says why."""


class WaiverOperator(LauncherOperator):
    """Records the request of the user who triggered the run, asks for another one, and records their answer."""

    def execute(self, context: Any) -> dict[str, Any]:
        """Asks, unless this run did so before; waits where the waiver still needs another person.

        Raises:
          NodeStopped: if Airflow does not say who asks, or the waiver may not be.
        """
        dag_run, form = context["dag_run"], {name: value for name, value in dict(context["params"]).items() if value is not None}
        if not dag_run.triggering_user_name:
            raise self.stopped("Airflow does not say who triggered this run, so that nobody asks; trigger it from Airflow's UI or API")
        flags = [f"--{name.replace('_', '-')}" for name in ("every_subject", "rebaseline") if form.pop(name, False)]
        pipeline = str(form.pop("pipeline"))
        words = [f"--{name}={value}" for name, value in sorted(form.items())]  # a text may begin with a dash
        who = [f"--who={dag_run.triggering_user_name}", f"--asked-in={asking.name(dag_run)}", f"--node={self.task_id}"]
        if pipeline.startswith("-"):
            raise self.stopped(f"pipeline is {pipeline!r}; expected the name of one")
        result = self.launch(["ask-waiver", pipeline, *words, *flags, *who], names_people=True)
        return self._end(context, pipeline, result)

    def answered(self, context: Any, pipeline: str, number: int, event: Mapping[str, Any]) -> dict[str, Any]:
        """Goes on when somebody has answered, or nobody has in time.

        Args:
          context: The task's context.
          pipeline: Whose waiver it is.
          number: Its number.
          event: Airflow's record of the answer: what was chosen, and which user was logged in.
        """
        answer = Answer.of(event)
        if answer is None:
            on = f"clear the task to ask again, or use the command line: waybill waive approve {pipeline} {number}"
            raise self.stopped(f"nobody answered within {PATIENCE}; {on}")
        if not answer.who:
            raise self.stopped("Airflow does not say who answered, so that nothing was recorded; clear the task to ask again")
        words = ["answer-waiver", pipeline, str(number), f"--node={self.task_id}", *answer.words()]
        return self._end(context, pipeline, self.launch(words, names_people=True))

    def _end(self, context: Any, pipeline: str, result: NodeResult) -> dict[str, Any]:
        told, waiver = conclude(result, self.log), result.extra["waiver"]
        if waiver["state"] == _ASKED:
            resume = {"pipeline": pipeline, "number": waiver["number"]}
            approval.ask(context, result.extra["approval"], waiver["says"], resume)
        return {**told, "waiver": waiver["number"], "state": waiver["state"]}


def build_waiver_dag() -> DAG:
    """The DAG, which nobody schedules and which is not paused when Airflow first sees it."""
    graphs = [Graph.load(path) for path in sorted((settings.PROJECT / "pipelines").glob("*/graph.json"))]
    with DAG(
        dag_id=DAG_ID,
        description="Ask that a gate let a rule pass in one interval; another user approves",
        doc_md=_SAYS,
        schedule=None,
        catchup=False,
        is_paused_upon_creation=False,
        params=_form([graph.settings.name for graph in graphs], sorted({node.id for graph in graphs for node in graph.nodes if node.gate})),
        default_args={
            "retries": 2,
            "retry_delay": dt.timedelta(seconds=settings.load().retry_seconds),
            "execution_timeout": dt.timedelta(hours=1),
            "on_failure_callback": [Notice()],
        },
        tags={"waybill"},
    ) as dag:
        WaiverOperator(task_id=TASK_ID, doc_md="Asks, waits for another user without a slot, and records the answer")
    return dag


def _form(pipelines: list[str], gates: list[str]) -> dict[str, Param]:
    """What `waybill waive request` takes. A field without a default has to be filled in."""
    text = {"type": "string", "minLength": 1}
    perhaps: dict[str, Any] = {"type": ["null", "string"]}
    return {
        "pipeline": Param(**text, title="Pipeline", examples=pipelines, description="Whose gate it is"),
        "interval": Param(**text, title="Interval", description="Start of the one data interval, such as 2016-01-01"),
        "gate": Param(None, **perhaps, title="Gate", examples=gates, description="The gate that has said BLOCKED"),
        "rule": Param(None, **perhaps, title="Rule", description="Exact name of the rule as the verdict has it, such as volume.rows"),
        "subject": Param(
            None, **perhaps, title="Subject", description="Exact subject as the verdict has it; needed when the rule blocks on several"
        ),
        "every_subject": Param(
            False, type="boolean", title="Every subject", description="All subjects that the rule blocks on, as many as the policy allows"
        ),
        "rebaseline": Param(
            False,
            type="boolean",
            title="Set the baseline aside",
            description="Instead of a rule: the model is compared with no older release, because its label or signature is another. "
            "Leave gate, rule and subject empty",
        ),
        "until": Param(**text, format="date", title="Until", description="The first day on which it holds no more, in UTC"),
        "why": Param(**text, maxLength=500, title="Why", description="Why it is all right, in one line, for the record"),
    }
