"""Protobuf → the JSON form of the same object."""

import base64
from collections.abc import Iterator

from localkube import clock
from localkube.errors import bad_request
from localkube.schema.types import FieldType, fields
from localkube.values import Json, Value
from localkube.wire.numbers import BYTES, NUMBERS, OPTIONAL, QUANTITIES

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_TYPES = {
    "TokenRequest": "AuthenticationV1TokenRequest",
    "DeleteOptions": "V1DeleteOptions",
    "Subject": "RbacV1Subject",
}
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class Unsupported(Exception):
    """A body of a structure whose field numbers are not known here."""


def decode(body: bytes) -> Json:
    """The object in the envelope *body*; Unsupported when its kind is not one of those kubectl sends."""
    if not body.startswith(_MAGIC):
        raise bad_request("the request body does not start with the protobuf magic number")
    envelope = dict(_fields(body[len(_MAGIC) :]))
    about = dict(_fields(_as_bytes(envelope.get(1, b""))))
    version, kind = _text(about.get(1, b"")), _text(about.get(2, b""))
    obj = _structure(_as_bytes(envelope.get(2, b"")), _TYPES.get(kind, f"V1{kind}"))
    return {"kind": kind, "apiVersion": version, **obj}


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise bad_request("the protobuf request body has a number where a message belongs")
    return value


def _text(value: int | bytes) -> str:
    return _as_bytes(value).decode(errors="replace")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, varint or bytes) of one message."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == _LENGTH:
            size, position = _varint(data, position)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise bad_request("the protobuf request body cannot be read")
        if position + size > len(data):
            raise bad_request("the protobuf request body is cut off")
        yield number, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise bad_request("the protobuf request body is cut off")


def _structure(data: bytes, type_name: str) -> Json:
    numbers = NUMBERS.get(type_name)
    if numbers is None:
        raise Unsupported(type_name)
    known = fields(type_name)
    result: Json = {}
    for number, raw in _fields(data):
        name = numbers.get(number)
        if name is None:
            if not raw:  # Go writes unset fields, too: nothing is lost
                continue
            raise Unsupported(f"{type_name} field {number}")
        kind = known[name]
        if kind.is_list:
            result.setdefault(name, []).append(_value(raw, kind.item, type_name, name))
        elif kind.is_map:
            entry = dict(_fields(_as_bytes(raw)))
            result.setdefault(name, {})[_text(entry.get(1, b""))] = _map_value(entry.get(2, b""), type_name, name)
        else:
            value = _value(raw, kind, type_name, name)
            if value or kind.required or name in OPTIONAL or kind.structure is not None:
                result[name] = value
    return result


def _map_value(raw: int | bytes, owner: str, name: str) -> str:
    if (owner, name) in BYTES:
        return base64.b64encode(_as_bytes(raw)).decode()
    if (owner, name) in QUANTITIES:
        return _text(dict(_fields(_as_bytes(raw))).get(1, b""))
    return _text(raw)


def _value(raw: int | bytes, kind: FieldType, owner: str, name: str) -> Value:
    match kind.code:
        case "s":
            return _text(raw)
        case "b":
            return bool(raw)
        case "i":
            number = raw if isinstance(raw, int) else int.from_bytes(raw, "little")
            return number - (1 << 64) if number >> 63 else number
        case "t":
            seconds = dict(_fields(_as_bytes(raw))).get(1)
            return clock.timestamp(seconds) if isinstance(seconds, int) and seconds < 1 << 40 else None
        case "o":
            return _int_or_string(_as_bytes(raw))
    if kind.structure is None:
        raise Unsupported(f"{owner}.{name}")
    return _structure(_as_bytes(raw), kind.structure)


def _int_or_string(data: bytes) -> int | str:
    parts = dict(_fields(data))
    if parts.get(1):
        return _text(parts.get(3, b""))
    number = parts.get(2, 0)
    return number if isinstance(number, int) else 0
