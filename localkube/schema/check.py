"""Reads a built-in object the way a typed server does: wrong types refused, unknown fields found, empties dropped.

Source of the messages: what a Kubernetes API server answers for a field of the wrong JSON type.
"""

import re

from localkube import clock
from localkube.errors import bad_request
from localkube.schema.lists import ALWAYS_SHOWN, MICRO_TIMES
from localkube.schema.types import FieldType, fields
from localkube.values import Json, Value

_NOTHING: dict[str, object] = {}
_MICRO = re.compile(r"\.\d{6}Z$")
_OFFSET = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d$")
_GO_NAMES = {"s": "string", "i": "int32", "f": "float64", "b": "bool", "t": "string"}
_PYTHON: dict[str, type | tuple[type, ...]] = {"s": str, "i": int, "f": (int, float), "b": bool, "t": str}


def clean(obj: Json, type_name: str, kind: str, version: str) -> tuple[Json, list[str]]:
    """*obj* without unknown and empty fields, and the paths of the unknown ones. ApiError 400 on wrong types."""
    walk = _Walk(f'{kind} in version "{version}" cannot be handled as a {kind}')
    return walk.structure(obj, type_name, ""), walk.unknown


class _Walk:
    def __init__(self, subject: str) -> None:
        self._subject = subject
        self.unknown: list[str] = []

    def structure(self, value: Json, type_name: str, path: str) -> Json:
        known = fields(type_name)
        result: Json = {}
        for name, item in value.items():
            kind = known.get(name)
            below = f"{path}.{name}" if path else name
            if kind is None:
                self.unknown.append(below)
            elif item is not None:
                cleaned = self.value(item, kind, type_name, below)
                if cleaned or kind.required or not (kind.is_list or kind.is_map):
                    result[name] = cleaned
        for name, zero in ALWAYS_SHOWN.get(type_name, _NOTHING).items():
            if name not in result:
                result[name] = {} if zero == {} else zero
        return result

    def value(self, value: Value, kind: FieldType, owner: str, path: str) -> Value:
        if kind.code == "o":
            return value
        if kind.structure is not None:
            if not isinstance(value, dict):
                raise self.wrong(value, kind, owner, path)
            return self.structure(value, kind.structure, path)
        if kind.is_list:
            if not isinstance(value, list):
                raise self.wrong(value, kind, owner, path)
            return [self.value(item, kind.item, owner, f"{path}[{index}]") for index, item in enumerate(value)]
        if kind.is_map:
            if not isinstance(value, dict):
                raise self.wrong(value, kind, owner, path)
            return {key: self.value(item, kind.item, owner, path) for key, item in value.items() if item is not None}
        return self.scalar(value, kind, owner, path)

    def scalar(self, value: Value, kind: FieldType, owner: str, path: str) -> Value:
        expected = _PYTHON[kind.code]
        if not isinstance(value, expected) or (isinstance(value, bool) and kind.code != "b"):
            if kind.code == "s" and owner in _QUANTITIES and not isinstance(value, (dict, list, bool)):
                return f"{value}"
            raise self.wrong(value, kind, owner, path)
        if kind.code == "t" and isinstance(value, str):
            self.timestamp(value, (owner, path.rpartition(".")[2]))
        return value

    def timestamp(self, value: str, field: tuple[str, str]) -> None:
        if field in MICRO_TIMES:
            if clock.parse(value) is None or not _MICRO.search(value):
                layout, rest = "2006-01-02T15:04:05.000000Z07:00", value[19:] or value
                reason = f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as ".000000"'
                raise bad_request(f"{self._subject}: {reason}")
        elif clock.parse(value) is None and not _OFFSET.search(value):
            reason = f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"'
            raise bad_request(f"{self._subject}: {reason}")

    def wrong(self, value: Value, kind: FieldType, owner: str, path: str) -> Exception:
        found = _json_name(value)
        where = f"{_go_struct(owner)}.{_without_indexes(path)}"
        return bad_request(
            f"{self._subject}: json: cannot unmarshal {found} into Go struct field {where} of type {_go_type(kind)}"
        )


_QUANTITIES = frozenset(
    {"V1ResourceRequirements", "V1NodeStatus", "V1PersistentVolumeSpec", "V1VolumeResourceRequirements"}
)
"""Structures whose maps hold quantities, which may be written as numbers."""


def _without_indexes(path: str) -> str:
    return ".".join(step.split("[")[0] for step in path.split("."))


def _go_struct(type_name: str) -> str:
    for prefix in ("CoreV1", "EventsV1", "V1"):
        if type_name.startswith(prefix):
            return type_name.removeprefix(prefix)
    return type_name


def _go_type(kind: FieldType) -> str:
    if kind.is_list:
        return "[]" + _go_type(kind.item)
    if kind.is_map:
        return "map[string]" + _go_type(kind.item)
    return _GO_NAMES.get(kind.code) or f"v1.{_go_struct(kind.code)}"


def _json_name(value: Value) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
