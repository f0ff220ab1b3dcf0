"""A property's visitor: one object per protocol becomes ``protocolName`` and ``configData``."""

from typing import Final

from device_models.v1alpha2.notes import Notes, Object

PROTOCOLS: Final = ("modbus", "opcua", "bluetooth")
CUSTOM: Final = ("customizedProtocol", "customizedProtocal")
"""The second is a slip in a published sample that people copied."""

_KNOWN: Final = {"propertyName", "collectCycle", "reportCycle", "customizedValues", *PROTOCOLS, *CUSTOM}


def visitor(old: Object, path: str, notes: Notes) -> Object:
    """What *old* says of reaching a property, as ``visitors`` of v1beta1; empty if it says nothing."""
    notes.unused(old, _KNOWN, path)
    name, config = protocol(old, path, notes)
    extra = notes.mapping(old.get("customizedValues"), f"{path}.customizedValues")
    if extra:
        config = {**config, "customizedValues": extra}
    found: Object = {"protocolName": name} if name else {}
    return {**found, "configData": config} if config else found


def protocol(old: Object, path: str, notes: Notes) -> tuple[str, Object]:
    """Name and settings of the protocol that *old* has an object for; empty if for none."""
    present = [key for key in (*PROTOCOLS, *CUSTOM) if old.get(key) is not None]
    for key in present[1:]:
        notes.add(f"{path}.{key}", f"only one protocol can be carried over, and that is {present[0]}")
    if not present:
        return "", {}
    key = present[0]
    where = f"{path}.{key}"
    settings = notes.mapping(old[key], where)
    if key in PROTOCOLS:
        return key, settings
    notes.unused(settings, {"protocolName", "configData"}, where)
    name = notes.scalar(settings.get("protocolName"), f"{where}.protocolName")
    return name, notes.mapping(settings.get("configData"), f"{where}.configData")
