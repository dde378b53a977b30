"""The installation -> the Airflow DAG that has `waybill doctor` look once a day."""

from __future__ import annotations

from waybill.orchestration.doctor import build_doctor_dag

dag = build_doctor_dag()
