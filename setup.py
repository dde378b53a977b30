"""The project's packages, installed with --no-deps into both environments; what they need is in the locked files."""

import pathlib

import setuptools

# One folder each; `waybill new` makes more of them.
PIPELINES = [f"pipelines.{path.parent.name}" for path in sorted(pathlib.Path(__file__).parent.glob("pipelines/*/__init__.py"))]

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
        "waybill.scaffold",
        "waybill.server",
        "waybill.serving",
        "waybill.store",
        "waybill.tables",
        "waybill.training",
        "components",
        "pipelines",
        *PIPELINES,
    ],
    entry_points={
        "console_scripts": ["waybill = waybill.cli.main:main"],
        "airflow.plugins": ["waybill = waybill.orchestration.plugin:WaybillPlugin"],  # read in Airflow's Python only
    },
)
