"""The task of a node that trains, where trainings run on Kubernetes. Imported only there: it needs Airflow's provider for it."""

from __future__ import annotations

import json
from typing import Any

from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator
from kubernetes.client import ApiClient, V1Job

from waybill.orchestration import asking
from waybill.orchestration.operator import PROCESSES, RUN, node_words
from waybill.orchestration.outcome import NodeStopped, RetryWhatMayChange, conclude
from waybill.orchestration.training_job import job_name, manifest
from waybill.orchestration.training_pods import PodWatch
from waybill.records import settings


class TrainingJobOperator(KubernetesJobOperator):
    """Runs the node that the task is named after as an Indexed Job, with a pod for each process of its training.

    The provider sends the Job and deletes it when the task is killed. What the pods write is in the task's log while they write it, and
    the task ends as the node did, by what the first pod says of it.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**{"get_logs": False, "retry_policy": RetryWhatMayChange(), **kwargs})

    def execute(self, context: Any) -> dict[str, Any]:
        """Renders the Job for the run that `run_spec` froze, sends it, and watches its pods to their end."""
        ti = context["ti"]
        where = settings.load()
        processes = ti.xcom_pull(task_ids="run_spec", key=PROCESSES)
        run = ti.xcom_pull(task_ids="run_spec", key=RUN)
        if not processes or not run:
            raise NodeStopped("run_spec left no word on how many processes train; clear run_spec so that it freezes the run anew")
        name = job_name(run, self.task_id, asking.ticket(context["dag_run"]), ti.try_number)
        self.full_job_spec = model(manifest(name, node_words(self, context), processes, where))
        self.namespace = self.full_job_spec.metadata.namespace
        self.log.info("job %s in namespace %s: %d pods of %s", name, self.namespace, processes, where.kubernetes and where.kubernetes.image)
        super().execute(context)
        try:
            result = PodWatch(self.hook, self.job, self.task_id, self.log.info).run()
        except BaseException:
            self.on_kill()  # nobody watches it any more, and another attempt has a Job of its own
            raise
        told = conclude(result, self.log)
        ti.xcom_push(key="return_value", value=told)  # Airflow leaves what this operator returns only when a second container wrote it
        return told

    def build_job_request_obj(self, context: Any = None) -> V1Job:
        """The Job as it was rendered. The provider would give it another name; by this one its pods find each other."""
        return self.full_job_spec


def model(job: dict[str, Any]) -> V1Job:
    """A manifest as the object that Airflow's provider takes."""

    class _Answer:
        """What `deserialize` wants of an answer of the API."""

        def __init__(self, body: str):
            self.data = body

    found: V1Job = ApiClient().deserialize(_Answer(json.dumps(job)), "V1Job")
    return found
