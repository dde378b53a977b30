"""A node that trains -> a Kubernetes Indexed Job with a pod for each process of the training.

All pods run the command that the node would run on this machine. Each knows its number from Kubernetes and the others' addresses from its
environment: the first runs the node, the others wait until its training begins (`waybill/training/pods.py`). What is the same for all Jobs,
the Service that gives pods their names and the policy that keeps others away from them, is in deploy/kubernetes/training.yaml.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from waybill.records.settings import Kubernetes, Settings

SERVICE = "waybill-training"
PORT = 2222
LABEL = {"app.kubernetes.io/name": "waybill", "app.kubernetes.io/component": "training"}
_MAX_NAME = 52  # a pod's name is the Job's with its number behind, and may have 63 characters
_GRACE = 120  # seconds that a training has to save its state
_KEPT = 7 * 24 * 3600  # seconds that a finished Job can be looked at


def job_name(run: str, node: str, ticket: str, attempt: int) -> str:
    """A name for the Job of an attempt, the same whenever it is asked for, and no other attempt's."""
    told = re.sub(r"[^a-z0-9]+", "-", f"{node}-{run}".lower()).strip("-")[: _MAX_NAME - 12].rstrip("-")
    return f"{told}-{hashlib.sha256(f'{run} {node} {ticket} {attempt}'.encode()).hexdigest()[:10]}"


def manifest(name: str, words: Sequence[str], processes: int, settings: Settings) -> dict[str, Any]:
    """The Job, as Kubernetes' API takes it (batch/v1).

    Args:
      name: The Job's name.
      words: The launcher's command, without the interpreter.
      processes: How many pods; the processes of the training, or 1.
      settings: Where things are; `kubernetes` must be set.

    Raises:
      ValueError: if no cluster is set.
    """
    cluster = settings.kubernetes
    if cluster is None:
        raise ValueError("WAYBILL_KUBERNETES_IMAGE is not set")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": cluster.namespace, "labels": LABEL},
        "spec": {
            "completionMode": "Indexed",
            "completions": processes,
            "parallelism": processes,
            "backoffLimit": 0,  # the end of one is the end of all
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": _KEPT,
            "template": _pod(name, words, processes, settings, cluster),
        },
    }


def _pod(name: str, words: Sequence[str], processes: int, settings: Settings, cluster: Kubernetes) -> dict[str, Any]:
    """The template of the Job's pods."""
    return {
        "metadata": {"labels": LABEL},
        "spec": {
            "restartPolicy": "Never",  # Airflow decides on another attempt
            "subdomain": SERVICE,
            "terminationGracePeriodSeconds": _GRACE,
            "automountServiceAccountToken": False,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [_container(name, words, processes, settings, cluster)],
            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": cluster.claim}}, {"name": "temporary", "emptyDir": {}}],
        },
    }


def _container(name: str, words: Sequence[str], processes: int, settings: Settings, cluster: Kubernetes) -> dict[str, Any]:
    """The one process of a pod: the launcher's command, and what it has to know of the others."""
    peers = ",".join(f"{name}-{index}.{SERVICE}:{PORT}" for index in range(processes))
    resources: dict[str, str] = {"cpu": cluster.cpu, "memory": cluster.memory}
    if cluster.gpus:
        resources["nvidia.com/gpu"] = str(cluster.gpus)
    home = str(settings.home)
    environment = {"WAYBILL_HOME": home, "WAYBILL_TRAINING_JOB": name, "WAYBILL_TRAINING_PEERS": peers, "HOME": "/tmp", "TMPDIR": "/tmp"}
    return {
        "name": "process",
        "image": cluster.image,
        "command": [str(settings.tfx_python), "-m", "waybill.cli.main", *words],
        "env": [
            *({"name": key, "value": value} for key, value in environment.items()),
            {"name": "WAYBILL_STORE_URL", "valueFrom": {"secretKeyRef": {"name": cluster.secret, "key": "url"}}},
        ],
        "ports": [{"name": "tensorflow", "containerPort": PORT, "protocol": "TCP"}],
        "resources": {"requests": resources, "limits": resources},
        "volumeMounts": [{"name": "home", "mountPath": home}, {"name": "temporary", "mountPath": "/tmp"}],
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }
