"""A release that a run has just made -> the reasons why that run must not promote it by itself.

A person who asks in the trigger form that it be served takes away the reasons that are about who asks and for which interval, no others:
they do not know yet of a pin, and have not seen the release.
"""

from __future__ import annotations

from waybill.launch import specs
from waybill.records.run_spec import RunSpec
from waybill.records.settings import Settings
from waybill.serving import releases, state
from waybill.serving.releases import Release
from waybill.serving.state import ServingState
from waybill.store import journal
from waybill.store.connection import Store


def against(release: Release, spec: RunSpec, now: ServingState, settings: Settings, store: Store) -> list[str]:
    """Every reason, and what a person may do about them; empty when the run may promote.

    Args:
      release: The release.
      spec: The spec of its run.
      now: The state that the model's journal leads to.
      settings: Where things are.
      store: The MLMD database.
    """
    reasons = []
    wished = spec.trigger.promote
    if spec.trigger.kind != "scheduled" and not wished:
        reasons.append(f"it comes from a {spec.trigger.kind.replace('_', ' ')} run, and only the schedule promotes by itself")
    if now.pinned:
        [last] = journal.entries(store, state.subject(release.model), saying=("number", now.pinned_by))
        by = f"decision {last.number} of {last.says['who']}: {last.says['why']}"
        reasons.append(f"{release.model} is pinned at {now.stable or 'nothing'} by {by}")
    if is_older(release, now, store) and not wished:
        reasons.append(f"its interval ends at {release.interval.end.isoformat()}, before that of {now.stable}, which is served")
    if spec.digest != release.spec:
        reasons.append(f"it is of an earlier pass over the run, {release.run}, and only promoter was asked for again")
    if again := _earlier_of_run(release, spec, settings, store):
        reasons.append(f"the same run was released before as {again.version}")
    if reasons:
        reasons.append(f"a person may promote it: waybill promote {release.model} {release.version} --why ...")
    return reasons


def is_older(release: Release, now: ServingState, store: Store) -> bool:
    """Whether a release is of an older interval than the one that is served."""
    return bool(now.stable) and release.interval.end < releases.find(store, release.model, now.stable).interval.end


def _earlier_of_run(release: Release, spec: RunSpec, settings: Settings, store: Store) -> Release | None:
    """The release of an earlier pass over the same run of the orchestrator, cleared or made anew since.

    One that nobody had asked for does not count where somebody asks now: a backfill takes the scheduled run's place.
    """
    for other in releases.of_interval(store, release.model, release.interval):
        if other.generation < release.generation:
            before = specs.load(settings.specs, other.spec).trigger
            if before.run == spec.trigger.run and (before.promote or not spec.trigger.promote):
                return other
    return None
