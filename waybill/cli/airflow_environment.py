"""An installation's settings -> the environment that Airflow's processes run in: all of Airflow's configuration, secrets included."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import secrets
from collections.abc import Callable, Mapping

from waybill.records.settings import PROJECT, Settings

USER = "admin"
MARK = "_WAYBILL_SERVICE"  # names the service that a process belongs to, whoever started it; no setting, so it begins otherwise
_FOREIGN = ("AIRFLOW", "_AIRFLOW", "PYTHON", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD", "SPT_", "WAYBILL_", MARK)
DAGS = PROJECT / "dags"
_LOOPBACK = "127.0.0.1,localhost"


def airflow_environment(
    settings: Settings, home: pathlib.Path, port: int, mark: str, environ: Mapping[str, str], dags: pathlib.Path = DAGS
) -> dict[str, str]:
    """Everything that Airflow's processes find in their environment.

    Args:
      settings: Where the installation is.
      home: Airflow's home; secrets are made in it when they are missing.
      port: Loopback port of the API server.
      mark: Name of this service; inherited by every process that any of its processes starts.
      environ: The environment of the caller, of which everything is kept (nodes may need credentials or a proxy) but what would lead
        Airflow or its Python astray.
      dags: Folder of DAG files.
    """
    direct = {name: ",".join(filter(None, (environ.get(name), _LOOPBACK))) for name in ("no_proxy", "NO_PROXY")}
    configuration = {
        f"AIRFLOW__{section}__{key}".upper(): value for (section, key), value in _configuration(settings, home, port, dags).items()
    }
    return {
        **host_environment(settings, mark, environ),
        **_notifier(settings),
        **_login(settings),
        "WAYBILL_ORCHESTRATOR_KEY": _once(settings.key_file, lambda: secrets.token_hex(32)),  # for Airflow's processes alone
        **direct,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
        "SPT_NOENV": "1",  # setproctitle would write over the environment, by which `waybill down` knows what to end
        **configuration,
    }


def host_environment(settings: Settings, mark: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What the warm host finds in its environment: as `airflow_environment`, but nothing of Airflow's, its secrets least of all."""
    kept = {k: v for k, v in environ.items() if not k.startswith(_FOREIGN)}
    return {**kept, **_waybill(settings), MARK: mark, "PYTHONUNBUFFERED": "1"}


def password(home: pathlib.Path, user: str = USER) -> str:
    """A login's password, made at the first call."""
    file = home / "passwords.json"
    known = json.loads(_once(file, lambda: json.dumps({USER: secrets.token_urlsafe(12)})))
    if user not in known:
        known[user] = secrets.token_urlsafe(12)
        _write(file, json.dumps(known))
    return str(known[user])


def _notifier(settings: Settings) -> dict[str, str]:
    """For Airflow's processes alone, since it may hold an address with a secret in it."""
    notifier = settings.notifier
    return {"WAYBILL_NOTIFIER": json.dumps({"class": notifier.path, **notifier.arguments})} if notifier else {}


def _login(settings: Settings) -> dict[str, str]:
    """How the doctor logs in where it asks another Airflow than this one."""
    return {"WAYBILL_AIRFLOW_LOGIN": settings.airflow_login, "WAYBILL_AIRFLOW_LOGIN_FILE": str(settings.airflow_login_file or "")}


def _waybill(settings: Settings) -> dict[str, str]:
    """The settings as variables, so that every task finds the same installation wherever it runs."""
    return {
        "WAYBILL_HOME": str(settings.home),
        "WAYBILL_LANDING": str(settings.landing),
        "WAYBILL_RELEASES": str(settings.releases),
        "WAYBILL_SERVING": str(settings.serving),
        "WAYBILL_STORE_URL": settings.store_url,
        "WAYBILL_TFX_PYTHON": str(settings.tfx_python),
        "WAYBILL_CATCHUP": "1" if settings.catchup else "0",
        "WAYBILL_SCHEDULE_END": settings.schedule_end,
        "WAYBILL_NODE_MEMORY": str(settings.node_memory),
        "WAYBILL_NODE_THREADS": str(settings.node_threads),
        "WAYBILL_SERVER": settings.server,
        "WAYBILL_SERVE": "1" if settings.serve else "0",
        "WAYBILL_RETRY_SECONDS": str(settings.retry_seconds),
        "WAYBILL_OPEN_WORKERS": "1" if settings.open_workers else "0",
        "WAYBILL_NOTIFY": ",".join(sorted(settings.notify)),
        "WAYBILL_DOCTOR_SCHEDULE": settings.doctor_schedule,
        "WAYBILL_AIRFLOW_USERS": ",".join(settings.airflow_users),
        "WAYBILL_AIRFLOW": settings.airflow,
        "WAYBILL_FAULTS": str(settings.faults or ""),
    }


def _configuration(settings: Settings, home: pathlib.Path, port: int, dags: pathlib.Path) -> dict[tuple[str, str], str]:
    users = {USER: "admin", **dict.fromkeys((name for name in settings.airflow_users if name != USER), "user")}
    for name in users:
        password(home, name)
    return {
        ("core", "dags_folder"): str(dags),
        ("core", "load_examples"): "False",
        ("core", "executor"): "LocalExecutor",
        ("core", "parallelism"): str(max(4, os.cpu_count() or 1)),  # most tasks wait for their node's process; the nodes use the cores
        ("core", "fernet_key"): _secret(home, "fernet", 32),
        ("core", "simple_auth_manager_users"): ",".join(f"{name}:{role}" for name, role in users.items()),
        ("core", "simple_auth_manager_passwords_file"): str(home / "passwords.json"),
        ("core", "execution_api_server_url"): f"http://127.0.0.1:{port}/execution/",
        ("api", "base_url"): f"http://127.0.0.1:{port}",
        ("api", "host"): "127.0.0.1",
        ("api", "port"): str(port),
        ("api", "secret_key"): _secret(home, "session", 64),
        ("api", "default_wrap"): "True",  # a verdict's sentences are longer than the log pane is wide
        ("api_auth", "jwt_secret"): _secret(home, "jwt", 64),
        ("database", "sql_alchemy_conn"): f"sqlite:///{home}/airflow.db",
        ("database", "sql_alchemy_connect_args"): "waybill.orchestration.sqlite.CONNECT_ARGUMENTS",
        ("logging", "base_log_folder"): str(home / "logs"),
        ("logging", "dag_processor_child_process_log_directory"): str(home / "logs" / "dag_processor"),
        # By default the scheduler sleeps a second whenever it found nothing to do, and every stop of a chain pays for it.
        ("scheduler", "scheduler_idle_sleep_time"): "0.1",
        ("scheduler", "enable_health_check"): "False",  # it would listen on all interfaces; the API server tells the same
        # A task whose machine went down under it is found, and retried, after a minute instead of five.
        ("scheduler", "task_instance_heartbeat_timeout"): "60",
        # A DAG file that was edited is seen within seconds instead of half a minute; it parses in milliseconds.
        ("dag_processor", "min_file_process_interval"): "10",
        ("dag_processor", "refresh_interval"): "10",
        ("dag_processor", "parsing_processes"): "1",
        # How soon a task that a person marked failed learns of it.
        ("workers", "min_heartbeat_interval"): "2",
    }


def _secret(home: pathlib.Path, name: str, size: int) -> str:
    return _once(home / "secrets" / name, lambda: base64.urlsafe_b64encode(os.urandom(size)).decode())


def _once(file: pathlib.Path, make: Callable[[], str]) -> str:
    """A file's text; made at the first call."""
    if not file.exists():
        _write(file, make())
    return file.read_text()


def _write(file: pathlib.Path, text: str) -> None:
    """Writes a file, whole or not at all, readable by its owner only from its first byte on."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
    part.rename(file)
