"""From objects to `DeviceModel` and `Device`: the one door of this package for whoever loads them. Pure.

`model` and `device` read bodies that came through the API; `file` reads YAML text with any number of both.
`merged_config` and `merged_visitor` are the overlay alone, for those who need the objects as they are written.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import yaml

from device_models.errors import Complaint
from device_models.fields import Fields, shown
from device_models.model import Device, DeviceModel
from device_models.overlay import merged_config, merged_visitor
from device_models.read_device import device
from device_models.read_model import model

__all__ = ["Loaded", "device", "file", "merged_config", "merged_visitor", "model"]

API_VERSION: Final = "devices.kubeedge.io/v1beta1"


@dataclasses.dataclass(frozen=True, slots=True)
class Loaded:
    """One document of a file."""

    index: int
    what: DeviceModel | Device | None
    """None for what is neither, and for what cannot be read."""
    complaints: tuple[Complaint, ...] = ()


def file(text: str) -> list[Loaded]:
    """All documents of YAML *text* in their order; a Device finds its model in the same text. Never raises."""
    documents, broken = _documents(text)
    models: dict[tuple[str, str], DeviceModel] = {}
    loaded: dict[int, Loaded] = {}
    for index, body in enumerate(documents):
        if _kind(body) == "DeviceModel":
            found, complaints = model(body)
            models[found.namespace, found.name] = found
            loaded[index] = Loaded(index, found, _version(body) + complaints)
    for index, body in enumerate(documents):
        if _kind(body) == "Device":
            loaded[index] = _device(index, body, models)
        elif index not in loaded:
            loaded[index] = Loaded(index, None, (Complaint("kind", f"is not looked at: {shown(_kind(body))}", False),))
    return [loaded[index] for index in sorted(loaded)] + broken


def _device(index: int, body: Any, models: Mapping[tuple[str, str], DeviceModel]) -> Loaded:  # noqa: ANN401
    fields = Fields(body, "", [])
    reference = fields.sub("spec").sub("deviceModelRef").text("name")
    found, complaints = device(body, models.get((fields.sub("metadata").text("namespace", "default"), reference)))
    return Loaded(index, found, _version(body) + complaints)


def _documents(text: str) -> tuple[list[Any], list[Loaded]]:
    """The documents up to the first that is not YAML, and what is wrong with that one."""
    documents: list[Any] = []
    try:
        for body in yaml.safe_load_all(text):
            if body is not None:
                documents.append(body)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        return documents, [_broken(len(documents), f"line {line}", error.problem or "is not YAML")]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return documents, [_broken(len(documents), "document", f"is not YAML that can be read: {shown(str(error))}")]
    return documents, []


def _broken(index: int, path: str, message: str) -> Loaded:
    return Loaded(index, None, (Complaint(path, message),))


def _kind(body: object) -> object:
    return body.get("kind") if isinstance(body, Mapping) else body


def _version(body: Mapping[str, Any]) -> tuple[Complaint, ...]:
    version = body.get("apiVersion")
    if version == API_VERSION:
        return ()
    return (Complaint("apiVersion", f"must be {API_VERSION}, not {shown(version)}: convert it first"),)
