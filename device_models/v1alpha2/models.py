"""DeviceModel: the type object becomes an enum, its members move up; v1alpha1's visitors move to their properties."""

from typing import Any, Final

from device_models.v1alpha2.notes import Notes, Object, shown, shown_key
from device_models.v1alpha2.visitors import visitor

_TYPES: Final = ("int", "string", "double", "float", "boolean", "bytes")
_LIMITS: Final = ("minimum", "maximum")


def is_old(spec: object) -> bool:
    """Whether a model's *spec* has members that only old versions know."""
    if not isinstance(spec, dict):
        return False
    properties = spec.get("properties")
    typed = isinstance(properties, list) and any(
        isinstance(p, dict) and isinstance(p.get("type"), dict) for p in properties
    )
    return "propertyVisitors" in spec or typed


def convert(body: Object, notes: Notes) -> Object:
    """The model *body* in its new shape."""
    if not isinstance(body.get("spec"), dict):
        notes.mapping(body.get("spec"), "spec")
        return body
    spec: Object = dict(body["spec"])
    properties = [
        _property(item, path, notes) for path, item in notes.mappings(spec.get("properties"), "spec.properties")
    ]
    _place_visitors(spec.pop("propertyVisitors", None), properties, notes)
    if properties or "properties" in spec:
        spec["properties"] = properties
    return {**body, "spec": spec}


def _property(item: Object, path: str, notes: Notes) -> Object:
    if not isinstance(item.get("type"), dict):
        return item
    converted = {key: value for key, value in item.items() if key != "type"}
    kinds = item["type"]
    known = [kind for kind in _TYPES if kind in kinds]
    for kind in kinds:
        if kind not in known[:1]:
            notes.add(f"{path}.type.{shown_key(kind)}", "a property has one type of " + ", ".join(_TYPES))
    for kind in known[:1]:
        converted["type"] = kind.upper()
        where = f"{path}.type.{kind}"
        for key, value in _attributes(notes.mapping(kinds[kind], where), where, notes).items():
            converted.setdefault(key, value)
    return converted


def _attributes(old: Object, path: str, notes: Notes) -> dict[str, Any]:
    """Access mode, limits and unit. A default value was never used by anything."""
    notes.unused(old, {"accessMode", "unit", *_LIMITS}, path)
    moved: dict[str, Any] = {key: old[key] for key in ("accessMode", "unit") if old.get(key) is not None}
    for limit in _LIMITS:
        text = notes.scalar(old.get(limit), f"{path}.{limit}")
        if text and not isinstance(old[limit], bool):
            moved[limit] = text
        elif text:
            notes.add(f"{path}.{limit}", f"must be a number, not {shown(old[limit])}")
    return moved


def _place_visitors(visitors: object, properties: list[Object], notes: Notes) -> None:
    """Give every property the visitor that v1alpha1 kept beside it."""
    by_name = {item["name"]: index for index, item in enumerate(properties) if isinstance(item.get("name"), str)}
    for path, old in notes.mappings(visitors, "spec.propertyVisitors"):
        name = notes.name(old, "propertyName", path)
        if not name:
            continue
        for cycle in ("collectCycle", "reportCycle"):
            if old.get(cycle):
                notes.add(f"{path}.{cycle}", "belongs to a device in v1beta1, not to its model")
        if name not in by_name:
            by_name[name] = len(properties)
            properties.append({"name": name})
        place = by_name[name]
        if "visitors" in properties[place]:
            notes.add(path, f"property {shown(name)} has a visitor already")
        elif found := visitor(old, path, notes):
            properties[place] = {**properties[place], "visitors": found}
