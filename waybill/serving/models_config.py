"""What is decided about all models -> models.config, which TensorFlow Serving serves by.

    model_config_list { config { name: "orders" base_path: "/srv/serving/orders" model_platform: "tensorflow"
      model_version_policy { specific { versions: 20130701000001 versions: 20131001000001 } }
      version_labels { key: "stable" value: 20131001000001 } } }

Labels are in it where the server that follows it can be asked: a label may only be moved to a version that answers already.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import secrets
from collections.abc import Mapping

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from waybill.records import fault_points
from waybill.records.settings import Settings
from waybill.serving import state
from waybill.serving.errors import ServingError
from waybill.serving.folders import fsync
from waybill.serving.state import ServingState
from waybill.store.connection import Store

NAME = "models.config"
STABLE = "stable"


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the file says of a model.

    Attributes:
      versions: Those to load, ascending.
      labels: Version by label.
    """

    versions: tuple[int, ...]
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def present(base: pathlib.Path) -> list[int]:
    """The versions that TensorFlow Serving would see under a base path, ascending."""
    return sorted(int(path.name) for path in base.iterdir() if path.name.isdigit()) if base.is_dir() else []


def decided(settings: Settings, store: Store, known: Mapping[str, ServingState] | None = None) -> dict[str, Entry]:
    """What the file should say, by model; only versions that are there.

    Args:
      settings: Where things are.
      store: The MLMD database.
      known: States that were read already, by model; only what was decided since is read of those.
    """
    found = {}
    for base in sorted(path for path in settings.serving.iterdir() if path.is_dir() and not path.name.startswith(".")):
        now = state.read(store, base.name, (known or {}).get(base.name))
        there = present(base)
        if served := tuple(version for version in now.served if version in there):
            found[base.name] = Entry(served, {STABLE: now.stable} if settings.server and now.stable in served else {})
    return found


def read(serving: pathlib.Path) -> dict[str, Entry]:
    """What the file says; nothing where there is none, or what is there is no such file."""
    config = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse((serving / NAME).read_text(encoding="utf-8"), config)
    except (OSError, UnicodeDecodeError, text_format.ParseError):
        return {}
    return {
        one.name: Entry(tuple(sorted(one.model_version_policy.specific.versions)), dict(one.version_labels))
        for one in config.model_config_list.config
    }


def text(serving: pathlib.Path, entries: Mapping[str, Entry]) -> str:
    """The file's text."""
    config = model_server_config_pb2.ModelServerConfig()
    for name, entry in sorted(entries.items()):
        one = config.model_config_list.config.add(name=name, base_path=str(serving / name), model_platform="tensorflow")
        one.model_version_policy.specific.versions.extend(entry.versions)
        for label, version in sorted(entry.labels.items()):
            one.version_labels[label] = version
    return text_format.MessageToString(config)


def write(serving: pathlib.Path, entries: Mapping[str, Entry]) -> None:
    """Writes the file, whole or not at all.

    Raises:
      ServingError: if the file system refuses; the one before stays.
    """
    said, path = text(serving, entries), serving / NAME
    for left in serving.glob(f".{NAME}.*"):
        left.unlink()  # of a process that was killed; a living one would hold the path
    if path.is_file() and path.read_text(encoding="utf-8") == said:
        return
    aside = serving / f".{NAME}.{secrets.token_hex(4)}"
    try:
        with aside.open("x", encoding="utf-8") as handle:
            handle.write(said)
            handle.flush()
            os.fsync(handle.fileno())
        fault_points.reached("base_path.config_staged")
        aside.replace(path)
        fault_points.reached("base_path.config_written")
        fsync(serving)
    except OSError as error:
        raise ServingError(f"cannot write {str(path)!r}: {error}; the one before stays") from error
    finally:
        aside.unlink(missing_ok=True)
