"""What Airflow asks of a cluster's API, answered by this process on loopback: the pods of a Job are processes of this machine.

No cluster runs where the tests run. It stands in for as much of one as a training's Job needs: it refuses what the published schema does
not allow, names pods as an Indexed Job does, runs their commands with their environment, ends all when one fails, and deletes those that
were still running then. It does not resolve the pods' names, look at images, or keep anything.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import kubernetes_validate

PENDING = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes have 8Gi"}]}


@dataclasses.dataclass
class Pod:
    """One pod: a process whose output is a file."""

    name: str
    index: int
    job: str
    template: dict[str, Any]
    log: pathlib.Path
    process: subprocess.Popen[bytes] | None = None
    deleted: bool = False

    def start(self) -> None:
        """Runs the container's command."""
        [container] = self.template["spec"]["containers"]
        environment = {entry["name"]: entry.get("value", "") for entry in container["env"]}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                container["command"], env={**os.environ, **environ_of(environment), "JOB_COMPLETION_INDEX": str(self.index)},
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def status(self) -> int | None:
        """Its exit status as a container has it; None while it runs or has not begun."""
        ended = self.process.poll() if self.process else None
        return ended if ended is None or ended >= 0 else 128 - ended

    def end(self) -> None:
        """Ends its process, as a deleted pod's after its grace."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def to_json(self) -> dict[str, Any]:
        """The pod as the API shows it."""
        status: dict[str, Any] = PENDING
        if self.process:
            ended = self.status
            state = {"running": {}} if ended is None else {"terminated": {"exitCode": ended, "reason": "Error" if ended else "Completed"}}
            phase = "Running" if ended is None else "Failed" if ended else "Succeeded"
            container = {"name": "process", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
            status = {"phase": phase, "containerStatuses": [container]}
        metadata = {
            "name": self.name,
            "labels": {**self.template["metadata"]["labels"], "job-name": self.job},
            "annotations": {"batch.kubernetes.io/job-completion-index": str(self.index)},
        }
        return {"metadata": metadata, "spec": self.template["spec"], "status": status}


def environ_of(environment: dict[str, str]) -> dict[str, str]:
    """What a pod is told, but for what names places in its own file system."""
    return {name: value for name, value in environment.items() if name not in ("HOME", "TMPDIR", "WAYBILL_STORE_URL")}


class Cluster:
    """One namespace of a cluster.

    Attributes:
      jobs: What was sent, by name.
      drops: How many lines of a log are sent before its connection is dropped, one after the other; then whole logs.
      busy: How many of the next requests are answered with 503.
      away: How many of the next requests are not answered at all.
      room: Whether pods find a machine.
    """

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, Pod] = {}
        self.drops: list[int] = []
        self.busy = 0
        self.away = 0
        self.room = True
        self.lock = threading.Lock()

    @property
    def processes(self) -> list[int]:
        return [pod.process.pid for pod in self.pods.values() if pod.process]

    def create(self, job: dict[str, Any]) -> dict[str, Any]:
        kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
        name, spec = job["metadata"]["name"], job["spec"]
        assert spec["completionMode"] == "Indexed" and spec["parallelism"] == spec["completions"]
        self.jobs[name] = job
        for index in range(spec["completions"]):
            self.pods[f"{name}-{index}-x7k2p"] = Pod(f"{name}-{index}-x7k2p", index, name, spec["template"], self.folder / f"{index}.log")
        return job

    def look(self) -> None:
        """What a cluster's controllers do between two requests."""
        for pod in self.pods.values():
            if self.room and not pod.process:
                pod.start()
        if any(pod.status for pod in self.pods.values()):  # the end of one is the end of all
            for pod in self.pods.values():
                if pod.status is None:
                    pod.deleted = True
                    pod.end()

    def status(self, name: str) -> dict[str, Any]:
        statuses = [pod.status for pod in self.pods.values()]
        if any(statuses):
            told = {
                "type": "Failed",
                "status": "True",
                "reason": "BackoffLimitExceeded",
                "message": "too many pods failed",
            }
        elif all(status == 0 for status in statuses):
            told = {"type": "Complete", "status": "True"}
        else:
            told = {"type": "Complete", "status": "False"}
        return {**self.jobs[name], "status": {"conditions": [told]}}

    def delete(self) -> dict[str, Any]:
        for pod in self.pods.values():
            pod.deleted = True
            pod.end()
        return {"kind": "Status", "status": "Success", "metadata": {}}


class Api(http.server.BaseHTTPRequestHandler):
    """One request to a cluster."""

    cluster: Cluster
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        with self.cluster.lock:
            self._answer(201, self.cluster.create(json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.cluster.lock:
            self._answer(200, self.cluster.delete())

    def do_GET(self) -> None:
        if found := re.fullmatch(r"/api/v1/namespaces/training/pods/([^/]+)/log", urllib.parse.urlsplit(self.path).path):
            self._send_log(self.cluster.pods[found[1]])
            return
        with self.cluster.lock:
            if self.cluster.away:
                self.cluster.away -= 1
                self.close_connection = True
                return
            if self.cluster.busy:
                self.cluster.busy -= 1
                self._answer(503, {"kind": "Status", "status": "Failure", "message": "the server is busy"})
                return
            self.cluster.look()
            self._answer(*self._shown())

    def _shown(self) -> tuple[int, dict[str, Any]]:
        """A Job, the pods of a Job, or one pod."""
        url = urllib.parse.urlsplit(self.path)
        if found := re.fullmatch(r"/apis/batch/v1/namespaces/training/jobs/([^/]+)/status", url.path):
            return 200, self.cluster.status(found[1])
        if url.path == "/api/v1/namespaces/training/pods":
            [selector] = urllib.parse.parse_qs(url.query)["labelSelector"]
            there = [pod for pod in self.cluster.pods.values() if not pod.deleted and f"job-name={pod.job}" == selector]
            return 200, {"kind": "PodList", "metadata": {}, "items": [pod.to_json() for pod in there]}
        found = re.fullmatch(r"/api/v1/namespaces/training/pods/([^/]+)", url.path)
        assert found, f"nobody should ask for {self.path}"
        pod = self.cluster.pods[found[1]]
        return (404, {"kind": "Status"}) if pod.deleted else (200, pod.to_json())

    def _send_log(self, pod: Pod) -> None:
        """Sends what a pod has written and writes, until it has ended, or the connection is to be dropped."""
        if not pod.process:
            self._answer(400, {"kind": "Status", "message": "the container is waiting to start"})
            return
        drop = self.cluster.drops.pop(0) if self.cluster.drops else None
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for sent, line in enumerate(_written(pod)):
            if sent == drop:
                self.close_connection = True  # in the midst of it: no last chunk
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _written(pod: Pod) -> Iterator[bytes]:
    """A pod's lines, as it writes them, until it has ended."""
    with pod.log.open("rb") as lines:
        while True:
            ended = pod.status is not None
            yield from iter(lines.readline, b"")
            if ended:
                return
            time.sleep(0.05)


@contextlib.contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    """Answers for a cluster; yields a kubeconfig, as Airflow's connection takes it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Api,), {"cluster": cluster}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "k", "cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "training"}}],
        })  # fmt: skip
    finally:
        for pod in cluster.pods.values():
            pod.end()
        server.shutdown()
        thread.join()
        server.server_close()
