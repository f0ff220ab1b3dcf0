"""Body of a DeviceModel → `DeviceModel`. Pure; nothing raises for bad content.

A property that cannot be read is left out. A limit that cannot be read makes its property read-only instead: readings
are still worth having, but nothing is written past a limit that somebody meant.
"""

from collections.abc import Mapping
from typing import Any, Final

from device_models.errors import Complaint
from device_models.fields import Fields, finite_number, shown, whole_number
from device_models.model import DeviceModel, ModelProperty, ValueType
from device_models.overlay import merged_config
from device_models.parts import MAX_PROPERTIES, config, frozen, identity, keep, named, part_name

_TYPES: Final = {of.value: of for of in ValueType}
_ACCESS: Final = {"ReadWrite": True, "ReadOnly": False}
_NUMERIC: Final = (ValueType.INT, ValueType.FLOAT, ValueType.DOUBLE)
_MEANWHILE: Final = "until then the property is read-only"

Limits = tuple[float | None, float | None]


def model(body: Mapping[str, Any]) -> tuple[DeviceModel, tuple[Complaint, ...]]:
    """The DeviceModel in *body*, and all that is wrong with it."""
    complaints: list[Complaint] = []
    whole = Fields(body, "", complaints)
    namespace, name, _ = identity(whole)
    spec = whole.sub("spec")
    protocol = spec.text("protocol", longest=253)
    defaults = merged_config(None, config(spec, "protocolConfigData"))
    properties: dict[str, ModelProperty] = {}
    for fields in named(spec, "properties", MAX_PROPERTIES):
        keep(complaints, fields, _property(fields), properties)
    loaded = DeviceModel(
        name=name, namespace=namespace, protocol=protocol, config=frozen(defaults), properties=frozen(properties)
    )
    return loaded, tuple(complaints)


def _property(fields: Fields) -> ModelProperty:
    name = part_name(fields)
    if "type" not in fields:
        fields.missing("type", "STRING is taken", fatal=False)
    of = fields.choice("type", _TYPES, ValueType.STRING)
    writable = fields.choice("accessMode", _ACCESS, False)
    limits = _limits(fields, of)
    minimum, maximum = limits or (None, None)
    visitors = fields.sub("visitors")
    return ModelProperty(
        name=name,
        type=of,
        writable=writable and limits is not None,
        minimum=minimum,
        maximum=maximum,
        unit=fields.text("unit", longest=64),
        description=fields.text("description"),
        visitor=frozen(merged_config(None, config(visitors, "configData"))),
    )


def _limits(fields: Fields, of: ValueType) -> Limits | None:
    """Minimum and maximum; None if they cannot be read."""
    found: list[float | None] = []
    for key in ("minimum", "maximum"):
        value = fields.raw(key)
        if value in (None, ""):
            found.append(None)
        elif of not in _NUMERIC:
            fields.complain(key, f"means nothing for type {of}", fatal=False)
            found.append(None)
        else:
            if not isinstance(value, str):
                fields.complain(key, "must be in quotes, or the API refuses it", fatal=False)
            number = finite_number(value)
            if number is None:
                fields.complain(key, f"must be a number, not {shown(value)}: {_MEANWHILE}", fatal=False)
                return None
            whole = whole_number(value)
            found.append(number if whole is None else whole)
    minimum, maximum = found
    if minimum is not None and maximum is not None and minimum > maximum:
        fields.complain(
            "minimum", f"must not be above the maximum {maximum}, as {minimum} is: {_MEANWHILE}", fatal=False
        )
        return None
    return minimum, maximum
