"""models.config, or names with base paths -> the models to serve, checked as TensorFlow Serving checks them.

model_config_list { config { name: 'orders' base_path: '/srv/models/orders' model_platform: 'tensorflow' } }
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from waybill.server.errors import RequestError, ServerError, invalid
from waybill.server.source import Policy

PLATFORM = "tensorflow"


@dataclasses.dataclass(frozen=True)
class Model:
    """One model to serve.

    Attributes:
      name: What it is called in requests.
      base: Folder whose children are its versions.
      policy: Which of the versions there are.
      labels: Version by label.
    """

    name: str
    base: pathlib.Path
    policy: Policy = dataclasses.field(default_factory=Policy)
    labels: Mapping[str, int] = dataclasses.field(default_factory=dict)


def read(path: pathlib.Path) -> tuple[Model, ...]:
    """The models of a file.

    Raises:
      ServerError: if it cannot be read or is no ModelServerConfig; the text has TensorFlow Serving's words.
      RequestError: if TensorFlow Serving would not accept it.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ServerError(f"cannot read {str(path)!r}: {error}") from error
    try:
        message = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as error:
        raise ServerError(
            f"Error parsing text-format tensorflow.serving.ModelServerConfig: {error}, in {str(path)!r}; the shape of the file is in "
            "docs/answering.md"
        ) from error
    return models_of(message)


def models_of(message: Any) -> tuple[Model, ...]:
    """The models of a ModelServerConfig.

    Raises:
      RequestError: if it is no list of models, names one twice, or a model has no platform or no absolute base path.
    """
    if message.WhichOneof("config") != "model_config_list":
        raise invalid("ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported")
    found: dict[str, Model] = {}
    for one in message.model_config_list.config:
        if one.name in found:
            raise invalid(f"Illegal to list model {one.name} multiple times in config list")
        if not one.base_path.startswith("/"):
            raise invalid(f"Expected model {one.name} to have an absolute path or URI; got base_path()={one.base_path}")
        if (platform := _platform(one)) != PLATFORM:
            raise RequestError("FAILED_PRECONDITION", f"PlatformConfigMap has no entry for platform {platform}")
        policy = Policy.of(one.model_version_policy)
        found[one.name] = Model(one.name, pathlib.Path(one.base_path), policy, dict(one.version_labels))
    return tuple(found.values())


def named(pairs: Iterable[str]) -> tuple[Model, ...]:
    """Models given as `name=base path`, each with its highest version.

    Raises:
      ServerError: if one is not of that form, or a name comes twice.
    """
    found: dict[str, Model] = {}
    for pair in pairs:
        name, separator, base = pair.partition("=")
        if not (name and separator and base):
            raise ServerError(f"--model {pair!r}; expected a name and the folder of its versions, such as orders=/srv/models/orders")
        if name in found:
            raise ServerError(f"--model names {name!r} twice; several versions of a model are folders under one base path")
        found[name] = Model(name, pathlib.Path(base).absolute())
    return tuple(found.values())


def _platform(one: Any) -> str:
    """The platform of a ModelConfig, which an old field may say in another way."""
    if one.model_type:
        if one.model_platform:
            raise invalid(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, model name is "
                f"{one.name}"
            )
        if one.model_type != 1:
            raise invalid(f"ModelServerConfig::model_type choice {one.model_type} not supported.")
        return PLATFORM
    if not one.model_platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, model name is "
            f"{one.name}"
        )
    return str(one.model_platform)
