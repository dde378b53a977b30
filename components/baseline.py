"""The releases on record -> the model that this interval's candidate is compared with.

The baseline of an interval is the newest release of an *older interval* that passed all gates. When it was made does not matter: a
backfill is never judged by a model from its future, and a later run never takes a backfilled old one for the newest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfx import types
from tfx.dsl.components.common import resolver
from tfx.types import standard_artifacts

from waybill.launch.choice import Choice
from waybill.records.interval import parse_moment
from waybill.store import reads
from waybill.store.connection import Store

MAX_REJECTED = 20  # candidates named with the reason why they were not chosen


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
        """The choice, with its reasons."""
        releases = reads.artifacts_of_type(store, "PushedModel", self._pipeline)
        older = [r for r in releases if parse_moment(str(r.properties["interval_end"])) <= self._before]
        older.sort(key=lambda r: int(r.properties["pushed_version"]))
        rule = f"the newest release of an interval that had ended by {self._before.isoformat()}"
        rejected = tuple(
            f"{release.properties['pushed_version']}: "
            + (
                "an older release of an older interval"
                if release in older
                else f"its interval ends at {release.properties['interval_end']}"
            )
            for release in sorted(releases, key=lambda r: -int(r.properties["pushed_version"]))
            if not older or release.id != older[-1].id
        )
        if not older:
            return Choice({"model": []}, rule, f"no baseline yet: none of {len(releases)} releases qualifies", rejected[:MAX_REJECTED])
        [model] = self._model_behind(store, older[-1].id)
        chosen = f"release {older[-1].properties['pushed_version']} (model artifact {model.id}, {model.digest[:19]})"
        return Choice({"model": [model.id]}, rule, chosen, rejected[:MAX_REJECTED])

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
