"""The project's packages, installed with --no-deps into both environments; what they need is in the locked files."""

import setuptools

setuptools.setup(
    name="waybill",
    version="0.1.0",
    description="Runs TFX pipelines on Apache Airflow 3 so that the model being served can be trusted and explained.",
    python_requires=">=3.10,<3.14",
    packages=[
        "waybill",
        "waybill.cli",
        "waybill.client",
        "waybill.gates",
        "waybill.launch",
        "waybill.lineage",
        "waybill.orchestration",
        "waybill.records",
        "waybill.server",
        "waybill.serving",
        "waybill.store",
        "waybill.training",
        "components",
        "pipelines",
        "pipelines.digits",
        "pipelines.taxi",
    ],
    entry_points={
        "console_scripts": ["waybill = waybill.cli.main:main"],
        "airflow.plugins": ["waybill = waybill.orchestration.plugin:WaybillPlugin"],  # read in Airflow's Python only
    },
)
