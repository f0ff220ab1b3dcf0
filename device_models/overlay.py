"""How a device's configData lies over its model's: on plain JSON objects, for drivers and for DMI alike. Pure."""

from collections.abc import Mapping
from typing import Any


def merged_config(model_part: object, device_part: object) -> dict[str, Any]:
    """The model's configData overlaid with the device's, key by key; null is absent; what is no object is empty.

    A device's key replaces the model's that is spelt the same, else those that differ in case only.
    """
    merged = _members(model_part)
    for key, value in _members(device_part).items():
        if key not in merged:
            folded = key.casefold()
            merged = {other: kept for other, kept in merged.items() if other.casefold() != folded}
        merged[key] = value
    return merged


def merged_visitor(model_visitors: object, device_visitors: object) -> dict[str, Any]:
    """``visitors`` of a device's property over its model's; ``protocolName`` and ``configData`` are always there.

    If the model's visitors name a protocol, that replaces the device's.
    """
    base, own = _members(model_visitors), _members(device_visitors)
    name = base.get("protocolName") or own.get("protocolName")
    return {
        "protocolName": name if isinstance(name, str) else "",
        "configData": merged_config(base.get("configData"), own.get("configData")),
    }


def _members(part: object) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        return {}
    return {key: value for key, value in part.items() if isinstance(key, str) and value is not None}
