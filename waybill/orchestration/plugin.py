"""Waybill's part of Airflow's API server: a tab beside each task's log with the report its gate wrote, and turns for who writes to SQLite.

Every process of Airflow's imports this, each task among them; what the API server alone needs is imported when it asks.
"""

from __future__ import annotations

import functools
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/waybill"


class WaybillPlugin(AirflowPlugin):
    """The tab, the app that fills it, and the turns."""

    name = "waybill"
    external_views = [
        {
            "name": "Report",
            "href": f"{PREFIX}/report/{{DAG_ID}}/{{RUN_ID}}/{{TASK_ID}}?map_index={{MAP_INDEX}}",
            "destination": "task_instance",
            "url_route": "waybill-report",
        }
    ]

    @functools.cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The app that serves the reports."""
        from waybill.orchestration.reports import app

        return [{"app": app, "url_prefix": PREFIX, "name": "Waybill's reports"}]

    @functools.cached_property
    def fastapi_root_middlewares(self) -> list[dict[str, Any]]:
        """What stands before every request; nothing where Airflow's database is a server."""
        from airflow.configuration import conf

        from waybill.orchestration.turns import OneWriterAtATime

        on_sqlite = str(conf.get("database", "sql_alchemy_conn")).startswith("sqlite")
        return [{"middleware": OneWriterAtATime, "name": "Waybill's turns"}] if on_sqlite else []
