"""A model's state by the journal -> the folders that TensorFlow Serving looks at, and its models.config.

    serving/models.config
    serving/orders/20130701000001/    the version before, loaded in no time if it is needed
    serving/orders/20131001000001/    the stable one

Nothing here is a record: whatever is missing is copied again from the release store, and whatever does not belong is taken out. A version
comes in whole by one rename and goes out by one rename; the new one is in before an old one goes, so that the path never runs empty.
"""

from __future__ import annotations

import pathlib
import secrets
from collections.abc import Sequence

from waybill.records import fault_points
from waybill.records.settings import Settings
from waybill.serving import labels, models_config, releases, state
from waybill.serving.errors import ServingError, VersionTaken
from waybill.serving.folders import fsync, locked, remove
from waybill.serving.publish import publish
from waybill.serving.releases import Release
from waybill.store.connection import Store

TRASH = ".trash-"
CONFIG, present = models_config.NAME, models_config.present


def follow(store: Store, settings: Settings, model: str, *, mend: bool = False, since: state.ServingState | None = None) -> tuple[int, ...]:
    """Makes a model's base path what the journal says; returns the versions in it.

    Asked again, by whomever and however many at once, it does what is left to do: the journal is read while the path is held.

    Args:
      store: The MLMD database.
      settings: Where things are.
      model: The model's name.
      mend: Whether a version with other bytes than its release is put aside and copied again, instead of being an error.
      since: A state that was read before; only what was decided after it is read then.

    Raises:
      NoSuchRelease: if a version that is to be served is not on record.
      ServingError: if a release's bytes are not what was released, or the file system refuses. What was served before stays then, unless
        only the version below the stable one is missing.
    """
    base = settings.serving / model
    try:
        base.mkdir(parents=True, exist_ok=True)
        with locked(settings.serving):
            return _follow(store, settings, model, base, mend, since)
    except OSError as error:
        raise ServingError(f"cannot make {str(base)!r} what was decided: {error}. It is decided all the same: try again") from error


def _follow(
    store: Store, settings: Settings, model: str, base: pathlib.Path, mend: bool, since: state.ServingState | None
) -> tuple[int, ...]:
    """Brings the stable version in, then the one below it, then takes out what is above or was before."""
    now = state.read(store, model, since)
    missing: ServingError | None = None
    for version in reversed(now.served):
        try:
            _bring_in(releases.find(store, model, version), base, mend)
        except ServingError as error:
            if version == now.stable:
                raise
            missing = error
    fault_points.reached("base_path.brought_in")
    # The file first: a server that follows it loads what it is to serve while it still has what goes.
    if settings.server:
        labels.hand_over(settings, store, model, now)
    else:
        models_config.write(settings.serving, models_config.decided(settings, store, {model: now}))
    _take_out(base, now.served)
    if missing:
        raise missing
    return now.served


def _bring_in(release: Release, base: pathlib.Path, mend: bool) -> None:
    """Copies a release into the base path unless it is there; with `mend` in the place of one with other bytes."""
    try:
        publish(release.path, base, release.version, release.digest)
    except VersionTaken:
        if not mend:
            raise
        path = base / str(release.version)
        path.chmod(0o755)  # to move a folder is to write into it
        aside = path.rename(base / f".changed-{release.version}-{secrets.token_hex(4)}")
        fault_points.reached("base_path.changed_aside")
        try:
            publish(release.path, base, release.version, release.digest)
        except BaseException:
            aside.rename(path)
            raise


def _take_out(base: pathlib.Path, served: Sequence[int]) -> None:
    """Removes versions that are not to be served; under another name first, since a server looks at any moment."""
    for left in base.glob(f"{TRASH}*"):
        remove(left)
    for path in sorted(base.iterdir(), reverse=True):
        if path.name.isdigit() and int(path.name) not in served:
            path.chmod(0o755)  # to move a folder is to write into it
            aside = path.rename(base / f"{TRASH}{path.name}-{secrets.token_hex(4)}")
            fault_points.reached("base_path.set_aside")
            fsync(base)
            remove(aside)
            fault_points.reached("base_path.taken_out")
