"""A model's state by the journal -> the folders that TensorFlow Serving looks at, and its models.config.

    serving/models.config
    serving/orders/20130701000001/    the version before, loaded in no time if it is needed
    serving/orders/20131001000001/    the stable one

Nothing here is a record: whatever is missing is copied again from the release store, and whatever does not belong is taken out. A version
comes in whole by one rename and goes out by one rename; the new one is in before an old one goes, so that the path never runs empty.
"""

from __future__ import annotations

import os
import pathlib
import secrets
from collections.abc import Sequence

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from waybill.records.settings import Settings
from waybill.serving import releases, state
from waybill.serving.errors import ServingError, VersionTaken
from waybill.serving.folders import fsync, locked, remove
from waybill.serving.publish import publish
from waybill.serving.releases import Release
from waybill.store.connection import Store

CONFIG = "models.config"
_TRASH = ".trash-"


def follow(store: Store, settings: Settings, model: str, *, mend: bool = False) -> tuple[int, ...]:
    """Makes a model's base path what the journal says; returns the versions in it.

    Asked again, by whomever and however many at once, it does what is left to do: the journal is read while the path is held.

    Args:
      store: The MLMD database.
      settings: Where things are.
      model: The model's name.
      mend: Whether a version with other bytes than its release is put aside and copied again, instead of being an error.

    Raises:
      NoSuchRelease: if a version that is to be served is not on record.
      ServingError: if a release's bytes are not what was released, or the file system refuses. What was served before stays then, unless
        only the version below the stable one is missing.
    """
    base = settings.serving / model
    try:
        base.mkdir(parents=True, exist_ok=True)
        with locked(settings.serving):
            return _follow(store, settings, model, base, mend)
    except OSError as error:
        raise ServingError(f"cannot make {str(base)!r} what was decided: {error}. It is decided all the same: try again") from error


def _follow(store: Store, settings: Settings, model: str, base: pathlib.Path, mend: bool) -> tuple[int, ...]:
    """Brings the stable version in, then the one below it, then takes out what is above or was before."""
    now = state.read(store, model)
    missing: ServingError | None = None
    for version in reversed(now.served):
        try:
            _bring_in(releases.find(store, model, version), base, mend)
        except ServingError as error:
            if version == now.stable:
                raise
            missing = error
    _take_out(base, now.served)
    _configure(settings.serving, store)
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
        try:
            publish(release.path, base, release.version, release.digest)
        except BaseException:
            aside.rename(path)
            raise


def present(base: pathlib.Path) -> list[int]:
    """The versions that TensorFlow Serving would see, ascending."""
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdigit()) if base.is_dir() else []


def _take_out(base: pathlib.Path, served: Sequence[int]) -> None:
    """Removes versions that are not to be served; under another name first, since a server looks at any moment."""
    for left in base.glob(f"{_TRASH}*"):
        remove(left)
    for path in sorted(base.iterdir(), reverse=True):
        if path.name.isdigit() and int(path.name) not in served:
            path.chmod(0o755)  # to move a folder is to write into it
            aside = path.rename(base / f"{_TRASH}{path.name}-{secrets.token_hex(4)}")
            fsync(base)
            remove(aside)


def config_text(serving: pathlib.Path, store: Store) -> str:
    """The model_config_list of everything that is served, as text.

    It names versions and no labels: TensorFlow Serving refuses a whole file in which a label names a version that is not loaded yet.
    """
    config = model_server_config_pb2.ModelServerConfig()
    for base in sorted(path for path in serving.iterdir() if path.is_dir() and not path.name.startswith(".")):
        served = [version for version in state.read(store, base.name).served if version in present(base)]
        if served:
            one = config.model_config_list.config.add(name=base.name, base_path=str(base), model_platform="tensorflow")
            one.model_version_policy.specific.versions.extend(served)
    return text_format.MessageToString(config)


def _configure(serving: pathlib.Path, store: Store) -> None:
    """Writes models.config, whole or not at all."""
    text, path = config_text(serving, store), serving / CONFIG
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    aside = serving / f".{CONFIG}.{secrets.token_hex(4)}"
    try:
        with aside.open("x", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        aside.replace(path)
        fsync(serving)
    except OSError as error:
        raise ServingError(f"cannot write {str(path)!r}: {error}; the one before stays") from error
    finally:
        aside.unlink(missing_ok=True)
