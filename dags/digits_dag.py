"""The digits pipeline's graph -> its Airflow DAG: one run per month. What happens at each stop is in pipelines/digits."""

from __future__ import annotations

from waybill.orchestration.dag_factory import build_dag
from waybill.records.settings import graph_path

dag = build_dag(graph_path("digits"))
