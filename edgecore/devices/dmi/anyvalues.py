"""Values of configData wrapped for a mapper: only the five wrappers that mappers decode are ever used. Pure.

A framework mapper silently skips whatever else comes, `DoubleValue` too, so what has no wrapper of its own changes
shape, and the caller is told.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.any_pb2 import Any as AnyValue
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, FloatValue, Int64Value, StringValue

from edgecore.devices.dmi.parts import INT64, text

_FLOAT: Final = struct.Struct("<f")


def fill(data: "Mapping[str, AnyValue]", values: Mapping[str, Any], *, floats: bool, path: str) -> list[str]:
    """Put *values*, none of which is null, into the map field *data*; returns what changed shape, for people.

    With *floats* whole numbers go as 32-bit floats.
    """
    changed: list[str] = []
    for key, value in values.items():
        wrapped = _wrap(value, floats=floats)
        data[key].Pack(wrapped)
        if isinstance(wrapped, StringValue) and not isinstance(value, str):
            changed.append(f"{path}.{key} is sent as text")
    return changed


def _wrap(value: object, *, floats: bool) -> Message:
    match value:
        case bool():
            return BoolValue(value=value)
        case int() | float() if not floats and -INT64 <= value < INT64 and value == int(value):
            return Int64Value(value=int(value))
        case int() | float() if _fits_float(value):
            return FloatValue(value=value)
        case str():
            return StringValue(value=text(value))
    return StringValue(value=text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)))


def _fits_float(value: float) -> bool:
    try:
        return math.isfinite(_FLOAT.unpack(_FLOAT.pack(value))[0])
    except (OverflowError, struct.error):
        return False
