"""Structural schemas: pruning, defaulting and validation of custom objects. Pure.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

import copy
import math
import re
from collections.abc import Iterator

import msgspec

from localkube import clock
from localkube.errors import Cause
from localkube.values import Json, Value

_ROOT_FIELDS = ("apiVersion", "kind", "metadata")


def prune(body: Json, schema: Json) -> tuple[Json, list[str]]:
    """*body* without the fields *schema* does not name, and their paths in order."""
    dropped: list[str] = []
    kept: Json = _prune(body, schema, "", dropped)
    return kept, dropped


def _prune(value: Value, schema: Json, path: str, dropped: list[str]) -> Value:
    if isinstance(value, list):
        items = schema.get("items")
        if not isinstance(items, dict):
            return value
        return [_prune(item, items, f"{path}[{index}]", dropped) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or extra is True
    embedded = schema.get("x-kubernetes-embedded-resource")
    result: Json = {}
    for name, item in value.items():
        below = f"{path}.{name}" if path else name
        if name in properties:
            result[name] = _prune(item, properties[name], below, dropped)
        elif isinstance(extra, dict):
            result[name] = _prune(item, extra, below, dropped)
        elif open_ended or (embedded and name in _ROOT_FIELDS):
            result[name] = item
        else:
            dropped.append(below)
    return result


def fill_defaults(value: Value, schema: Json) -> None:
    """Put defaults where *schema* has them and *value*, changed in place, has nothing (or a null it may not have)."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for item in value:
            fill_defaults(item, schema["items"])
    if not isinstance(value, dict):
        return
    for name, below in (schema.get("properties") or {}).items():
        if value.get(name) is None and name in value and not below.get("nullable"):
            del value[name]
        if name not in value and "default" in below:
            value[name] = copy.deepcopy(below["default"])
        if name in value:
            fill_defaults(value[name], below)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        for name, item in value.items():
            if name not in (schema.get("properties") or {}):
                fill_defaults(item, extra)


def validate(value: Value, schema: Json, path: str = "") -> list[Cause]:
    """Every complaint about *value*, in the words of the API server."""
    return list(_validate(value, schema, path))


_BLOCKING = frozenset(
    {"FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid", "FieldValueNotSupported"}
)


def rules_unchecked(causes: list[Cause], schema: Json) -> list[Cause]:
    """The note that goes with complaints which keep a schema's validation rules from being looked at."""
    if not any(cause.reason in _BLOCKING for cause in causes) or not _has_rules(schema):
        return []
    why = "some validation rules were not checked because the object was invalid; correct the existing errors to "
    return [Cause("FieldValueInvalid", f"Invalid value: null: {why}complete validation", "<nil>")]


def _has_rules(schema: Value) -> bool:
    if isinstance(schema, dict):
        return "x-kubernetes-validations" in schema or any(_has_rules(below) for below in schema.values())
    return isinstance(schema, list) and any(_has_rules(below) for below in schema)


def _validate(value: Value, schema: Json, path: str) -> Iterator[Cause]:
    if value is None and schema.get("nullable"):
        return
    problem = _type_problem(value, schema)
    if problem is not None:
        found, expected = problem
        text = "null" if value is None else _shown(found)
        message = f"Invalid value: {text}: {path} in body must be of type {expected}: {_shown(found)}"
        yield Cause("FieldValueTypeInvalid", message, path)
        return
    if isinstance(value, dict):
        yield from _validate_object(value, schema, path)
    elif isinstance(value, list):
        yield from _validate_list(value, schema, path)
    elif isinstance(value, str):
        yield from _validate_text(value, schema, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield from _validate_number(value, schema, path)
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(_shown(item) for item in schema["enum"])
        message = f"Unsupported value: {_shown(value)}: supported values: {supported}"
        yield Cause("FieldValueNotSupported", message, path)
    yield from _validate_combined(value, schema, path)


def _shown(value: Value, kind: str = "") -> str:
    if kind in ("object", "array"):
        return f'"{kind}"'
    return msgspec.json.encode(value).decode()


_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def _type_problem(value: Value, schema: Json) -> tuple[str, str] | None:
    """(found, expected) when the JSON type is wrong."""
    found = _type_name(value)
    if schema.get("x-kubernetes-int-or-string"):
        return None if found in ("integer", "string") else (found, "integer,string")
    expected = schema.get("type")
    if not expected or expected not in _TYPES:
        return None
    if isinstance(value, bool) != (expected == "boolean") or not isinstance(value, _TYPES[expected]):
        if expected == "integer" and isinstance(value, float) and value.is_integer():
            return None
        return found, expected
    return None


def _type_name(value: Value) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _validate_object(value: Json, schema: Json, path: str) -> Iterator[Cause]:
    properties, extra = schema.get("properties") or {}, schema.get("additionalProperties")
    for name in schema.get("required") or []:
        if name not in value:
            yield Cause("FieldValueRequired", "Required value", f"{path}.{name}" if path else name)
    for name in sorted(value):
        below = properties.get(name) or (extra if isinstance(extra, dict) else None)
        if below is not None:
            yield from _validate(value[name], below, f"{path}.{name}" if path else name)
    count = len(value)
    if count > schema.get("maxProperties", math.inf):
        yield _sized(path, count, "should have at most", schema["maxProperties"], "properties")
    if count < schema.get("minProperties", 0):
        yield _sized(path, count, "should have at least", schema["minProperties"], "properties")


def _sized(path: str, value: Value, relation: str, limit: int, what: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {value}: {path} in body {relation} {limit} {what}", path)


def _validate_list(value: list[Value], schema: Json, path: str) -> Iterator[Cause]:
    items = schema.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            yield from _validate(item, items, f"{path}[{index}]")
    if len(value) > schema.get("maxItems", math.inf):
        limit = schema["maxItems"]
        yield Cause("FieldValueTooMany", f"Too many: {len(value)}: must have at most {limit} items", path)
    if len(value) < schema.get("minItems", 0):
        yield _sized(path, len(value), "should have at least", schema["minItems"], "items")
    yield from _duplicates(value, schema, path)


def _duplicates(value: list[Value], schema: Json, path: str) -> Iterator[Cause]:
    kind = schema.get("x-kubernetes-list-type")
    seen: list[Value] = []
    for index, item in enumerate(value):
        if kind == "map" and isinstance(item, dict):
            identity: Value = {key: item[key] for key in schema.get("x-kubernetes-list-map-keys") or [] if key in item}
        elif kind == "set":
            identity = item
        else:
            return
        if identity in seen:
            yield Cause("FieldValueDuplicate", f"Duplicate value: {_shown(identity)}", f"{path}[{index}]")
        seen.append(identity)


_FORMATS = {"date-time": "date-time", "date": "date"}


def _validate_text(value: str, schema: Json, path: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxLength", math.inf):
        limit = schema["maxLength"]
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)
    elif len(value) < schema.get("minLength", 0):
        message = f"Invalid value: {_shown(value)}: {path} in body should be at least {schema['minLength']} chars long"
        yield Cause("FieldValueInvalid", message, path)
    elif (pattern := schema.get("pattern")) and not _search(pattern, value):
        yield Cause(
            "FieldValueInvalid", f"Invalid value: {_shown(value)}: {path} in body should match '{pattern}'", path
        )
    if schema.get("format") == "date-time" and clock.parse(value) is None and not _offset_time(value):
        message = f"Invalid value: {_shown(value)}: {path} in body must be of type date-time: {_shown(value)}"
        yield Cause("FieldValueTypeInvalid", message, path)


def _search(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True


def _offset_time(value: str) -> bool:
    match = re.fullmatch(r"(.*)[+-]\d\d:\d\d", value)
    return match is not None and clock.parse(match[1]) is not None


def _validate_number(value: float, schema: Json, path: str) -> Iterator[Cause]:
    text = _shown(value)
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and (value < low or (value == low and schema.get("exclusiveMinimum"))):
        relation = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        message = f"Invalid value: {text}: {path} in body should be {relation} {_shown(low)}"
        yield Cause("FieldValueInvalid", message, path)
    if high is not None and (value > high or (value == high and schema.get("exclusiveMaximum"))):
        relation = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        message = f"Invalid value: {text}: {path} in body should be {relation} {_shown(high)}"
        yield Cause("FieldValueInvalid", message, path)
    step = schema.get("multipleOf")
    if step and not math.isclose(value / step, round(value / step)):
        message = f"Invalid value: {text}: {path} in body should be a multiple of {_shown(step)}"
        yield Cause("FieldValueInvalid", message, path)


def _validate_combined(value: Value, schema: Json, path: str) -> Iterator[Cause]:
    for part in schema.get("allOf") or []:
        yield from _validate(value, part, path)
    if "anyOf" in schema and not any(not validate(value, part, path) for part in schema["anyOf"]):
        yield _combination(path, "must validate at least one schema (anyOf)")
    if "oneOf" in schema:
        fitting = sum(not validate(value, part, path) for part in schema["oneOf"])
        if fitting != 1:
            found = "Found none valid" if not fitting else f"Found {fitting} valid alternatives"
            yield _combination(path, f"must validate one and only one schema (oneOf). {found}")
    if "not" in schema and not validate(value, schema["not"], path):
        yield _combination(path, "must not validate the schema (not)")


def _combination(path: str, problem: str) -> Cause:
    """The API server names no field here."""
    return Cause("FieldValueInvalid", f'Invalid value: "": "{path}" {problem}', "<nil>")
