"""The pods of a training's Job -> their lines while they write them, and the result that the first of them ends with."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import tenacity
import urllib3
from airflow.providers.cncf.kubernetes.kubernetes_helper_functions import generic_api_retry
from kubernetes.client import ApiException, V1Job, V1Pod

from waybill.orchestration.process import Ending, judge, read, shown
from waybill.records.node import NodeResult

_INDEX = "batch.kubernetes.io/job-completion-index"
_LOOK_EVERY = 2.0  # seconds
_REST = 150.0  # seconds in which what the pods wrote last must have come; they have 120 to save their state
_SIGNALS = 128  # a container that a signal ended has this and the signal's number as its status


class PodWatch:
    """Watches one Job of a training.

    Args:
      hook: Airflow's, with the cluster's clients.
      job: The Job as it was sent.
      node: Id of the node that its first pod runs.
      tell: Takes each line of the log.
    """

    def __init__(self, hook: Any, job: V1Job, node: str, tell: Callable[[str], None]):
        self._hook, self._node, self._tell = hook, node, tell
        self._name, self._namespace, self._alone = job.metadata.name, job.metadata.namespace, job.spec.completions == 1
        self._lines: queue.Queue[tuple[int, str]] = queue.Queue()
        self._followers: dict[int, threading.Thread] = {}
        self._pods: dict[int, V1Pod] = {}
        self._waits: dict[int, str] = {}
        self._result: NodeResult | None = None
        self._problem = ""

    def run(self) -> NodeResult:
        """Tells what the pods write until the Job is over; returns how the node ended."""
        while not (over := _over(_status(self._hook, self._namespace, self._name))):
            self._look()
            self._pause(_LOOK_EVERY)
        self._look()
        deadline = time.monotonic() + _REST
        while any(thread.is_alive() for thread in self._followers.values()) and time.monotonic() < deadline:
            self._pause(0.1)
        self._drain()
        for index in (i for i, thread in self._followers.items() if thread.is_alive()):
            self._tell(f"[{index}] the rest of what it wrote did not come; kubectl logs has it")
        self._look()
        return judge(self._node, _ending(self._pods.get(0), over, self._name), self._result, self._problem)

    def _look(self) -> None:
        """Looks which pods are there by now and what holds them up; what each of them writes is followed from the first look on."""
        for pod in _listed(self._hook.core_v1_client, self._namespace, self._name):
            index = int(pod.metadata.annotations[_INDEX])
            self._pods[index] = pod  # that of a Job that failed is deleted soon
            if index not in self._followers:
                thread = threading.Thread(target=self._follow, args=(index, pod.metadata.name), name=f"pod-{index}", daemon=True)
                self._followers[index] = thread
                thread.start()
            if (waits := _waits_for(pod)) != self._waits.get(index, ""):
                self._waits[index] = waits
                self._tell(f"[{index}] {waits or 'is on its machine'}")

    def _pause(self, seconds: float) -> None:
        """Tells what comes in that time."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                self._take(*self._lines.get(timeout=left))
            except queue.Empty:
                return

    def _drain(self) -> None:
        while not self._lines.empty():
            self._take(*self._lines.get())

    def _take(self, index: int, line: str) -> None:
        """Tells a line under its pod's number; the first pod's result is kept instead."""
        told = "" if self._alone else f"[{index}] "
        result, problem = read([line], lambda shortened: self._tell(f"{told}{shortened}"))
        if index == 0:
            self._result, self._problem = result or self._result, problem or self._problem

    def _follow(self, index: int, pod: str) -> None:
        """Puts a pod's lines, each once, into the queue until the pod is over; a connection that ends early is made again."""
        told = 0
        while True:
            try:
                over = self._hook.core_v1_client.read_namespaced_pod(pod, self._namespace).status.phase in ("Succeeded", "Failed")
                for number, line in enumerate(_log(self._hook.core_v1_client, pod, self._namespace)):
                    if number >= told:
                        told = number + 1
                        self._lines.put((index, line))
            except ApiException as error:
                if error.status == 404:
                    return
                over = False  # it has not begun to write, or the cluster is busy
            except urllib3.exceptions.HTTPError:
                over = False
            if over:
                return
            time.sleep(_LOOK_EVERY)


@dataclasses.dataclass(frozen=True)
class _Over:
    """How a Job ended."""

    failed: bool
    why: str


def _over(job: V1Job) -> _Over | None:
    """How a Job ended, or None while it runs."""
    for condition in (job.status and job.status.conditions) or ():
        if condition.type in ("Complete", "Failed") and condition.status == "True":
            return _Over(condition.type == "Failed", ": ".join(part for part in (condition.reason, condition.message) if part))
    return None


def _ending(pod: V1Pod | None, over: _Over, job: str) -> Ending:
    """How the first pod's process ended; where Kubernetes does not say, how the Job did."""
    told = f"job {job} {'failed' if over.failed else 'ended'}{f' ({over.why})' if over.why else ''}"
    statuses = (pod and pod.status and pod.status.container_statuses) or ()
    ended = next((status.state.terminated for status in statuses if status.state and status.state.terminated), None)
    if ended is None:
        why = pod.status.message or pod.status.reason if pod else "it is gone"
        return Ending(1, f"{told}, and its first pod did not end by itself{f': {why}' if why else ''}")
    if ended.reason == "OOMKilled":
        return Ending(ended.exit_code, f"{told}: its first pod ran out of memory; raise WAYBILL_KUBERNETES_MEMORY")
    return Ending(_SIGNALS - ended.exit_code if ended.exit_code > _SIGNALS else ended.exit_code)


def _waits_for(pod: V1Pod) -> str:
    """Why a pod does not run yet, in Kubernetes' words; empty when it does, or nothing is known."""
    if pod.status.phase != "Pending":
        return ""
    for condition in pod.status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return f"waits for a machine: {condition.message}"
    for status in pod.status.container_statuses or ():
        if status.state and status.state.waiting and status.state.waiting.reason not in (None, "ContainerCreating"):
            return f"cannot start: {status.state.waiting.reason}: {status.state.waiting.message}"
    return ""


_patient = tenacity.retry(  # the provider is patient with a cluster that says that it is busy, and not with one that says nothing
    retry=tenacity.retry_if_exception_type(urllib3.exceptions.HTTPError),
    wait=tenacity.wait_exponential(max=30),
    stop=tenacity.stop_after_delay(300),
    reraise=True,
)


@_patient
def _status(hook: Any, namespace: str, job: str) -> V1Job:
    return hook.get_job_status(job, namespace)


@_patient
@generic_api_retry
def _listed(core: Any, namespace: str, job: str) -> list[V1Pod]:
    return list(core.list_namespaced_pod(namespace, label_selector=f"job-name={job}").items)


def _log(core: Any, pod: str, namespace: str) -> Iterator[str]:
    """A pod's lines from its first on, as they come, until it is over or the connection ends."""
    answer = core.read_namespaced_pod_log(pod, namespace, follow=True, _preload_content=False)
    rest = b""
    with answer:
        for chunk in answer.stream(amt=None):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from map(shown, whole)
    if rest:
        yield shown(rest)
