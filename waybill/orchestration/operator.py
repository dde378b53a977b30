"""A node's id -> an Airflow task that runs it through the launcher. Nothing is declared at parse time but names."""

from __future__ import annotations

import dataclasses
import datetime as dt
import os
from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowRuntimeError

from waybill.orchestration import asking
from waybill.orchestration.outcome import NodeFailed, NodeStopped, RetryWhatMayChange, conclude
from waybill.orchestration.process import KEY, ColdCommand, Command, NodeProcess, child_environment, lent, pasteable
from waybill.orchestration.warm import NoHost, WarmCommand
from waybill.records import settings
from waybill.records.errors import RecordError
from waybill.records.node import RUN_SPEC, WAITS_FOR, NodeResult, Outcome

ASK_AGAIN = dt.timedelta(seconds=60)  # between two looks for data that have not landed; each is a process of about a second
LOOK_AGAIN = dt.timedelta(seconds=5)  # between two looks for older runs
SPEC, RUN, PROCESSES = "spec", "run", "processes"  # what run_spec leaves for the other tasks, beside the window it returns
VERDICT = "verdict"  # what a gate leaves, beside what it returns: id, folder and digest of its verdict


class LauncherOperator(BaseOperator):
    """A task that runs one command of the launcher in TFX's Python: forked from the warm host where there is one, else by itself."""

    _process: NodeProcess | None = None
    _stopped = False

    def __init__(self, **kwargs: Any):
        super().__init__(**{"retry_policy": RetryWhatMayChange(), **kwargs})

    def launch(self, words: Sequence[str], *, names_people: bool = False) -> NodeResult:
        """Runs the command with its output in the task's log, until it ends or the task is killed.

        Args:
          words: The command.
          names_people: Whether it says what users did who are logged in to Airflow; then it is given what shows that Airflow says so.

        Raises:
          NodeStopped: if TFX's Python is not where the settings say.
        """
        where = settings.load()
        python = where.tfx_python
        if not python.is_file():
            raise self.stopped(f"TFX's Python is not at {python}; install it with `make up`, or say where it is in WAYBILL_TFX_PYTHON")
        environment = child_environment(os.environ)
        cold = [str(python), "-m", "waybill.cli.main", *words]
        self.log.info("%s", pasteable(cold, environment))
        if names_people:
            environment |= lent(os.environ, KEY)

        def start() -> Command:
            try:
                warm = WarmCommand(where.host_socket, python, words, environment)
            except NoHost as why:
                self.log.info("cold: in an interpreter of its own, since no warm host takes it: %s", why)
                return ColdCommand(cold, environment)
            self.log.info("warm: process %d, forked from host %d", warm.pid, warm.host)
            return warm

        self._process = NodeProcess(self.task_id, start, lambda line: self.log.info("%s", line))
        if self._stopped:  # killed while the process was being prepared
            self._process.kill()
        return self._process.run()

    def stopped(self, why: str) -> NodeStopped:
        """The end of a task that cannot begin, told in its log."""
        self.log.error("%s", why)
        return NodeStopped(why)

    def on_kill(self) -> None:
        """Kills the command's process group and returns; Airflow itself would be killed for waiting."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()


class RunSpecOperator(LauncherOperator):
    """Freezes the run. Returns its window, one item per span, so that the span stage can be mapped over it.

    Args:
      pipeline: Name of the pipeline.
    """

    def __init__(self, *, pipeline: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Any) -> list[dict[str, Any]]:
        """Asks for the run to be frozen; while its data have not landed, gives its slot back and asks again later."""
        try:
            words = asking.asking(context).arguments()
        except RecordError as error:
            raise self.stopped(str(error)) from None
        result = self.launch(["run-spec", self.pipeline, f"--ticket={asking.ticket(context['dag_run'])}", *words], names_people=True)
        if result.outcome is Outcome.NOT_LANDED:
            again = dt.datetime.now(dt.timezone.utc) + ASK_AGAIN
            self.log.info("%s; asking again at %s", result.message, again.isoformat(timespec="seconds"))
            raise AirflowRescheduleException(again)
        conclude(result, self.log)
        window = list(result.extra.get("window", ()))
        if not window or not result.extra.get(SPEC):
            # Airflow skips a stage that is mapped over nothing, and calls the run a success.
            raise NodeFailed(f"{RUN_SPEC} reported no spec or an empty window: {dict(result.extra)}")
        for key in (SPEC, RUN, PROCESSES):
            context["ti"].xcom_push(key=key, value=result.extra.get(key))
        return window


class NodeOperator(LauncherOperator):
    """Runs the node that the task is named after, in the run that `run_spec` froze."""

    def execute(self, context: Any) -> dict[str, Any]:
        """Runs the node; in a mapped stage for the span at the task's position in the window.

        What a gate leaves of its verdict, by which its report is found, is left before the task ends, since it may end red.
        """
        result = self.launch(node_words(self, context))
        for reference in result.outputs.get(VERDICT, ()):
            context["ti"].xcom_push(key=VERDICT, value=dataclasses.asdict(reference))
        return conclude(result, self.log)


class BaselineOperator(NodeOperator):
    """Runs a node that looks at what older intervals' runs made; while one is at work, gives its slot back and looks again later."""

    def execute(self, context: Any) -> dict[str, Any]:
        """Runs the node once no older interval's run that it has to know is at work."""
        words = node_words(self, context)
        result = self.launch(words)
        if result.outcome is Outcome.WAITING:
            waits_for = dict(result.extra.get(WAITS_FOR, {}))
            over = [run for run, asked_by in waits_for.items() if asked_by and not _is_at_work(context["ti"], asked_by)]
            if len(over) == len(waits_for):
                self.log.info("Airflow has ended them without their end on record: %s", ", ".join(over))
                result = self.launch([*words, *(f"--over={run}" for run in over)])
        if result.outcome is Outcome.WAITING:
            again = dt.datetime.now(dt.timezone.utc) + LOOK_AGAIN
            self.log.info("%s; looking again at %s", result.message, again.isoformat(timespec="seconds"))
            raise AirflowRescheduleException(again)
        return conclude(result, self.log)


def _is_at_work(ti: Any, asked_by: str) -> bool:
    """Whether Airflow is running a DAG run; one that is queued may be waiting for the asking one's place."""
    dag_id, _, run_id = asked_by.partition("/")
    try:
        return bool(ti.get_dagrun_state(dag_id, run_id) == "running")  # an enumeration of texts
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == 404:
            return False  # it was deleted
        raise


def node_words(task: BaseOperator, context: Any) -> list[str]:
    """The launcher's command for the node that a task is named after.

    Raises:
      NodeStopped: if `run_spec` left no spec.
    """
    ti = context["ti"]
    spec = ti.xcom_pull(task_ids=RUN_SPEC, key=SPEC)
    if not spec:
        why = f"{RUN_SPEC} left no spec for this run; clear {RUN_SPEC} so that it freezes one"
        task.log.error("%s", why)
        raise NodeStopped(why)
    words = ["node", "run", f"--spec={spec}", f"--node={task.task_id}", f"--attempt={ti.try_number}"]
    if ti.map_index is not None and ti.map_index >= 0:
        words.append(f"--index={ti.map_index}")
    return [*words, f"--ticket={asking.ticket(context['dag_run'])}", f"--asked-by={asking.name(context['dag_run'])}"]
