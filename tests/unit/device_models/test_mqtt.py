"""Properties on MQTT: where in a message they are, and what changes them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_models import mqtt
from device_models.errors import BadValue, Complaint
from device_models.model import Device, Property, Value, ValueType
from device_models.mqtt import Channel


def channel(type: ValueType = ValueType.FLOAT, **visitor: object) -> Channel:
    found, complaints = made(type, **visitor)
    assert not complaints
    return found


def made(type: ValueType, **visitor: object) -> tuple[Channel, list[Complaint]]:
    complaints: list[Complaint] = []
    prop = Property(name="p", type=type, visitor={"topic": "t", **visitor})
    device = Device(namespace="a", name="b", properties={"p": prop})
    return mqtt.channels(device, complaints)["p"], complaints


@pytest.mark.parametrize(
    ("path", "body", "value"),
    [
        ("t", {"t": 21.5}, 21.5),
        ("$.a.b", {"a": {"b": 1}}, 1),
        ("v[1].x", {"v": [0, {"x": "7"}]}, 7.0),
        ("[0]", [3], 3),
        ("v.0", {"v": [4]}, 4),
        ('a["b.c"]', {"a": {"b.c": 2}}, 2),
        ("a['b']", {"a": {"b": 2}}, 2),
        ("$", 5, 5),
        ("t", {"other": 1}, None),
        ("v[9]", {"v": []}, None),
        ("a.b", {"a": 5}, None),
        ("t", {"t": None}, None),
    ],
)
def test_paths(path: str, body: object, value: Value | None) -> None:
    assert mqtt.pick(mqtt.decode(json.dumps(body).encode()), channel(jsonPath=path)) == value


def test_an_object_is_text_or_nothing() -> None:
    body = {"a": {"b": [1]}}
    assert mqtt.pick(body, channel(ValueType.STRING, jsonPath="a")) == '{"b":[1]}'
    with pytest.raises(BadValue):
        mqtt.pick(body, channel(jsonPath="a"))


def test_whole_messages() -> None:
    assert mqtt.whole(b" 21.5\n", channel()) == 21.5
    assert mqtt.whole(b" as it is ", channel(ValueType.STRING)) == " as it is "
    assert mqtt.whole(b"\xff", channel(ValueType.BYTES)) == b"\xff"
    lamp = channel(ValueType.BOOLEAN, payloadOn="ON", payloadOff="OFF")
    assert (mqtt.whole(b"ON", lamp), mqtt.whole(b"OFF", lamp), mqtt.whole(b"true", lamp)) == (True, False, True)
    for raw in (b"warm", b"\xff", b""):
        with pytest.raises(BadValue):
            mqtt.whole(raw, channel())


@pytest.mark.parametrize(
    ("type", "template", "value", "message"),
    [
        (ValueType.FLOAT, "", 21.5, b"21.5"),
        (ValueType.INT, '{"set":${value}}', 7, b'{"set":7}'),
        (ValueType.STRING, '{"set":${json}}', 'a"b${value}', b'{"set":"a\\"b${value}"}'),
        (ValueType.BOOLEAN, "${json}", True, b"true"),
        (ValueType.BYTES, "", b"\x00\xff", b"\x00\xff"),
        (ValueType.BYTES, "${json}", b"\x00\xff", b'"AP8="'),
    ],
)
def test_commands(type: ValueType, template: str, value: Value, message: bytes) -> None:
    assert mqtt.command(channel(type, commandTopic="c", commandTemplate=template), value) == message


def test_words_in_commands() -> None:
    lamp = channel(ValueType.BOOLEAN, commandTopic="c", payloadOn="ON", payloadOff="OFF")
    assert (mqtt.command(lamp, True), mqtt.command(lamp, False)) == (b"ON", b"OFF")


@pytest.mark.parametrize(
    ("visitor", "complaint"),
    [
        ({"topic": "a/+"}, "topic: must be one topic"),
        ({"topic": ""}, "needs topic, commandTopic or both"),
        ({"commandTopic": "a/#"}, "commandTopic: must be one topic"),
        ({"jsonPath": "a[b"}, "jsonPath: cannot be understood"),
        ({"commandTemplate": "on"}, "must contain"),
        ({"commandTemplate": "${valeu}"}, "neither"),
        ({"commandTemplate": '{"a":"${value}"}'}, "must use ${json}"),
        ({"payloadOn": "ON"}, "come together"),
    ],
)
def test_complaints(visitor: dict[str, object], complaint: str) -> None:
    _, complaints = made(ValueType.STRING, **visitor)
    assert any(complaint in str(found) for found in complaints), complaints


@given(st.binary(max_size=80), st.sampled_from(ValueType), st.sampled_from(["", "a", "a[0].b", "$"]))
def test_random_messages_make_a_value_or_bad_value(raw: bytes, type: ValueType, path: str) -> None:
    found = channel(type, jsonPath=path)
    try:
        mqtt.whole(raw, found)
    except BadValue:
        pass
    try:
        mqtt.pick(mqtt.decode(raw), found)
    except BadValue:
        pass


@given(st.text(max_size=40))
def test_any_path_is_understood_or_complained_about(path: str) -> None:
    found, _ = made(ValueType.FLOAT, jsonPath=path)
    try:
        mqtt.pick({"a": [1, {"b": 2}]}, found)
    except BadValue:
        pass
