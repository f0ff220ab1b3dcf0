"""Reads devices and models in the shapes before ``v1beta1``: what KubeEdge 1.2 to 1.14 called v1alpha1 and v1alpha2.

KubeEdge has no such conversion: it accepts the old objects and never looks at them. Everything here takes whatever
JSON there is: what cannot be carried over is a `Complaint`, never an exception.
"""

from typing import Any, Final, Protocol

from device_models.errors import Complaint
from device_models.v1alpha2 import devices, models
from device_models.v1alpha2.notes import Notes

__all__ = ["convert", "is_old"]

_GROUP: Final = "devices.kubeedge.io"
_NEW: Final = f"{_GROUP}/v1beta1"
_OLD: Final = (f"{_GROUP}/v1alpha2", f"{_GROUP}/v1alpha1")


def is_old(body: dict[str, Any]) -> bool:
    """Whether *body* is a device or a model in an old shape, by its apiVersion or, relabelled, by its fields."""
    shape = _shape(body)
    if shape is None:
        return False
    version = body.get("apiVersion", _NEW)
    return version in _OLD or (version == _NEW and shape.is_old(body.get("spec")))


def convert(body: dict[str, Any]) -> tuple[dict[str, Any], list[Complaint]]:
    """*body* as ``v1beta1``, and what of it has no place there. A body that is not old comes back as it is.

    *body* is not changed, but the result may share parts with it.
    """
    shape = _shape(body)
    if shape is None or not is_old(body):
        return body, []
    notes = Notes()
    return {**shape.convert(body, notes), "apiVersion": _NEW}, notes.complaints


class _Shape(Protocol):
    """What both modules can do."""

    def is_old(self, spec: object) -> bool: ...

    def convert(self, body: dict[str, Any], notes: Notes) -> dict[str, Any]: ...


def _shape(body: dict[str, Any]) -> _Shape | None:
    kind, spec = body.get("kind"), body.get("spec")
    if kind is None:  # items of a list say neither kind nor version
        kind = "Device" if isinstance(spec, dict) and "deviceModelRef" in spec else "DeviceModel"
    return devices if kind == "Device" else models if kind == "DeviceModel" else None
