"""From objects to `DeviceModel` and `Device`: the one door of this package for whoever loads them. Pure.

`model` and `device` read bodies that came through the API; `file` reads YAML text with any number of both.
`merged_config` and `merged_visitor` are the overlay alone, for those who need the objects as they are written.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

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
    """All documents of YAML *text* in their order; a Device finds its model in the same text. Never raises.

    Shapes before ``v1beta1`` are converted.
    """
    documents, broken = _documents(text)
    models: dict[tuple[str, str], DeviceModel] = {}
    loaded: dict[int, Loaded] = {}
    for index, document in enumerate(documents):
        if document.kind == "DeviceModel":
            found, complaints = model(document.body)
            models[found.namespace, found.name] = found
            loaded[index] = Loaded(index, found, document.complaints + complaints)
    for index, document in enumerate(documents):
        if document.kind == "Device":
            what, complaints = device(document.body, models.get(_model_key(document.body)))
            loaded[index] = Loaded(index, what, document.complaints + complaints)
        elif index not in loaded:
            loaded[index] = Loaded(index, None, document.complaints)
    return [loaded[index] for index in sorted(loaded)] + broken


@dataclasses.dataclass(frozen=True, slots=True)
class _Document:
    """One document; without a kind it is nothing to load."""

    body: Mapping[str, Any]
    kind: str
    complaints: tuple[Complaint, ...]


def _document(body: object) -> _Document:
    from device_models import v1alpha2  # late: likewise

    if not isinstance(body, dict):
        return _Document({}, "", (Complaint("document", f"must be an object, not {shown(body)}"),))
    kind, (body, notes) = body.get("kind"), v1alpha2.convert(body)
    if kind not in ("DeviceModel", "Device"):
        return _Document({}, "", (Complaint("kind", f"is not looked at: {shown(kind)}", fatal=False),))
    if (version := body.get("apiVersion")) != API_VERSION:
        return _Document({}, "", (Complaint("apiVersion", f"must be {API_VERSION}, not {shown(version)}"),))
    return _Document(body, kind, tuple(notes))


def _model_key(body: Mapping[str, Any]) -> tuple[str, str]:
    whole = Fields(body, "", [])
    return whole.sub("metadata").text("namespace", "default"), whole.sub("spec").sub("deviceModelRef").text("name")


def _documents(text: str) -> tuple[list[_Document], list[Loaded]]:
    """The documents up to the first that is not YAML, and what is wrong with that one."""
    import yaml  # late: a node reads objects, not files

    documents: list[_Document] = []
    try:
        for body in yaml.safe_load_all(text):
            if body is not None:
                documents.append(_document(body))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        return documents, [_broken(len(documents), f"line {line}", error.problem or "is not YAML")]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return documents, [_broken(len(documents), "document", f"is not YAML that can be read: {shown(str(error))}")]
    return documents, []


def _broken(index: int, path: str, message: str) -> Loaded:
    return Loaded(index, None, (Complaint(path, message),))
