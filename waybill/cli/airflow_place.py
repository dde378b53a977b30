"""The settings -> the Airflow that is asked what became of runs, or a sentence that says why none is."""

from __future__ import annotations

import pathlib

from waybill.cli.airflow_client import AirflowClient
from waybill.cli.services import AirflowService
from waybill.records.errors import RecordError
from waybill.records.settings import Settings

_API = "api-server"


def airflow_of(settings: Settings) -> tuple[AirflowClient | None, str]:
    """A client of Airflow, or None; and what to tell a person of either.

    Raises:
      RecordError: if an Airflow is named and nothing says how to log in to it.
    """
    if settings.airflow:
        return _named(settings.airflow, _login(settings)), f"Airflow was asked at {settings.airflow}"
    service = AirflowService(settings)
    record = service.record()
    if record is None or _API not in record.processes or _API in record.dead():
        return None, (
            "Airflow was not asked: `make up` of this home has started none that runs, and WAYBILL_AIRFLOW names no other; "
            "what Airflow says of runs was not compared"
        )
    return service.client(), f"Airflow was asked at {record.address}"


def _named(address: str, login: str) -> AirflowClient:
    user, colon, password = login.partition(":")
    return AirflowClient(address, user, password) if colon else AirflowClient(address, "", "", token=login)


def _login(settings: Settings) -> str:
    """`name:password` or a token."""
    login = settings.airflow_login or _read(settings.airflow_login_file)
    if not login:
        raise RecordError(
            "WAYBILL_AIRFLOW names an Airflow, and nothing says how to log in there; expected `name:password` or a token in "
            "WAYBILL_AIRFLOW_LOGIN, or in a file of mode 0600 that WAYBILL_AIRFLOW_LOGIN_FILE names"
        )
    return login


def _read(file: pathlib.Path | None) -> str:
    if file is None:
        return ""
    try:
        mode = file.stat().st_mode & 0o777
        if mode & 0o077:
            raise RecordError(f"WAYBILL_AIRFLOW_LOGIN_FILE is {file}, of mode {mode:04o}; expected 0600: chmod 600 {file}")
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"WAYBILL_AIRFLOW_LOGIN_FILE is {file}, which cannot be read ({type(error).__name__})") from None
