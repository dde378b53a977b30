"""The taxi pipeline as TFX makes a DAG of it; parsed by Airflow 2.11 in the environment of `make bench-peer`."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
from typing import Any

from tfx.dsl.components.base import base_driver
from tfx.orchestration.airflow.airflow_dag_runner import AirflowDagRunner, AirflowPipelineConfig

from bench.local_runner import pipeline_in
from bench.quarter import START, landed

_folder = pathlib.Path(os.environ["WAYBILL_PEER_FOLDER"])
_config = AirflowPipelineConfig({"schedule": None, "start_date": dt.datetime(2013, 1, 1, tzinfo=dt.timezone.utc)})
_prepare = base_driver.BaseDriver._prepare_output_artifacts


def _named_by_component(self: Any, *args: Any, **kwargs: Any) -> Any:
    """TFX names an artifact by its output's key and the run alone, so that the second of two gates' verdicts cannot be recorded."""
    made = _prepare(self, *args, **kwargs)
    component = kwargs["component_info"] if "component_info" in kwargs else args[-1]
    for artifact in (artifact for group in made.values() for artifact in group):
        artifact.name = f"{component.component_id}:{artifact.name}"
    return made


base_driver.BaseDriver._prepare_output_artifacts = _named_by_component  # type: ignore[method-assign]
dag = AirflowDagRunner(_config).run(pipeline_in(_folder, landed(_folder / "landing", START)))
