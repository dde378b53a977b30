"""A frozen run spec -> the journey of the drawings, from a landed partition to a release.

The stops are those of every pipeline. Drawings are decoded twice: by `example_gen`, to be measured, and in the model's own graph.
"""

from __future__ import annotations

from tfx.orchestration.pipeline import Pipeline

from pipelines.digits import policy
from pipelines.journey import Own, journey
from waybill.records.places import Places
from waybill.records.run_spec import Partition, RunSpec


def create_pipeline(run_spec: RunSpec, *, partition: Partition, places: Places) -> Pipeline:
    """The pipeline of one run; see `pipelines.journey.journey`, which has each stop."""
    own = Own("pipelines.digits", policy.DATA_POLICY, policy.MODEL_POLICY, policy.INFRA_POLICY, policy.eval_config())
    return journey(run_spec, partition, places, own)
