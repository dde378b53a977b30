"""The installation -> a DAG of its own whose one task has `waybill doctor` look, once a day, and is red when it finds a disagreement."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable

from waybill.orchestration.notice import Notice
from waybill.orchestration.outcome import NodeFailed
from waybill.orchestration.process import LOGIN, MAX_LOG_LINE, ColdCommand, child_environment, lent, pasteable
from waybill.records import settings

DAG_ID, TASK_ID = "waybill_doctor", "doctor"
_SAYS = """\
### waybill_doctor

Compares what MLMD, Airflow, the release store, the Serving base path and the leases say, and changes nothing. Red when they disagree: the
log has each disagreement with its cause and what would mend it. What is only under way is gone when it looks again, so it is retried."""


class DoctorOperator(BaseOperator):
    """Runs `waybill doctor` in TFX's Python, with what it says in the task's log."""

    _command: ColdCommand | None = None

    def execute(self, context: Any) -> None:
        """Has the doctor look.

        Raises:
          NodeFailed: if it finds a disagreement, or cannot look; with its last line.
        """
        python, environment = settings.load().tfx_python, child_environment(os.environ)
        words = [str(python), "-m", "waybill.cli.main", "doctor"]
        if not python.is_file():
            raise NodeFailed(f"TFX's Python is not at {python}; install it with `make up`, or say where it is in WAYBILL_TFX_PYTHON")
        self.log.info("%s", pasteable(words, environment))
        self._command = command = ColdCommand(words, {**environment, **lent(os.environ, LOGIN)})
        said = ""
        for raw in command.output:
            if line := raw.decode(errors="replace").rstrip():
                said = line[:MAX_LOG_LINE]
                self.log.info("%s", said)
        if status := command.wait().status:
            raise NodeFailed(f"doctor: {said or 'it said nothing'} (status {status}); the log has each finding with what would mend it")

    def on_kill(self) -> None:
        """Kills the command; Airflow itself would be killed for waiting."""
        if self._command is not None:
            self._command.kill()


def build_doctor_dag() -> DAG:
    """The DAG, which is not paused when Airflow first sees it."""
    where = settings.load()
    with DAG(
        dag_id=DAG_ID,
        description="Whether MLMD, Airflow, the releases, what is served and what runs agree",
        doc_md=_SAYS,
        schedule=CronTriggerTimetable(where.doctor_schedule, timezone="UTC"),
        catchup=False,  # and no start date: the first look is at the next hour that the schedule names
        is_paused_upon_creation=False,
        max_active_runs=1,
        default_args={
            "retries": 1,
            "retry_delay": dt.timedelta(seconds=where.retry_seconds),
            "execution_timeout": dt.timedelta(hours=1),
            "on_failure_callback": [Notice()],
        },
        tags={"waybill"},
    ) as dag:
        DoctorOperator(task_id=TASK_ID, doc_md="Looks, and changes nothing")
    return dag
