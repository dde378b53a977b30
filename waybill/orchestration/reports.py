"""A task of a run -> the report its gate wrote, served by Airflow's API server to who may read the task's log. Imported only there.

Airflow mounts an app of a plugin without any login before it; the dependency on the route is what asks for one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.models.xcom import XComModel
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from waybill.orchestration import report_file
from waybill.orchestration.operator import VERDICT
from waybill.records import settings

HEADERS = {
    # A report needs its own style and nothing else, wherever a value of the data may have come from. `sandbox` takes away scripts, forms
    # and the origin, so that even a file that somebody put in a report's place could not act for the person who reads it.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}
_NOTHING = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>No report</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 15px/1.5 system-ui, sans-serif; margin: 24px }}</style>
<h1>No report</h1><p>{why}</p></html>"""

app = FastAPI(title="Waybill's reports", docs_url=None, redoc_url=None, openapi_url=None)


@app.middleware("http")
async def with_headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Puts the headers on every answer, refusals included."""
    response = await answer(request)
    response.headers.update(HEADERS)
    return response


@app.get("/report/{dag_id}/{run_id}/{task_id}", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.TASK_LOGS))])
def report(dag_id: str, run_id: str, task_id: str, session: SessionDep, map_index: str = "") -> Response:
    """The report of a task, or a page that says why there is none."""
    # Of a task that is not mapped, the UI leaves {MAP_INDEX} in the address as it is.
    index = int(map_index) if re.fullmatch(r"[0-9]{1,9}", map_index) else -1
    try:
        found = report_file.read(settings.load().artifacts, dag_id, task_id, _left(session, dag_id, run_id, task_id, index))
    except report_file.NoReport as why:
        return HTMLResponse(_NOTHING.format(why=escape(str(why))), status_code=404)
    return HTMLResponse(found)


def _left(session: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
    """What the task left of its verdict, as plain JSON: Airflow's own decoder would make objects of whatever it names."""
    wanted = XComModel.get_many(run_id=run_id, key=VERDICT, task_ids=task_id, dag_ids=dag_id, map_indexes=map_index, limit=1)
    value = session.scalar(wanted.with_only_columns(XComModel.value))
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
