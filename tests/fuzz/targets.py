"""What reads bytes or objects from others, with good input to spoil and the errors it promises.

To add one: a function that takes one input and lets only unexpected errors out, and its line in `TARGETS`.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from google.protobuf.message import DecodeError, Message

from cloudcore.downstream import devices as downstream
from cloudcore.upstream.device_patches import device_status, merge_patch
from device_models import catalog, load, modbus, mqtt, payloads, values, visitor
from device_models.errors import BadValue, Complaint
from device_models.model import Device, Property, ValueType
from device_models.v1alpha2 import convert, is_old
from edgecore.bus import filters
from edgecore.devices import entry
from edgecore.devices.dmi import convert as dmi_convert
from edgecore.devices.dmi import requests as dmi_requests
from edgecore.devices.dmi.pb import dmi_pb2 as pb
from edgecore.devices.topics import names
from edgecore.push import client
from edgelink.objects import Action, Kind, NodeName, ObjectKey, Report, Uid

SAMPLES: Final = Path(__file__).parents[1] / "samples" / "devices"
TEXTS: Final = [path.read_text() for path in sorted(SAMPLES.glob("*.yaml"))]
BODIES: Final = [body for text in TEXTS for body in yaml.safe_load_all(text)]
MODELS: Final = [body for body in BODIES if body["kind"] == "DeviceModel"]
DEVICES: Final = [body for body in BODIES if body["kind"] == "Device"]
PAIRS: Final = [[model, device] for model, device in itertools.pairwise(BODIES) if device["kind"] == "Device"]


@dataclasses.dataclass(frozen=True)
class Target:
    """*run* takes what became of one of *seeds*: bytes of bytes, any JSON of JSON."""

    run: Callable[[Any], object]
    seeds: Sequence[Any]


def _body(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"spec": value}


def load_model(value: object) -> None:
    load.model(_body(value))


def load_pair(value: object) -> None:
    """A device over its model, as far as its Modbus registers."""
    model, device = value if isinstance(value, list) and len(value) == 2 else (value, value)
    found, complaints = load.device(_body(device), load.model(_body(model))[0])
    assert all(str(complaint) for complaint in complaints)
    for prop in found.properties.values():
        with contextlib.suppress(visitor.BadVisitor):
            visitor.register(prop)


def load_text(value: bytes) -> None:
    load.file(value.decode(errors="replace"))


def convert_old(value: object) -> None:
    converted, _ = convert(_body(value))
    assert not is_old(converted)
    assert convert(converted) == (converted, [])


def convert_stored(value: bytes) -> None:
    with contextlib.suppress(ValueError):
        downstream.converted(Kind.DEVICE, value)


def visit(value: object) -> None:
    """A visitor of each type, and bytes through what it says."""
    config = value if isinstance(value, dict) else {}
    for of in ValueType:
        prop = Property(name="p", type=of, visitor=config)
        with contextlib.suppress(visitor.BadVisitor, BadValue):
            spec = visitor.register(prop)
            held = bytes(range(256)) * 16
            spec.encode(spec.decode(held[: spec.size]))


def decode(value: bytes) -> None:
    """Register bytes in every form that a catalog's property has."""
    for prop in CATALOG:
        spec = visitor.register(prop)
        for part in (value, value[: spec.size].ljust(spec.size, b"\xff")):
            with contextlib.suppress(BadValue):
                values.check(spec.decode(part), prop)


def reach(value: object) -> None:
    with contextlib.suppress(modbus.BadTarget):
        modbus.target(Device(namespace="a", name="b", config=value if isinstance(value, dict) else {}))


def twin_payload(value: bytes) -> None:
    for read in (payloads.parse_update, payloads.parse_get, payloads.parse_state):
        with contextlib.suppress(payloads.BadRequest):
            read(value)


def mqtt_setting(value: object) -> None:
    """What a device's owner wrote, and with that a good message read and a command written."""
    config = value if isinstance(value, dict) else {}
    for of in ValueType:
        prop = Property(name="p", type=of, writable=True, visitor=config)
        complaints: list[Complaint] = []
        found = Device(namespace="a", name="b", config=config, properties={"p": prop})
        mqtt.availability(found, complaints)
        channel = mqtt.channels(found, complaints).get("p")
        if channel and not complaints:
            _take(MESSAGES[0], channel)
            mqtt.command(channel, b"1" if of is ValueType.BYTES else values.parse("1", of))


def mqtt_message(value: bytes) -> None:
    for of in ValueType:
        for config in CHANNELS:
            channel = mqtt.channels(
                Device(namespace="a", name="b", properties={"p": Property(name="p", type=of, visitor=config)}), []
            )["p"]
            _take(value, channel)


def _take(message: bytes, channel: mqtt.Channel) -> None:
    """As the driver does, and what is done with every value that a driver hands over."""
    with contextlib.suppress(BadValue):
        got = mqtt.whole(message, channel) if channel.path is None else mqtt.pick(mqtt.decode(message), channel)
        if got is not None:
            values.render(values.coerce(got, channel.prop))


def topic(value: bytes) -> None:
    text = value.decode(errors="replace")
    names.parse(text)
    if filters.valid_filter(text):
        filters.matches(text, TOPICS[0].decode())
    if filters.valid_topic(text):
        assert filters.matches("#", text) or text.startswith("$")


def text_value(value: bytes) -> None:
    """Text as each type, and what it became as text again."""
    text = value.decode(errors="surrogateescape")
    for of in ValueType:
        with contextlib.suppress(BadValue):
            assert values.parse(values.render(found := values.parse(text, of)), of) == found
    prop = Property(name="p", type=ValueType.INT, writable=True, minimum=-5, maximum=5)
    with contextlib.suppress(BadValue):
        assert -5 <= int(values.desired(text, prop)) <= 5


def dmi_message(value: object) -> None:
    """A device for a mapper, written and read again."""
    model, device = value if isinstance(value, list) and len(value) == 2 else (value, value)
    for floats in (False, True):
        message, _ = dmi_convert.device_message(_body(device), _body(model), floats=floats)
        assert pb.Device.FromString(message.SerializeToString()) == message
        dmi_convert.fingerprint(message)
    extra = dmi_convert.undeclared(_body(device), _body(model))
    dmi_convert.fingerprint(dmi_convert.model_message(_body(model), extra))


def dmi_request(value: bytes) -> None:
    with contextlib.suppress(DecodeError, dmi_requests.Malformed):
        dmi_requests.mapper(pb.MapperRegisterRequest.FromString(value))
    with contextlib.suppress(DecodeError, dmi_requests.Malformed):
        report = pb.ReportDeviceStatusRequest.FromString(value)
        dmi_requests.changes(dmi_requests.told(report), {}, {})
        dmi_requests.device(report.deviceName, report.deviceNamespace)


def device_report(value: object) -> None:
    """What an edge says of a device, on its way into a patch."""
    body = json.dumps(value).encode()
    report = Report(ObjectKey("devicestatuses", "a", "b"), Uid("uid"), 1, Action.STATUS, body)
    with contextlib.suppress(ValueError):
        merge_patch(device_status(report, NodeName("edge-1")))


def _property(name: str) -> list[Property]:
    model, _ = load.model(yaml.safe_load(catalog.read(name)))
    return [Property(name=p.name, type=p.type, visitor=p.visitor) for p in model.properties.values()]


def _message(message: Message) -> bytes:
    return message.SerializeToString()


CATALOG: Final = [_property(name)[0] for name in catalog.names()] + _property("huawei-sun2000")
VISITORS: Final = [
    item["visitors"]["configData"]
    for body in MODELS + DEVICES
    for item in body["spec"].get("properties", ())
    if (item.get("visitors") or {}).get("configData")
]
CONFIGS: Final = [
    body["spec"]["protocol"]["configData"] for body in DEVICES if body["spec"]["protocol"].get("configData")
]
TWINS: Final = [
    b'{"event_id":"1","timestamp":1786010400000,"twin":{"t":{"expected":{"value":"1","metadata":{"expires":1}},'
    b'"actual":{"value":"21.5","metadata":{"timestamp":1786010400000}},"optional":true,"metadata":{"type":"int"},'
    b'"expected_version":{"cloud":1,"edge":2},"actual_version":{"cloud":1,"edge":2}}}}',
    b'{"event_id":"","timestamp":0,"twin":{"t":null}}',
    b'{"event_id":"1","state":"online"}',
]
CHANNELS: Final = [
    {"topic": "t"},
    {
        "topic": "t",
        "jsonPath": "$.params[1].t",
        "commandTopic": "c",
        "commandTemplate": '{"t": ${json}}',
        "payloadOn": "ON",
        "payloadOff": "OFF",
    },
    {"topic": "t", "jsonPath": "params", "availabilityTopic": "up", "payloadAvailable": "1"},
]
MESSAGES: Final = [b'{"params": [{}, {"t": 21.5}]}', b'{"params": "ON"}', b"21.5", b"ON", b"\x00\xff"]
TOPICS: Final = [
    b"$hw/events/device/ns/dev/twin/update",
    b"$hw/events/device/dev/state/update",
    b"$hw/events/node/n/membership/get",
    b"$hw/events/+/+/+/twin/#",
]
REPORT: Final = {
    "status": {
        "state": "online",
        "lastOnlineTime": "2026-08-06T10:00:00Z",
        "twins": [
            {
                "propertyName": "t",
                "reported": {"value": "21.5", "metadata": {"timestamp": "1786010400000", "type": "float"}},
                "observedDesired": {"value": "22", "metadata": {"state": "Applied", "reason": ""}},
            }
        ],
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-08-06T10:00:00Z"}],
        "ledger": {"produced": 1, "stored": 1, "sent": 1, "acknowledged": 1, "dropped": 0, "because": {"age": 1}},
    }
}
REQUESTS: Final = [
    _message(
        pb.MapperRegisterRequest(
            withData=True, mapper=pb.MapperInfo(name="m", version="1", protocol="modbus", address=b"/run/m.sock")
        )
    ),
    _message(
        pb.ReportDeviceStatusRequest(
            deviceName="d",
            deviceNamespace="ns",
            reportedDevice=pb.DeviceStatus(
                twins=[pb.Twin(propertyName="t", reported=pb.TwinProperty(value="1", metadata={"timestamp": "1"}))]
            ),
        )
    ),
]


def http_answer(raw: bytes) -> None:
    """What a push destination may answer."""

    async def read() -> None:
        reader = asyncio.StreamReader(limit=32 << 10)
        reader.feed_data(raw)
        reader.feed_eof()
        status, fields = await client._head(reader)
        await client._body(reader, status, fields)

    with contextlib.suppress(ValueError, EOFError, asyncio.LimitOverrunError):  # `Origin.post` translates these
        asyncio.run(read())


def stored_twins(raw: bytes) -> None:
    """A twin row that passed its seal and is wrong all the same."""
    with contextlib.suppress(ValueError, RecursionError):  # `Book` takes these
        entry.restore(entry.Entry(Device(namespace="n", name="d")), raw)


ANSWERS: Final = [
    b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
]
ROWS: Final = [
    b'{"state":"online","lastOnline":"","ready":{"status":"True","reason":"","message":"","since":""},"twins":{"t":'
    b'{"type":"float","expected":["2",5,1,0],"actual":["1",5,0,3],"wish":["Writing","","cloud",null,"ab"]}}}'
]

TARGETS: Final = {
    "model": Target(load_model, MODELS),
    "device": Target(load_pair, PAIRS),
    "yaml": Target(load_text, [text.encode() for text in TEXTS]),
    "v1alpha2": Target(convert_old, BODIES),
    "stored": Target(convert_stored, [json.dumps(body).encode() for body in BODIES]),
    "visitor": Target(visit, VISITORS),
    "registers": Target(decode, [bytes(range(16)), b"\x7f\xc0\0\0", b"Fronius\0\0"]),
    "modbus": Target(reach, CONFIGS),
    "twin": Target(twin_payload, TWINS),
    "mqtt-setting": Target(mqtt_setting, CHANNELS),
    "mqtt-message": Target(mqtt_message, MESSAGES),
    "topic": Target(topic, TOPICS),
    "value": Target(text_value, [b"21.5", b"-3", b"true", b"AQID", b"1e3", "pümp".encode()]),
    "dmi-message": Target(dmi_message, PAIRS),
    "dmi-request": Target(dmi_request, REQUESTS),
    "report": Target(device_report, [REPORT]),
    "http-answer": Target(http_answer, ANSWERS),
    "twin-row": Target(stored_twins, ROWS),
}
