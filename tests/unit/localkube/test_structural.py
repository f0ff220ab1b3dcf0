"""Structural schemas of custom resources."""

import pytest

from localkube.customs import structural
from localkube.values import Json, Value

SCHEMA: Json = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 100},
                "color": {"type": "string", "enum": ["red", "green"], "default": "green"},
                "name": {"type": "string", "pattern": "^[a-z]+$", "minLength": 2, "maxLength": 8},
                "port": {"x-kubernetes-int-or-string": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "dict": {"type": "object", "additionalProperties": {"type": "string"}},
                "maybe": {"type": "string", "nullable": True},
                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "maxItems": 3},
                "parts": {
                    "type": "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "properties": {"name": {"type": "string"}, "qty": {"default": 1}}},
                },
                "one": {"type": "object", "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
            },
        }
    },
}


def complaints(**spec: Value) -> dict[str, str]:
    return {cause.field: cause.reason for cause in structural.validate({"spec": spec}, SCHEMA)}


def test_a_sound_object() -> None:
    assert complaints(size=3, color="red", port="http", maybe=None, tags=["a"], one={"a": 1}) == {}


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({}, "spec.size", "FieldValueRequired"),
        ({"size": 0}, "spec.size", "FieldValueInvalid"),
        ({"size": 101}, "spec.size", "FieldValueInvalid"),
        ({"size": "three"}, "spec.size", "FieldValueTypeInvalid"),
        ({"size": True}, "spec.size", "FieldValueTypeInvalid"),
        ({"size": 1, "color": "pink"}, "spec.color", "FieldValueNotSupported"),
        ({"size": 1, "name": "UPPER"}, "spec.name", "FieldValueInvalid"),
        ({"size": 1, "name": "abcdefghijk"}, "spec.name", "FieldValueTooLong"),
        ({"size": 1, "port": True}, "spec.port", "FieldValueTypeInvalid"),
        ({"size": 1, "tags": ["a", "a"]}, "spec.tags[1]", "FieldValueDuplicate"),
        ({"size": 1, "tags": list("abcd")}, "spec.tags", "FieldValueTooMany"),
        ({"size": 1, "parts": [{"name": "p"}, {"name": "p"}]}, "spec.parts[1]", "FieldValueDuplicate"),
        ({"size": 1, "dict": {"a": 1}}, "spec.dict.a", "FieldValueTypeInvalid"),
        ({"size": 1, "one": {"a": 1, "b": 2}}, "<nil>", "FieldValueInvalid"),
    ],
)
def test_each_rule_is_checked(spec: Json, field: str, reason: str) -> None:
    assert complaints(**spec) == {field: reason}


def test_unknown_fields_are_dropped_and_named() -> None:
    body = {"spec": {"size": 1, "nosuch": 1, "free": {"any": 1}, "parts": [{"name": "p", "x": 1}]}, "top": 1}
    kept, dropped = structural.prune(body, SCHEMA)
    assert kept == {"spec": {"size": 1, "free": {"any": 1}, "parts": [{"name": "p"}]}}
    assert dropped == ["spec.nosuch", "spec.parts[0].x", "top"]


def test_defaults_are_filled_in_within_lists_too() -> None:
    body: Json = {"spec": {"size": 1, "color": None, "maybe": None, "parts": [{"name": "p"}]}}
    structural.fill_defaults(body, SCHEMA)
    assert body["spec"]["color"] == "green"
    assert body["spec"]["maybe"] is None
    assert body["spec"]["parts"] == [{"name": "p", "qty": 1}]
