"""What Airflow's users do with the form that asks for a waiver: fill it in, look at what waits, answer as the UI does."""

from __future__ import annotations

import contextlib
import dataclasses
import urllib.parse
from collections.abc import Callable
from typing import Any

from test_airflow_end_to_end import wait

from waybill.cli.airflow_client import AirflowRefused
from waybill.cli.services import AirflowService

DAG = "waybill_waiver"


@dataclasses.dataclass(frozen=True)
class Form:
    """The form in a running Airflow."""

    service: AirflowService

    def asks(self, user: str, **fields: Any) -> str:
        """Fills it in as a user; the run's id."""
        return str(self.service.client(user).trigger(DAG, fields)["dag_run_id"])

    def state(self, run: str) -> str:
        [task] = self.service.client().tasks(DAG, run)
        return str(task["state"])

    def log(self, run: str) -> str:
        client = self.service.client()
        [task] = client.tasks(DAG, run)
        return client.log(DAG, run, "waiver", max(1, task["try_number"]))

    def waits(self, run: str) -> bool:
        state = self.state(run)
        assert state not in ("failed", "success"), (state, self.log(run))
        return state == "awaiting_input"

    def page(self, run: str) -> dict[str, Any]:
        return self.service.client().call("GET", self._place(run))

    def insists(self, user: str, run: str, says: str, done: Callable[[], bool]) -> None:
        """Answers, and again when it is asked again: who is quicker than the scheduler's news of the process that asked is not heard."""
        client = self.service.client(user)

        def heard() -> bool:
            if not done() and self.state(run) == "awaiting_input":
                with contextlib.suppress(AirflowRefused):  # it has the answer and has not gone on yet
                    client.call("PATCH", self._place(run), {"chosen_options": [says], "params_input": {"reason": "seen"}})
            return done()

        wait(heard, f"{user}'s answer to be heard")

    def _place(self, run: str) -> str:
        return f"/dags/{DAG}/dagRuns/{urllib.parse.quote(run, safe='')}/taskInstances/waiver/-1/hitlDetails"
