"""The OpenAPI v2 document in the protobuf form that kubectl asks for.

Field numbers: OpenAPIv2.proto of the gnostic project. Only what our documents contain is written.
"""

import json

from localkube.values import Json, Value


def encode(document: Json) -> bytes:
    """*document* as a message ``openapi.v2.Document``."""
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    named = b"".join(_message(1, _named(name, _schema(schema))) for name, schema in document["definitions"].items())
    return _text(1, document["swagger"]) + _message(2, info) + _message(8, b"") + _message(9, named)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _message(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _text(number: int, text: str) -> bytes:
    return _message(number, text.encode())


def _named(name: str, value: bytes) -> bytes:
    return _text(1, name) + _message(2, value)


def _any(value: Value) -> bytes:
    """An ``Any``: its YAML text, of which JSON is a kind."""
    return _text(2, json.dumps(value) + "\n")


def _schema(schema: Json) -> bytes:
    """A ``Schema``; validation keywords are left out, kubectl does not look at them."""
    out = b""
    if "$ref" in schema:
        out += _text(1, schema["$ref"])
    if format_ := schema.get("format"):
        out += _text(2, format_)
    if description := schema.get("description"):
        out += _text(4, description)
    for name in schema.get("required") or []:
        out += _text(19, name)
    extra = schema.get("additionalProperties")
    if isinstance(extra, dict):
        out += _message(21, _message(1, _schema(extra)))
    if "type" in schema:
        out += _message(22, _text(1, schema["type"]))
    if isinstance(schema.get("items"), dict):
        out += _message(23, _message(1, _schema(schema["items"])))
    if properties := schema.get("properties"):
        named = b"".join(_message(1, _named(name, _schema(below))) for name, below in properties.items())
        out += _message(25, named)
    for name, value in schema.items():
        if name.startswith("x-kubernetes-"):
            out += _message(31, _text(1, name) + _message(2, _any(value)))
    return out
