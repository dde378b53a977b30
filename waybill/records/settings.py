"""Environment variables -> where things are. The only module that reads the environment."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from waybill.records.errors import RecordError

EVENTS = ("blocked", "late", "held", "approval waiting", "failed")
PROJECT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Kubernetes:
    """The cluster that trainings run on.

    Attributes:
      image: An image that holds this project with its environments, at the same path as here (`WAYBILL_KUBERNETES_IMAGE`; where it is not
        set, trainings run on this machine).
      namespace: Where the Job goes (`WAYBILL_KUBERNETES_NAMESPACE`, default `default`).
      claim: PersistentVolumeClaim that all pods and this machine share as Waybill's home (`WAYBILL_KUBERNETES_CLAIM`).
      secret: Secret whose key `url` is the store's URL (`WAYBILL_KUBERNETES_STORE_SECRET`, default `waybill-store`).
      cpu: Processors of a pod (`WAYBILL_KUBERNETES_CPU`, default 2).
      memory: Memory of a pod (`WAYBILL_KUBERNETES_MEMORY`, default 8Gi).
      gpus: GPUs of a pod (`WAYBILL_KUBERNETES_GPUS`, default 0).
    """

    image: str
    namespace: str
    claim: str
    secret: str
    cpu: str
    memory: str
    gpus: int


@dataclasses.dataclass(frozen=True)
class Notifier:
    """One of Airflow's notifiers.

    Attributes:
      path: Its class, such as `airflow.providers.slack.notifications.slack.SlackNotifier`.
      arguments: What it is made with; in texts `<text>`, `<event>`, `<dag>`, `<run>`, `<task>`, `<says>` and `<url>` are filled in.
    """

    path: str
    arguments: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Where an installation keeps its things.

    Attributes:
      home: Everything Waybill writes, unless told otherwise (`WAYBILL_HOME`, default `var/` in the project).
      landing: Folder of landed partitions, one folder per pipeline (`WAYBILL_LANDING`, default `landing/` in home).
      releases: The release store, one folder per model (`WAYBILL_RELEASES`, default `releases/` in home).
      serving: TensorFlow Serving base paths, one folder per model (`WAYBILL_SERVING`, default `serving/` in home).
      store_url: SQLAlchemy URL of the MLMD database (`WAYBILL_STORE_URL`, default SQLite in home).
      tfx_python: The interpreter that runs nodes (`WAYBILL_TFX_PYTHON`, default `.venv/bin/python` in the project).
      catchup: Whether the schedule makes runs for the intervals of the past (`WAYBILL_CATCHUP`, 1 or 0, default 0).
      schedule_end: The schedule makes no run for an interval that begins at or after this date (`WAYBILL_SCHEDULE_END`, ISO 8601, default
        the pipeline's own end).
      node_memory: Bytes of memory that a node may hold before it is killed (`WAYBILL_NODE_MEMORY`, such as 6G or 800M, default 0: as much
        as the machine has).
      node_threads: Threads that a node's libraries may compute with (`WAYBILL_NODE_THREADS`, default 0: as many as there are cores).
      open_workers: Whether the processes of a training may listen on all interfaces of the machine, where its kernel gives them no network
        of their own (`WAYBILL_OPEN_WORKERS`, 1 or 0, default 0).
      training_job: Name of the attempt at a training that this process was started for, together with others (`WAYBILL_TRAINING_JOB`,
        default none: a training starts its processes itself, on this machine).
      training_peers: `host:port` of all of them, this one included (`WAYBILL_TRAINING_PEERS`, with commas between).
      training_index: Which of them this is (`JOB_COMPLETION_INDEX`, which Kubernetes sets, default 0).
      kubernetes: Where a training runs as a Job; None for this machine.
      notify: Of which events people are told: `blocked`, `late`, `held`, `approval waiting`, `failed` (`WAYBILL_NOTIFY`, with commas
        between, default all).
      notifier: Through which of Airflow's notifiers they are told, beside the log (`WAYBILL_NOTIFIER`, a JSON object with `class` and its
        arguments, default none).
      server: REST address of the model server that follows models.config, which is asked before a label moves (`WAYBILL_SERVER`, such as
        http://127.0.0.1:8501, default none: models.config has no labels).
      serve: Whether `waybill up` and `waybill demo` start a model server beside Airflow (`WAYBILL_SERVE`, 1 or 0, default 1).
      retry_seconds: How long Airflow waits before it tries a failed node again; thrice as long before the next time
        (`WAYBILL_RETRY_SECONDS`, default 20).
      doctor_schedule: When Airflow has the doctor look, as a cron expression in UTC (`WAYBILL_DOCTOR_SCHEDULE`, default `0 5 * * *`).
      airflow_users: Further people who can log in to the Airflow of `waybill up`, to trigger runs and answer requests
        (`WAYBILL_AIRFLOW_USERS`, with commas between, default none).
      orchestrator_key: What this process was given to show that it speaks for Airflow's users, the text of the file `key_file`
        (`WAYBILL_ORCHESTRATOR_KEY`, which `waybill up` gives to Airflow; default none).
      airflow: Address of the Airflow that the doctor asks (`WAYBILL_AIRFLOW`, such as https://airflow.example.org, default the one that
        `waybill up` started).
      airflow_login: Who asks it: `name:password`, or a token of its API (`WAYBILL_AIRFLOW_LOGIN`, default what is in
        `airflow_login_file`).
      airflow_login_file: A file of mode 0600 that holds the same (`WAYBILL_AIRFLOW_LOGIN_FILE`, default none).
      faults: Folder by which a proof holds processes still; see `faults` below (`WAYBILL_FAULTS`, default none).
    """

    home: pathlib.Path
    landing: pathlib.Path
    releases: pathlib.Path
    serving: pathlib.Path
    store_url: str
    tfx_python: pathlib.Path
    catchup: bool
    schedule_end: str
    node_memory: int
    node_threads: int
    open_workers: bool
    training_job: str
    training_peers: tuple[str, ...]
    training_index: int
    kubernetes: Kubernetes | None
    notify: frozenset[str]
    notifier: Notifier | None
    server: str
    serve: bool
    retry_seconds: int
    doctor_schedule: str
    airflow_users: tuple[str, ...]
    orchestrator_key: str = dataclasses.field(repr=False, compare=False)
    airflow: str
    airflow_login: str = dataclasses.field(repr=False, compare=False)
    airflow_login_file: pathlib.Path | None
    faults: pathlib.Path | None

    @property
    def artifacts(self) -> pathlib.Path:
        """Root of all artifacts that nodes write."""
        return self.home / "artifacts"

    @property
    def specs(self) -> pathlib.Path:
        """Frozen run specs, one file per digest."""
        return self.home / "specs"

    @property
    def leases(self) -> pathlib.Path:
        """Lock files, one per (run, node)."""
        return self.home / "leases"

    @property
    def host_socket(self) -> pathlib.Path:
        """Where the warm host of this machine listens."""
        return self.home / "host" / "socket"

    @property
    def key_file(self) -> pathlib.Path:
        """What whoever speaks for Airflow's users must know; readable by the account that Airflow's tasks run as, and nobody else."""
        return self.home / "orchestrator.key"

    @property
    def scratch(self) -> pathlib.Path:
        """What attempts that were cut off left for the next one to go on from."""
        return self.home / "scratch"

    @property
    def quarantine(self) -> pathlib.Path:
        """Half-written output of dead attempts."""
        return self.home / "quarantine"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings from the environment; nothing is created.

    Raises:
      RecordError: if a variable holds what it cannot.
    """
    env = os.environ if environ is None else environ
    home = _home(env)
    return Settings(
        home=home,
        landing=pathlib.Path(env.get("WAYBILL_LANDING") or home / "landing").absolute(),
        releases=pathlib.Path(env.get("WAYBILL_RELEASES") or home / "releases").absolute(),
        serving=pathlib.Path(env.get("WAYBILL_SERVING") or home / "serving").absolute(),
        store_url=env.get("WAYBILL_STORE_URL") or f"sqlite:///{home}/mlmd.sqlite",
        tfx_python=pathlib.Path(env.get("WAYBILL_TFX_PYTHON") or PROJECT / ".venv/bin/python").absolute(),
        catchup=_flag("WAYBILL_CATCHUP", env.get("WAYBILL_CATCHUP") or "0"),
        schedule_end=env.get("WAYBILL_SCHEDULE_END") or "",
        node_memory=_size("WAYBILL_NODE_MEMORY", env.get("WAYBILL_NODE_MEMORY") or "0"),
        node_threads=_number("WAYBILL_NODE_THREADS", env.get("WAYBILL_NODE_THREADS") or "0"),
        open_workers=_flag("WAYBILL_OPEN_WORKERS", env.get("WAYBILL_OPEN_WORKERS") or "0"),
        training_job=_matching("WAYBILL_TRAINING_JOB", env.get("WAYBILL_TRAINING_JOB") or "", r"[a-z0-9.-]{0,200}", "letters, numbers"),
        training_peers=tuple(peer for peer in (env.get("WAYBILL_TRAINING_PEERS") or "").split(",") if peer),
        training_index=_number("JOB_COMPLETION_INDEX", env.get("JOB_COMPLETION_INDEX") or "0"),
        kubernetes=_kubernetes(env),
        notify=_events(env.get("WAYBILL_NOTIFY", ",".join(EVENTS))),
        notifier=_notifier(env.get("WAYBILL_NOTIFIER") or ""),
        server=_matching(
            "WAYBILL_SERVER", env.get("WAYBILL_SERVER") or "", r"(https?://[^\s/]+)?/?", "an address such as http://127.0.0.1:8501"
        ),
        serve=_flag("WAYBILL_SERVE", env.get("WAYBILL_SERVE") or "1"),
        retry_seconds=_number("WAYBILL_RETRY_SECONDS", env.get("WAYBILL_RETRY_SECONDS") or "20"),
        doctor_schedule=_matching(
            "WAYBILL_DOCTOR_SCHEDULE",
            env.get("WAYBILL_DOCTOR_SCHEDULE") or "0 5 * * *",
            r"\S+( \S+){4}",
            "the five fields of a cron expression",
        ),
        airflow_users=_users(env.get("WAYBILL_AIRFLOW_USERS") or ""),
        orchestrator_key=env.get("WAYBILL_ORCHESTRATOR_KEY") or "",
        airflow=_matching(
            "WAYBILL_AIRFLOW", env.get("WAYBILL_AIRFLOW") or "", r"(https?://[^\s@]+)?", "an address such as https://airflow.example.org"
        ).rstrip("/"),
        airflow_login=env.get("WAYBILL_AIRFLOW_LOGIN") or "",
        airflow_login_file=pathlib.Path(env["WAYBILL_AIRFLOW_LOGIN_FILE"]).absolute() if env.get("WAYBILL_AIRFLOW_LOGIN_FILE") else None,
        faults=faults(env),
    )


def faults(environ: Mapping[str, str] | None = None) -> pathlib.Path | None:
    """The folder by which a proof holds this installation's processes still; None wherever nothing is being proved.

    Two must agree: the environment names the folder, and the folder's file `home` names Waybill's home. So a variable that strayed into
    another installation's environment is an error there, and nothing worse.

    Raises:
      RecordError: if a folder is named and is not for this installation.
    """
    env = os.environ if environ is None else environ
    if not env.get("WAYBILL_FAULTS"):
        return None
    folder, home = pathlib.Path(env["WAYBILL_FAULTS"]), _home(env)
    try:
        meant = (folder / "home").read_text(encoding="utf-8")
    except OSError as error:
        meant = str(error)
    if meant != str(home):
        raise RecordError(
            f"WAYBILL_FAULTS is {str(folder)!r}, a proof's means to stop and kill the processes of an installation; it is not meant for "
            f"{home} (its file `home` says: {meant}). Unset the variable"
        )
    return folder


def _home(env: Mapping[str, str]) -> pathlib.Path:
    return pathlib.Path(env.get("WAYBILL_HOME") or PROJECT / "var").absolute()


def _events(text: str) -> frozenset[str]:
    found = frozenset(word.strip() for word in text.split(",") if word.strip())
    if stray := sorted(found - set(EVENTS)):
        raise RecordError(f"WAYBILL_NOTIFY names {', '.join(stray)}; expected some of {', '.join(EVENTS)}, with commas between")
    return found


def _users(text: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in found:
        _matching("WAYBILL_AIRFLOW_USERS", name, r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "names of letters and numbers, with commas between")
    return found


def _notifier(text: str) -> Notifier | None:
    if not text:
        return None
    try:
        value = json.loads(text)
        path = value.pop("class")
    except (ValueError, AttributeError, KeyError, TypeError):
        path = ""
    if not re.fullmatch(r"[A-Za-z_][\w.]*\.[A-Za-z_]\w*", str(path)):
        # The text itself is not shown: it may hold an address with a secret in it.
        raise RecordError('WAYBILL_NOTIFIER is no notifier; expected a JSON object such as {"class": "package.Notifier", "text": "<text>"}')
    return Notifier(path, value)


def _kubernetes(env: Mapping[str, str]) -> Kubernetes | None:
    def said(name: str, default: str, pattern: str, expected: str) -> str:
        return _matching(name, env.get(name) or default, pattern, expected)

    if not env.get("WAYBILL_KUBERNETES_IMAGE"):
        return None
    name, quantity = r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", r"[0-9]+(\.[0-9]+)?(m|[KMGT]i?)?"
    return Kubernetes(
        image=said("WAYBILL_KUBERNETES_IMAGE", "", r"[^\s]{1,500}", "the name of an image"),
        namespace=said("WAYBILL_KUBERNETES_NAMESPACE", "default", name, "the name of a namespace"),
        claim=said("WAYBILL_KUBERNETES_CLAIM", "", name, "the name of the PersistentVolumeClaim that holds Waybill's home"),
        secret=said(
            "WAYBILL_KUBERNETES_STORE_SECRET", "waybill-store", name, "the name of the Secret whose key `url` is WAYBILL_STORE_URL"
        ),
        cpu=said("WAYBILL_KUBERNETES_CPU", "2", quantity, "processors of a pod, such as 2 or 500m"),
        memory=said("WAYBILL_KUBERNETES_MEMORY", "8Gi", quantity, "memory of a pod, such as 8Gi"),
        gpus=int(said("WAYBILL_KUBERNETES_GPUS", "0", r"[0-9]{1,3}", "GPUs of a pod, 0 or more")),
    )


def _matching(name: str, text: str, pattern: str, expected: str) -> str:
    if not re.fullmatch(pattern, text):
        raise RecordError(f"{name} is {text!r}; expected {expected}")
    return text


def _flag(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise RecordError(f"{name} is {text!r}; expected 1 or 0")
    return text == "1"


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise RecordError(f"{name} is {text!r}; expected a whole number, 0 or more")
    return int(text)


def _size(name: str, text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})([KMGT]?)", text)
    if not found:
        raise RecordError(f"{name} is {text!r}; expected bytes as a whole number, with K, M, G or T behind it if you like, such as 6G")
    return int(found[1]) << 10 * " KMGT".index(found[2] or " ")


def graph_path(pipeline: str) -> pathlib.Path:
    """Where a pipeline's compiled graph is."""
    return PROJECT / "pipelines" / pipeline / "graph.json"
