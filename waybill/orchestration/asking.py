"""An Airflow task's context -> what the launcher is told of the run: which interval, which parameters, who asks."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from waybill.records import digest
from waybill.records.errors import RecordError
from waybill.records.interval import parse_moment

INTERVAL_START, PROMOTE = "interval_start", "promote"  # the fields of the form that are no parameters of the pipeline
_KINDS = {"scheduled": "scheduled", "backfill": "backfill"}
_MANUAL = "manual"


@dataclasses.dataclass(frozen=True)
class Asking:
    """One pass over a DAG run.

    Attributes:
      start: First instant of the interval.
      end: First instant after it, or None where the launcher derives it from the schedule.
      kind: `scheduled`, `backfill` or `manual`.
      who: The person who triggered the run, or empty.
      run: `<dag_id>/<run_id>`.
      asked_at: When this pass over the run began.
      params: Values from the form and the backfill's configuration.
      promote: Whether the person asks that the release be served.
    """

    start: dt.datetime
    end: dt.datetime | None
    kind: str
    who: str
    run: str
    asked_at: dt.datetime
    params: Mapping[str, Any]
    promote: bool

    def arguments(self) -> list[str]:
        """The asking as arguments of `waybill run-spec`."""
        pairs = {
            "--start": self.start.isoformat(),
            "--end": self.end.isoformat() if self.end else "",
            "--kind": self.kind,
            "--who": self.who,
            "--run": self.run,
            "--reason": str(self.params.get("reason", "")),
            "--asked-at": self.asked_at.isoformat(),
            "--params": json.dumps(dict(self.params), sort_keys=True),
        }
        # `--name=value`, since what a person wrote may begin with a dash.
        return [*(f"{name}={value}" for name, value in pairs.items() if value), *(["--promote"] if self.promote else [])]


def ticket(dag_run: Any) -> str:
    """Names one pass over a DAG run: the same for all its tasks and retries, another one after a clear or for a run made anew."""
    return digest.of_json([dag_run.dag_id, dag_run.run_id, dag_run.clear_number or 0, _began(dag_run).isoformat()])


def name(dag_run: Any) -> str:
    """What a run is called on record."""
    return f"{dag_run.dag_id}/{dag_run.run_id}"


def asking(context: Mapping[str, Any]) -> Asking:
    """Reads a task's context.

    Raises:
      RecordError: if a manual run does not name its interval, or another kind of run does, or has another one than it was asked for.
    """
    dag_run = context["dag_run"]
    given = {name: value for name, value in dict(context["params"]).items() if value is not None}
    named, promote = given.pop(INTERVAL_START, ""), given.pop(PROMOTE, False)
    kind = _KINDS.get(dag_run.run_type.value, _MANUAL)
    start, end = _named_interval(named) if kind == _MANUAL else _scheduled_interval(dag_run, kind, named)
    return Asking(
        start=start,
        end=end,
        kind=kind,
        who=dag_run.triggering_user_name or "",
        run=name(dag_run),
        asked_at=_began(dag_run),
        params=given,
        promote=bool(promote),
    )


def _named_interval(named: str) -> tuple[dt.datetime, None]:
    """What the form says; Airflow would give a manual run the last complete interval, which nobody asked for."""
    if not named:
        raise RecordError(
            f"a manual run must name its interval, and this one does not. Trigger it again with {INTERVAL_START} filled in, "
            f'such as {{"{INTERVAL_START}": "2013-07-01"}}'
        )
    return parse_moment(named), None


def _scheduled_interval(dag_run: Any, kind: str, named: str) -> tuple[dt.datetime, dt.datetime]:
    if named:
        raise RecordError(f"{INTERVAL_START} is {named!r}, but a {kind} run has the interval Airflow gave it; leave the field empty")
    if dag_run.data_interval_start is None or dag_run.data_interval_end is None:
        raise RecordError(f"Airflow gave this {kind} run no data interval; trigger it by hand with {INTERVAL_START} filled in")
    start, end = _utc(dag_run.data_interval_start), _utc(dag_run.data_interval_end)
    # Airflow keeps one run for each logical date. A backfill that meets a manual one takes it over, with the interval before the asked one.
    if dag_run.logical_date is not None and _utc(dag_run.logical_date) != start:
        raise RecordError(
            f"this {kind} run was asked for the interval of {_utc(dag_run.logical_date).isoformat()}, but Airflow gives it that of "
            f"{start.isoformat()}: somebody had triggered {dag_run.run_id} by hand with that logical date. Delete it, and ask again"
        )
    return start, end


def _began(dag_run: Any) -> dt.datetime:
    # A clear of an ended run sets the start anew, everything else leaves it alone; a run without one is `airflow dags test`.
    return _utc(dag_run.start_date or dag_run.run_after)


def _utc(moment: dt.datetime) -> dt.datetime:
    return dt.datetime.fromtimestamp(moment.timestamp(), tz=dt.timezone.utc)
