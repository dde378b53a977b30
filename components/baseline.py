"""The releases on record -> the model that this interval's candidate is compared with.

The baseline of an interval is the newest release of an *older interval* that passed all gates. When it was made does not matter: a
backfill is never judged by a model from its future, and a later run never takes a backfilled old one for the newest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfx import types
from tfx.dsl.components.common import resolver
from tfx.types import standard_artifacts

from waybill.gates import waivers
from waybill.launch.choice import Choice
from waybill.records.interval import parse_moment
from waybill.store import reads
from waybill.store.connection import Store

MAX_REJECTED = 20  # of the newest candidates, named with the reason why they were not chosen


class BaselineByInterval(resolver.ResolverStrategy):
    """Chooses the newest release of an older interval.

    Args:
      pipeline: Whose releases.
      before: Start of the candidate's interval, ISO 8601; a baseline's interval must have ended by then.
    """

    def __init__(self, pipeline: str, before: str):
        self._pipeline = pipeline
        self._before = parse_moment(before)

    def choose(self, store: Store) -> Choice:
        """The choice, with its reasons; none where two people set the baseline of the interval aside."""
        aside, why_not = waivers.baseline_set_aside()
        if aside:
            chosen = f"no baseline: set aside by waiver {aside.number}"
            return Choice({"model": []}, f"none, as two people decided: {aside.sentence()}", chosen, (), waiver=aside.number)
        rule = f"the newest release of an interval that had ended by {self._before.isoformat()}"
        older = reads.releases(store, self._pipeline, upto=f"{self._before:%Y%m%d%H%M}99", limit=1)
        seen = reads.releases(store, self._pipeline, limit=MAX_REJECTED + 1)
        rejected = tuple(self._why_not(release) for release in seen if release.id not in [r.id for r in older])[:MAX_REJECTED]
        if not older:
            some = f"the {len(seen)} newest" if len(seen) > MAX_REJECTED else str(len(seen))
            chosen = "; ".join([f"no baseline yet: none of {some} releases qualifies", *why_not])
            return Choice({"model": []}, rule, chosen, rejected)
        [model] = self._model_behind(store, older[0].id)
        chosen = f"release {older[0].properties['pushed_version']} (model artifact {model.id}, {model.digest[:19]})"
        return Choice({"model": [model.id]}, rule, "; ".join([chosen, *why_not]), rejected)

    def _why_not(self, release: reads.ArtifactRow) -> str:
        ends = str(release.properties["interval_end"])
        why = f"its interval ends at {ends}" if parse_moment(ends) > self._before else "an older release of an older interval"
        return f"{release.properties['pushed_version']}: {why}"

    def resolve_artifacts(
        self, store: object, input_dict: Mapping[str, Sequence[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """Not for other runners: they would neither record the reasons nor read the releases."""
        raise NotImplementedError("BaselineByInterval is run by Waybill's launcher, through `choose`")

    def _model_behind(self, store: Store, release_id: int) -> list[reads.ArtifactRow]:
        execution = reads.producer(store, release_id)
        return reads.inputs(store, execution)["model"] if execution else []


def interval_baseline(pipeline: str, before: str) -> resolver.Resolver:
    """A Resolver whose output `model` is the baseline, or nothing when there is none yet.

    Args:
      pipeline: Name of the pipeline.
      before: Start of the candidate's interval, ISO 8601.
    """
    # The strategy looks for itself; the channel only gives the output its type, so its producer is no node at all.
    anything = types.Channel(type=standard_artifacts.Model, producer_component_id="releases", output_key="model")
    return resolver.Resolver(strategy_class=BaselineByInterval, config={"pipeline": pipeline, "before": before}, model=anything)
