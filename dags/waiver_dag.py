"""The installation -> the Airflow DAG by whose form people ask for a waiver, and have somebody else approve it."""

from __future__ import annotations

from waybill.orchestration.waiver import build_waiver_dag

dag = build_waiver_dag()
