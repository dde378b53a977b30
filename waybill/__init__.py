"""Waybill: TFX pipelines on Apache Airflow 3, with a story for every released byte."""
