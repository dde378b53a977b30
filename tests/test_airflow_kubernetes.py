"""A training on Kubernetes: what is sent to the cluster is what its API takes, and what the processes of a training need."""

from __future__ import annotations

import copy
import itertools
import pathlib
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml
from airflow.sdk import DAG
from kubernetes.client import ApiClient

from waybill.orchestration import training_job
from waybill.orchestration.dag_factory import build_dag
from waybill.orchestration.operator import NodeOperator
from waybill.orchestration.training_operator import TrainingJobOperator, model
from waybill.records import settings as settings_lib
from waybill.records.errors import RecordError
from waybill.records.settings import PROJECT, graph_path

CLUSTER = {
    "WAYBILL_HOME": "/srv/waybill",
    "WAYBILL_KUBERNETES_IMAGE": "registry.example.org/waybill@sha256:" + "0" * 64,
    "WAYBILL_KUBERNETES_NAMESPACE": "training",
    "WAYBILL_KUBERNETES_CLAIM": "waybill-home",
}
WORDS = ["node", "run", "--spec=sha256:" + "1" * 64, "--node=trainer", "--attempt=2", "--ticket=scheduled/1"]
SERVICE, POLICY = yaml.safe_load_all((PROJECT / "deploy/kubernetes/training.yaml").read_text())


def valid(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def rendered(processes: int = 3, **more: str) -> dict[str, Any]:
    name = training_job.job_name("taxi.201307010000.g1", "trainer", "scheduled/1", 2)
    return training_job.manifest(name, WORDS, processes, settings_lib.load({**CLUSTER, **more}))


@pytest.mark.parametrize("manifest", [rendered(1), rendered(3), rendered(8, WAYBILL_KUBERNETES_GPUS="4"), SERVICE, POLICY])
def test_what_is_sent_to_the_cluster_is_what_its_published_schema_allows(manifest: dict[str, Any]) -> None:
    valid(manifest)
    broken = copy.deepcopy(manifest)
    broken["spec"]["complettions"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="complettions"):
        valid(broken)


def test_the_job_has_a_pod_for_each_process_and_each_pod_knows_the_others() -> None:
    job = rendered(3)
    assert (job["spec"]["completionMode"], job["spec"]["completions"], job["spec"]["parallelism"]) == ("Indexed", 3, 3)
    pod = job["spec"]["template"]["spec"]
    environment = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    name = job["metadata"]["name"]
    # How Kubernetes names the pods of an Indexed Job whose Service is headless.
    assert environment["WAYBILL_TRAINING_PEERS"].split(",") == [f"{name}-{index}.{pod['subdomain']}:2222" for index in range(3)]
    assert pod["containers"][0]["command"][-len(WORDS) :] == WORDS
    assert environment["WAYBILL_STORE_URL"] is None, "it holds a password, and comes from a Secret"
    told = settings_lib.load({**CLUSTER, **{k: v for k, v in environment.items() if v}, "JOB_COMPLETION_INDEX": "2"})
    assert (told.training_job, len(told.training_peers), told.training_index) == (name, 3, 2)


def test_the_end_of_one_pod_is_the_end_of_all_and_only_airflow_decides_on_another_attempt() -> None:
    job = rendered()
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_the_service_and_the_policy_are_for_the_pods_of_trainings() -> None:
    pod = rendered()["spec"]["template"]
    labels = pod["metadata"]["labels"]
    port = pod["spec"]["containers"][0]["ports"][0]["containerPort"]
    assert SERVICE["metadata"]["name"] == pod["spec"]["subdomain"]
    assert SERVICE["spec"]["clusterIP"] == "None"
    assert SERVICE["spec"]["selector"] == POLICY["spec"]["podSelector"]["matchLabels"] == labels
    [ingress] = POLICY["spec"]["ingress"]
    assert ingress["from"] == [{"podSelector": {"matchLabels": labels}}]
    assert [p["port"] for p in ingress["ports"]] == [p["port"] for p in SERVICE["spec"]["ports"]] == [port]


def test_a_jobs_name_is_one_that_a_host_can_have_and_no_other_attempts() -> None:
    asked = itertools.product(["taxi.201307010000.g1", "a_b." + "9" * 80], ["trainer"], ["t", "../../etc"], [1, 2])
    names = [training_job.job_name(*each) for each in asked]
    assert len(set(names)) == 8
    assert all(re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", f"{name}-63") and len(f"{name}-63") <= 63 for name in names)


def test_airflows_provider_takes_the_job_as_it_is() -> None:
    job = rendered()
    assert ApiClient().sanitize_for_serialization(model(job)) == job


def dag(monkeypatch: pytest.MonkeyPatch, **environment: str) -> DAG:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return build_dag(graph_path("taxi"))


def test_only_what_trains_goes_to_the_cluster_and_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(dag(monkeypatch).get_task("trainer")) is NodeOperator
    tasks = {task.task_id: type(task) for task in dag(monkeypatch, **CLUSTER).tasks}
    assert tasks.pop("trainer") is TrainingJobOperator
    assert TrainingJobOperator not in tasks.values()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CLAIM", "", "PersistentVolumeClaim"),
        ("NAMESPACE", "a b", "name of a namespace"),
        ("CPU", "many", "such as 2 or 500m"),
        ("GPUS", "-1", "GPUs of a pod, 0 or more"),
    ],
)
def test_a_cluster_that_is_half_described_is_refused_with_what_is_missing(name: str, value: str, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        settings_lib.load({**CLUSTER, f"WAYBILL_KUBERNETES_{name}": value})


def test_a_path_of_this_machine_is_the_same_in_the_pods() -> None:
    [container] = rendered()["spec"]["template"]["spec"]["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert pathlib.Path(mounts["home"]) == settings_lib.load(CLUSTER).home
