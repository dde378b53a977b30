"""The taxi pipeline on one quarter -> a run of TFX's own LocalDagRunner, in one process from its start to its end.

    python bench/local_runner.py FOLDER

The pipeline is ours, stop by stop, except that the baseline is TFX's latest blessed model, since ours needs Waybill's launcher, and that
two stops are left out. Nobody decides what is served: TFX has no such stop, and ours decides from the record of Waybill's launcher. And
nobody tries the exported model: in a process that has run TensorFlow ours has to start another interpreter for it, nine seconds that
nobody who uses TFX's runner would pay, and TFX's own needs Docker. Both are in our own runs' time.
"""

from __future__ import annotations

import logging
import pathlib
import sys
from typing import Any

from bench.quarter import START, check_released, land, spec_of
from waybill.launch.process import prepare
from waybill.records.places import Places
from waybill.records.run_spec import Partition
from waybill.records.settings import PROJECT


def latest_blessed(**_: object) -> Any:
    """TFX's own resolver in the place of ours."""
    from tfx.dsl.components.common import resolver
    from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
    from tfx.types import Channel, standard_artifacts

    return resolver.Resolver(
        strategy_class=LatestBlessedModelStrategy,
        model=Channel(type=standard_artifacts.Model),
        model_blessing=Channel(type=standard_artifacts.ModelBlessing),
    )


def pipeline_in(folder: pathlib.Path, partition: Partition) -> Any:
    """The pipeline of one partition, with its metadata, artifacts and releases in a folder."""
    from tfx.orchestration import metadata

    from pipelines import journey
    from pipelines.taxi import pipeline

    journey.interval_baseline = latest_blessed
    places = Places(
        root=str(folder / "artifacts"),
        schema_file=str(PROJECT / "schemas/taxi.pbtxt"),
        scratch=str(folder / "scratch"),
        releases=str(folder / "releases"),
    )
    made = pipeline.create_pipeline(spec_of(partition), partition=partition, places=places)
    _leave_out(made, "infra_validator")
    _leave_out(made, "promoter")
    made.metadata_connection_config = metadata.sqlite_metadata_connection_config(str(folder / "mlmd.sqlite"))
    return made


def _leave_out(made: Any, node: str) -> None:
    """Takes a stop out of a pipeline; no other may read what it makes."""
    [gone] = [component for component in made.components if component.id == node]
    for before in gone.upstream_nodes:
        before.downstream_nodes.discard(gone)
    for after in gone.downstream_nodes:
        after.upstream_nodes.discard(gone)
    made.components = [component for component in made.components if component is not gone]


def main() -> None:
    """Lands the quarter and runs the pipeline."""
    prepare(logging.ERROR)
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner

    folder = pathlib.Path(sys.argv[1])
    LocalDagRunner().run(pipeline_in(folder, land(folder / "landing", START)))
    check_released(folder)


if __name__ == "__main__":
    main()
