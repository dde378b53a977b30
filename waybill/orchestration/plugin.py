"""Waybill's part of Airflow's UI: a tab beside each task's log with the report its gate wrote.

Every process of Airflow's imports this, each task among them; what the API server alone needs is imported when it asks.
"""

from __future__ import annotations

import functools
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/waybill"


class WaybillPlugin(AirflowPlugin):
    """The tab, and the app that fills it."""

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
