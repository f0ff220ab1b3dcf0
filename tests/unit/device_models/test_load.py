"""Objects become models and devices; what is wrong is said all at once, and costs no more than it must."""

import copy
import math
import random
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from device_models import load
from device_models.errors import Complaint
from device_models.model import (
    Desired,
    Device,
    DeviceModel,
    Method,
    PushHttp,
    PushInflux,
    PushMqtt,
    PushOtel,
    ValueType,
)

MODEL: dict[str, Any] = yaml.safe_load("""
apiVersion: devices.kubeedge.io/v1beta1
kind: DeviceModel
metadata: {name: kiln, namespace: plant}
spec:
  protocol: modbus
  protocolConfigData: {communicateMode: TCP, port: "502", ip: 10.0.0.1}
  properties:
  - {name: heat, type: FLOAT, accessMode: ReadOnly, unit: C, minimum: "-40", maximum: "1300.5", description: Inside,
     visitors: {protocolName: modbus, configData: {register: HoldingRegister, offset: 10, scale: 0.1, deadBand: 0.5}}}
  - {name: setpoint, type: INT, accessMode: ReadWrite, minimum: "0", maximum: "1200"}
  - {name: label, type: STRING, accessMode: ReadWrite}
""")
DEVICE: dict[str, Any] = yaml.safe_load("""
apiVersion: devices.kubeedge.io/v1beta1
kind: Device
metadata: {name: kiln-1, namespace: plant, uid: u-1, labels: {description: by-the-door}}
spec:
  deviceModelRef: {name: kiln}
  nodeName: edge-1
  protocol: {protocolName: modbus, configData: {ip: 10.0.0.9, slaveID: 4}}
  stateReport: {reportToCloud: true, reportCycle: 30000}
  properties:
  - {name: heat, collectCycle: 500, reportCycle: 2000, reportToCloud: true,
     visitors: {protocolName: other, configData: {offset: 12, limit: 2}}}
  - name: setpoint
    desired: {value: "900", metadata: {type: int}}
  methods: [{name: Fire, description: Go, propertyNames: [setpoint]}]
""")


def _model(**changes: object) -> DeviceModel:
    found, complaints = load.model({**MODEL, **changes})
    assert complaints == ()
    return found


def _changed(body: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """*body* with *value* at a dotted *path*; ``DELETE`` removes the member."""
    whole = copy.deepcopy(body)
    *way, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = whole
    for step in way:
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    if value == "DELETE":
        del place[last]
    else:
        place[last] = value
    return whole


def _told(complaints: tuple[Complaint, ...]) -> list[str]:
    return [f"{'!' if complaint.fatal else '?'} {complaint}" for complaint in complaints]


def test_a_model_with_everything() -> None:
    kiln = _model()
    assert (kiln.namespace, kiln.name, kiln.protocol) == ("plant", "kiln", "modbus")
    assert kiln.config == {"communicateMode": "TCP", "port": "502", "ip": "10.0.0.1"}
    heat = kiln.properties["heat"]
    assert (heat.type, heat.writable, heat.unit, heat.description) == (ValueType.FLOAT, False, "C", "Inside")
    assert (heat.minimum, heat.maximum) == (-40, 1300.5)
    assert heat.visitor["offset"] == 10
    assert kiln.properties["setpoint"].writable
    assert kiln.properties["label"].visitor == {}


def test_a_device_lies_over_its_model() -> None:
    kiln, complaints = load.device(DEVICE, _model())
    assert complaints == ()
    assert (kiln.id, kiln.uid, kiln.model, kiln.protocol) == ("plant/kiln-1", "u-1", "kiln", "modbus")
    assert kiln.config == {"communicateMode": "TCP", "port": "502", "ip": "10.0.0.9", "slaveID": 4}
    assert kiln.description == "by-the-door"
    assert list(kiln.properties) == ["heat", "setpoint"]
    heat, setpoint = kiln.properties.values()
    assert heat.visitor == {"register": "HoldingRegister", "offset": 12, "scale": 0.1, "deadBand": 0.5, "limit": 2}
    assert (heat.type, heat.unit, heat.minimum, heat.maximum) == (ValueType.FLOAT, "C", -40, 1300.5)
    assert (heat.collect_cycle, heat.report_cycle, heat.report_to_cloud, heat.sampled) == (0.5, 2.0, True, True)
    assert (heat.dead_band, heat.only_changes, heat.desired) == (0.5, True, None)
    assert (setpoint.collect_cycle, setpoint.report_cycle, setpoint.sampled) == (1.0, 1.0, False)
    assert setpoint.desired == Desired(value="900", metadata={"type": "int"})
    assert setpoint.writable
    assert kiln.methods == (Method(name="Fire", description="Go", properties=("setpoint",)),)


def test_loaded_values_cannot_be_changed() -> None:
    kiln, _ = load.device(DEVICE, _model())
    with pytest.raises(TypeError):
        kiln.properties["heat"].visitor["offset"] = 1  # type: ignore[index]
    with pytest.raises(TypeError):
        kiln.config["ip"] = ""  # type: ignore[index]


def test_the_same_object_makes_an_equal_device() -> None:
    assert load.device(copy.deepcopy(DEVICE), _model()) == load.device(DEVICE, _model())
    other = _changed(DEVICE, "spec.properties.0.visitors.configData.offset", 13)
    assert load.device(other, _model()) != load.device(DEVICE, _model())


@pytest.mark.parametrize(
    ("model_part", "device_part", "merged"),
    [
        (None, None, {}),
        ({"a": 1}, None, {"a": 1}),
        (None, {"a": 1, "b": None}, {"a": 1}),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 3}}, {"a": {"x": 3}}),
        ({"offset": 1}, {"Offset": 2}, {"Offset": 2}),
        ({"a": 1, "A": 2}, {"a": 3}, {"a": 3, "A": 2}),
        ({"a": 1}, {"a": None}, {"a": 1}),
        ("text", [1], {}),
        ({1: 2}, {None: 3}, {}),
    ],
)
def test_config_is_overlaid_key_by_key(model_part: object, device_part: object, merged: dict[str, Any]) -> None:
    assert load.merged_config(model_part, device_part) == merged


@pytest.mark.parametrize(
    ("model_part", "device_part", "name"),
    [
        (None, None, ""),
        (None, {"protocolName": "a"}, "a"),
        ({"protocolName": "m"}, {"protocolName": "a"}, "m"),
        ({"configData": {}}, {"protocolName": "a"}, "a"),
        ({"protocolName": 5}, None, ""),
    ],
)
def test_the_protocol_of_the_models_visitor_wins(model_part: object, device_part: object, name: str) -> None:
    assert load.merged_visitor(model_part, device_part) == {"protocolName": name, "configData": {}}


def test_visitors_are_overlaid() -> None:
    visitor = load.merged_visitor({"configData": {"a": 1, "b": 1}}, {"protocolName": "p", "configData": {"b": 2}})
    assert visitor == {"protocolName": "p", "configData": {"a": 1, "b": 2}}


def test_null_config_is_absent() -> None:
    body = _changed(_changed(DEVICE, "spec.protocol.configData", None), "spec.properties.0.visitors", None)
    kiln, complaints = load.device(body, _model())
    assert complaints == ()
    assert kiln.config["ip"] == "10.0.0.1"
    assert kiln.properties["heat"].visitor["offset"] == 10


def test_the_smallest_device() -> None:
    body = {"metadata": {"name": "a"}, "spec": {"deviceModelRef": {"name": "kiln"}, "protocol": {"protocolName": "x"}}}
    found, complaints = load.device(body, DeviceModel(name="kiln"))
    assert complaints == ()
    assert found == Device(namespace="default", name="a", model="kiln", protocol="x")


def test_names_that_break_the_apis_rule_are_left_out() -> None:
    body = _changed(_changed(DEVICE, "metadata.name", "a/../b"), "metadata.namespace", "x" * 254)
    found, complaints = load.device(body, _model())
    assert [complaint.path for complaint in complaints] == ["metadata.namespace", "metadata.name"]
    assert (found.namespace, found.name) == ("", "")


def test_the_models_protocol_serves_a_device_without() -> None:
    kiln, complaints = load.device(_changed(DEVICE, "spec.protocol", "DELETE"), _model())
    assert complaints == ()
    assert kiln.protocol == "modbus"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("10s", 10.0), ("250ms", 0.25), ("1.5m", 90.0), ("2h", 7200.0), ("0s", 1.0), (10, 1.0), ("10", 1.0), ("s", 1.0)],
)
def test_a_visitor_may_say_a_cycle_with_its_unit(written: object, seconds: float) -> None:
    body = _changed(DEVICE, "spec.properties.1.visitors", {"configData": {"collectCycle": written}})
    kiln, complaints = load.device(body, _model())
    assert complaints == ()
    assert kiln.properties["setpoint"].collect_cycle == seconds
    again, _ = load.device(_changed(body, "spec.properties.1.collectCycle", 700), _model())
    assert again.properties["setpoint"].collect_cycle == 0.7


def test_our_own_keys_among_a_visitors() -> None:
    config = {"DEADBAND": "0.25", "everySample": "true"}
    kiln, complaints = load.device(_changed(DEVICE, "spec.properties.0.visitors.configData", config), _model())
    assert complaints == ()
    heat = kiln.properties["heat"]
    assert (heat.dead_band, heat.only_changes) == (0.25, False)


@pytest.mark.parametrize("value", [None, {}, {"value": ""}, {"value": None, "metadata": {"type": "int"}}])
def test_an_empty_desired_value_is_no_wish(value: object) -> None:
    kiln, complaints = load.device(_changed(DEVICE, "spec.properties.1.desired", value), _model())
    assert complaints == ()
    assert kiln.properties["setpoint"].desired is None


PUSHES: list[tuple[dict[str, Any], object]] = [
    (
        {"http": {"hostName": "http://h", "port": 80, "requestPath": "/in", "timeout": 5}},
        PushHttp(url="http://h:80/in", timeout=5.0),
    ),
    (
        {"http": {"hostName": "https://h/", "requestPath": "in", "format": "json"}},
        PushHttp(url="https://h/in", json=True),
    ),
    ({"http": {"hostName": "http://h:8080"}}, PushHttp(url="http://h:8080")),
    (
        {"mqtt": {"address": "tcp://b:1883", "topic": "a/b", "qos": 1, "retained": True, "format": "JSON"}},
        PushMqtt(address="tcp://b:1883", topic="a/b", qos=1, retained=True, json=True),
    ),
    ({"mqtt": {"address": "b:1883", "topic": "t", "format": "text"}}, PushMqtt(address="b:1883", topic="t")),
    ({"otel": {"endpointURL": "http://c:4318/v1/metrics"}}, PushOtel(url="http://c:4318/v1/metrics")),
    (
        {
            "dbMethod": {
                "influxdb2": {
                    "influxdb2ClientConfig": {"url": "http://i:8086", "org": "o", "bucket": "b"},
                    "influxdb2DataConfig": {"measurement": "m", "fieldKey": "f", "tag": {"site": "s", "line": 2}},
                }
            }
        },
        PushInflux(
            url="http://i:8086", org="o", bucket="b", measurement="m", field="f", tags={"site": "s", "line": "2"}
        ),
    ),
]


@pytest.mark.parametrize(("method", "push"), PUSHES)
def test_push_methods(method: dict[str, Any], push: object) -> None:
    kiln, complaints = load.device(_changed(DEVICE, "spec.properties.0.pushMethod", method), _model())
    assert complaints == ()
    assert kiln.properties["heat"].push == (push,)


def test_all_push_methods_at_once() -> None:
    every = {key: value for method, _ in PUSHES for key, value in method.items()}
    kiln, complaints = load.device(_changed(DEVICE, "spec.properties.0.pushMethod", every), _model())
    assert complaints == ()
    assert [type(push) for push in kiln.properties["heat"].push] == [PushHttp, PushMqtt, PushOtel, PushInflux]


PUSH = "spec.properties.0.pushMethod"
BAD_PUSHES: list[tuple[dict[str, Any], list[str]]] = [
    ({"http": {}}, ["! http.hostName: is missing: must be a string of at most 1024 bytes"]),
    ({"http": {"hostName": "h"}}, ["! http.hostName: must make a URL such as http://10.0.0.5:8080/in"]),
    ({"http": {"hostName": "ftp://h"}}, ["! http.hostName: must make a URL such as http://10.0.0.5:8080/in"]),
    (
        {"http": {"hostName": "http://h", "requestPath": "/a\r\nX: y"}},
        ["! http.hostName: must make a URL such as http://10.0.0.5:8080/in"],
    ),
    (
        {"http": {"hostName": "http://h", "port": 70000}},
        ["! http.port: must be a whole number from 0 to 65535, not 70000"],
    ),
    ({"http": "http://h"}, ["! http: must be an object, not 'http://h'"]),
    (
        {"http": {"hostName": "http://h", "format": "xml"}},
        ["! http.format: must be one of json, text, legacy, not 'xml'"],
    ),
    ({"mqtt": {"address": "a b", "topic": "t"}}, ["! mqtt.address: must be an address such as tcp://10.0.0.5:1883"]),
    (
        {"mqtt": {"address": "b", "topic": "a/#"}},
        ["! mqtt.topic: must be printable and have none of the wildcards + and #"],
    ),
    ({"mqtt": {"address": "b", "topic": "t", "qos": 3}}, ["! mqtt.qos: must be a whole number from 0 to 2, not 3"]),
    ({"otel": {"endpointURL": "c:4318"}}, ["! otel.endpointURL: must be a URL that begins with http:// or https://"]),
    (
        {"dbMethod": {"influxdb2": {"influxdb2ClientConfig": {"url": "http://i", "org": "o", "bucket": ""}}}},
        [
            "! dbMethod.influxdb2.influxdb2ClientConfig.bucket: must not be empty",
            "! dbMethod.influxdb2.influxdb2DataConfig.measurement: is missing: must be a string of at most 256 bytes",
            "! dbMethod.influxdb2.influxdb2DataConfig.fieldKey: is missing: must be a string of at most 256 bytes",
        ],
    ),
]


@pytest.mark.parametrize(("method", "told"), BAD_PUSHES)
def test_a_bad_push_method_costs_only_itself(method: dict[str, Any], told: list[str]) -> None:
    good = {"otel": {"endpointURL": "http://c"}} if "otel" not in method else {"mqtt": {"address": "b", "topic": "t"}}
    kiln, complaints = load.device(_changed(DEVICE, PUSH, {**good, **method}), _model())
    path = "spec.properties[0].pushMethod."
    assert [line.replace(path, "") for line in _told(complaints)] == told
    assert len(kiln.properties["heat"].push) == 1


def test_databases_of_mappers_are_named() -> None:
    method = {"dbMethod": {"redis": {}, "tdengine": {}, "mysql": {}}, "anomalyDetection": {"any": 1}}
    kiln, complaints = load.device(_changed(DEVICE, PUSH, method), _model())
    reason = "is left to mappers: the drivers of this edgecore do not push there"
    assert _told(complaints) == [
        f"? spec.properties[0].pushMethod.{name}: {reason}"
        for name in ("dbMethod.redis", "dbMethod.tdengine", "dbMethod.mysql", "anomalyDetection")
    ]
    assert kiln.properties["heat"].push == ()


def test_a_timeout_in_milliseconds_is_noticed() -> None:
    method = {"http": {"hostName": "http://h", "timeout": 3000}}
    kiln, complaints = load.device(_changed(DEVICE, PUSH, method), _model())
    assert _told(complaints) == [
        "? spec.properties[0].pushMethod.http.timeout: counts seconds: 60 is taken, not 3000",
    ]
    assert kiln.properties["heat"].push == (PushHttp(url="http://h", timeout=60.0),)


BAD_MODELS: list[tuple[str, object, list[str], list[str]]] = [
    ("metadata.name", "DELETE", ["! metadata.name: is missing: must be a string"], ["heat", "setpoint", "label"]),
    (
        "metadata.name",
        "../kiln",
        ["! metadata.name: must be up to 253 small letters, digits, '-' and '.', not '../kiln'"],
        ["heat", "setpoint", "label"],
    ),
    (
        "metadata",
        5,
        ["! metadata: must be an object, not 5"],
        ["heat"],
    ),
    ("spec", None, [], []),
    ("spec", [], ["! spec: must be an object, not a list"], []),
    ("spec.properties", {"heat": {}}, ["! spec.properties: must be a list, not an object"], []),
    (
        "spec.properties.0",
        "heat",
        ["! spec.properties[0]: must be an object, not 'heat'"],
        ["setpoint", "label"],
    ),
    (
        "spec.properties.0",
        None,
        [
            "! spec.properties[0].name: is missing: must be a string of at most 128 bytes",
            "? spec.properties[0].type: is missing: STRING is taken",
        ],
        ["setpoint", "label"],
    ),
    (
        "spec.properties.0.type",
        "X",
        [
            "! spec.properties[0].type: must be one of INT, FLOAT, DOUBLE, STRING, BOOLEAN, BYTES, STREAM, not 'X'",
            "? spec.properties[0].minimum: means nothing for type STRING",
            "? spec.properties[0].maximum: means nothing for type STRING",
        ],
        ["setpoint", "label"],
    ),
    (
        "spec.properties.0.accessMode",
        "WriteOnly",
        ["! spec.properties[0].accessMode: must be one of ReadWrite, ReadOnly, not 'WriteOnly'"],
        ["setpoint", "label"],
    ),
    (
        "spec.properties.1.name",
        "heat",
        ["! spec.properties[1].name: must be unique: 'heat' is there already"],
        ["heat", "label"],
    ),
    (
        "spec.properties.1.name",
        "a\nb",
        ["! spec.properties[1].name: must be printable, not 'a\\nb'"],
        ["heat", "label"],
    ),
    (
        "spec.properties.1.name",
        "n" * 129,
        ["! spec.properties[1].name: must have at most 128 bytes, not 129"],
        ["heat", "label"],
    ),
    (
        "spec.properties.1.visitors",
        {"configData": "offset=3"},
        ["! spec.properties[1].visitors.configData: must be an object, not 'offset=3'"],
        ["heat", "label"],
    ),
    (
        "spec.properties.1.visitors",
        {"configData": {f"k{number}": 1 for number in range(257)}},
        ["! spec.properties[1].visitors.configData: must have at most 256 members, not 257"],
        ["heat", "label"],
    ),
    (
        "spec.properties.1.unit",
        "u" * 65,
        ["! spec.properties[1].unit: must have at most 64 bytes, not 65"],
        ["heat", "label"],
    ),
    (
        "spec.protocolConfigData",
        [1],
        ["! spec.protocolConfigData: must be an object, not a list"],
        ["heat", "setpoint", "label"],
    ),
    ("spec.protocol", {}, ["! spec.protocol: must be a string of at most 253 bytes, not an object"], ["heat"]),
    (
        "spec.properties.2.minimum",
        "1",
        ["? spec.properties[2].minimum: means nothing for type STRING"],
        ["heat", "setpoint", "label"],
    ),
    (
        "spec.properties.1.minimum",
        3,
        ["? spec.properties[1].minimum: must be in quotes, or the API refuses it"],
        ["heat", "setpoint", "label"],
    ),
]


@pytest.mark.parametrize(("path", "value", "told", "left"), BAD_MODELS)
def test_malformed_models(path: str, value: object, told: list[str], left: list[str]) -> None:
    found, complaints = load.model(_changed(MODEL, path, value))
    assert _told(complaints) == told
    assert list(found.properties)[: len(left)] == left


@pytest.mark.parametrize(
    ("minimum", "maximum", "told"),
    [
        ("low", "9", "minimum: must be a number, not 'low': until then the property is read-only"),
        ("1", "1e999", "maximum: must be a number, not '1e999': until then the property is read-only"),
        (
            "10",
            "9.5",
            "minimum: must not be above the maximum 9.5, as 10 is: until then the property is read-only",
        ),
    ],
)
def test_a_limit_that_cannot_be_read_stops_writing_not_reading(minimum: str, maximum: str, told: str) -> None:
    body = _changed(_changed(MODEL, "spec.properties.1.minimum", minimum), "spec.properties.1.maximum", maximum)
    found, complaints = load.model(body)
    assert _told(complaints) == [f"? spec.properties[1].{told}"]
    setpoint = found.properties["setpoint"]
    assert (setpoint.writable, setpoint.minimum, setpoint.maximum) == (False, None, None)


def test_empty_limits_are_none() -> None:
    setpoint = _model(**_changed(MODEL, "spec.properties.1.minimum", "")).properties["setpoint"]
    assert (setpoint.writable, setpoint.minimum, setpoint.maximum) == (True, None, 1200)


def test_too_many_properties() -> None:
    many = [{"name": f"p{number}", "type": "INT"} for number in range(1001)]
    found, complaints = load.model(_changed(MODEL, "spec.properties", many))
    assert _told(complaints) == [
        "! spec.properties: must have at most 1000 elements, not 1001: the rest is left out",
    ]
    assert len(found.properties) == 1000


BAD_DEVICES: list[tuple[str, object, list[str], list[str]]] = [
    (
        "spec.deviceModelRef",
        "DELETE",
        ["! spec.deviceModelRef.name: is missing: must be a string of at most 253 bytes"],
        ["heat", "setpoint"],
    ),
    ("spec.deviceModelRef.name", "", ["! spec.deviceModelRef.name: must not be empty"], ["heat", "setpoint"]),
    (
        "spec.protocol.configData",
        "tcp",
        ["! spec.protocol.configData: must be an object, not 'tcp'"],
        ["heat", "setpoint"],
    ),
    (
        "spec.properties.0.name",
        "DELETE",
        ["! spec.properties[0].name: is missing: must be a string of at most 128 bytes"],
        ["setpoint"],
    ),
    (
        "spec.properties.1.name",
        "heat",
        [
            "! spec.properties[1].name: must be unique: 'heat' is there already",
            "? spec.properties[1].desired.value: is read-only: its model does not say accessMode ReadWrite",
            "? spec.methods[0].propertyNames[0]: must be the name of a property of this device, not 'setpoint'",
        ],
        ["heat"],
    ),
    (
        "spec.properties.0.collectCycle",
        "often",
        [
            "! spec.properties[0].collectCycle: must be a whole number from -9223372036854775808"
            " to 9223372036854775807, not 'often'"
        ],
        ["setpoint"],
    ),
    (
        "spec.properties.0.collectCycle",
        -5,
        ["? spec.properties[0].collectCycle: must not be negative, as -5 is: 1 s is taken"],
        ["heat", "setpoint"],
    ),
    (
        "spec.properties.0.reportCycle",
        10_000_000_000,
        ["? spec.properties[0].reportCycle: counts milliseconds: 10000000000 is 115 days; were nanoseconds meant?"],
        ["heat", "setpoint"],
    ),
    (
        "spec.properties.0.reportToCloud",
        "perhaps",
        ["! spec.properties[0].reportToCloud: must be true or false, not 'perhaps'"],
        ["setpoint"],
    ),
    (
        "spec.properties.0.visitors.configData.deadBand",
        -1,
        ["! spec.properties[0].visitors.configData.deadBand: must be a number of at least 0, not -1"],
        ["setpoint"],
    ),
    (
        "spec.properties.0.visitors.configData.everySample",
        "some",
        ["! spec.properties[0].visitors.configData.everySample: must be true or false, not 'some'"],
        ["setpoint"],
    ),
    (
        "spec.properties.0.visitors",
        5,
        ["! spec.properties[0].visitors: must be an object, not 5"],
        ["setpoint"],
    ),
    (
        "spec.properties.1.desired.value",
        "1500",
        ["? spec.properties[1].desired.value: must be at most 1200, not 1500"],
        ["heat", "setpoint"],
    ),
    (
        "spec.properties.1.desired.value",
        "hot",
        ["? spec.properties[1].desired.value: must be a whole number, base 10, not 'hot'"],
        ["heat", "setpoint"],
    ),
    (
        "spec.properties.1.desired.value",
        900,
        ["? spec.properties[1].desired.value: must be in quotes, or the API refuses it"],
        ["heat", "setpoint"],
    ),
    (
        "spec.properties.1.desired.value",
        "9" * 4097,
        ["! spec.properties[1].desired.value: must have at most 4096 bytes, not 4097"],
        ["heat", "setpoint"],
    ),
    (
        "spec.properties.1.desired.metadata",
        {"type": []},
        ["! spec.properties[1].desired.metadata.type: must be a string, not a list"],
        ["heat", "setpoint"],
    ),
    (
        "spec.properties.0.desired",
        {"value": "5"},
        ["? spec.properties[0].desired.value: is read-only: its model does not say accessMode ReadWrite"],
        ["heat", "setpoint"],
    ),
    (
        "spec.methods.0.propertyNames",
        ["setpoint", "fan", 5],
        [
            "? spec.methods[0].propertyNames[1]: must be the name of a property of this device, not 'fan'",
            "? spec.methods[0].propertyNames[2]: must be the name of a property of this device, not 5",
        ],
        ["heat", "setpoint"],
    ),
    (
        "spec.methods",
        [{"name": "Fire"}, {"name": "Fire"}, {}],
        [
            "! spec.methods[1].name: must be unique: 'Fire' is there already",
            "! spec.methods[2].name: is missing: must be a string of at most 128 bytes",
        ],
        ["heat", "setpoint"],
    ),
    (
        "spec.properties.0.pushMethod",
        "http",
        ["! spec.properties[0].pushMethod: must be an object, not 'http'"],
        ["heat", "setpoint"],
    ),
]


@pytest.mark.parametrize(("path", "value", "told", "left"), BAD_DEVICES)
def test_malformed_devices(path: str, value: object, told: list[str], left: list[str]) -> None:
    found, complaints = load.device(_changed(DEVICE, path, value), _model())
    assert _told(complaints) == told
    assert list(found.properties) == left


def test_a_device_without_protocol_has_no_driver() -> None:
    body = _changed(DEVICE, "spec.protocol", "DELETE")
    found, complaints = load.device(body, DeviceModel(name="kiln"))
    assert found.protocol == ""
    assert "! spec.protocol.protocolName: is missing: it chooses the driver" in _told(complaints)


@pytest.mark.parametrize("path", ["spec", "spec.protocol"])
def test_a_section_that_is_no_object_is_one_mistake(path: str) -> None:
    _, complaints = load.device(_changed(DEVICE, path, 5), DeviceModel(name="kiln", properties=_model().properties))
    assert _told(complaints) == [f"! {path}: must be an object, not 5"]


def test_a_wish_that_will_be_rejected_is_kept_for_its_verdict() -> None:
    found, _ = load.device(_changed(DEVICE, "spec.properties.1.desired.value", "1500"), _model())
    assert found.properties["setpoint"].desired == Desired(value="1500", metadata={"type": "int"})


def test_what_the_model_does_not_know_is_read_only_text() -> None:
    body = _changed(DEVICE, "spec.properties.0.name", "fan")
    found, complaints = load.device(body, _model())
    assert _told(complaints) == [
        "? spec.properties[0].name: model 'kiln' has no usable property 'fan': it is taken as read-only text",
    ]
    fan = found.properties["fan"]
    assert (fan.type, fan.writable, fan.visitor) == (ValueType.STRING, False, {"offset": 12, "limit": 2})


def test_a_device_without_its_model_says_so_once() -> None:
    body = _changed(DEVICE, "spec.properties.1.desired", "DELETE")
    found, complaints = load.device(body, None)
    assert _told(complaints) == [
        "! spec.deviceModelRef.name: model 'kiln' is not here: until it comes every property is read-only text",
    ]
    assert [prop.type for prop in found.properties.values()] == [ValueType.STRING] * 2
    assert found.config == {"ip": "10.0.0.9", "slaveID": 4}


def test_every_mistake_is_told_at_once() -> None:
    body = _changed(_changed(DEVICE, "spec.properties.0.collectCycle", []), "spec.properties.1.reportToCloud", 7)
    found, complaints = load.device(_changed(body, "metadata.name", "KILN"), _model())
    assert [complaint.path for complaint in complaints] == [
        "metadata.name",
        "spec.properties[0].collectCycle",
        "spec.properties[1].reportToCloud",
        "spec.methods[0].propertyNames[0]",
    ]
    assert found.properties == {}


def test_a_file_of_models_and_devices_in_any_order() -> None:
    text = yaml.safe_dump_all([DEVICE, MODEL, {"kind": "DeviceStatus"}, None])
    device, model, status = load.file(text)
    assert (device.index, model.index, status.index) == (0, 1, 2)
    assert device.complaints == model.complaints == ()
    assert isinstance(model.what, DeviceModel)
    assert isinstance(device.what, Device)
    assert device.what.properties["heat"].type is ValueType.FLOAT
    assert status.what is None
    assert _told(status.complaints) == ["? kind: is not looked at: 'DeviceStatus'"]


def test_a_file_with_mistakes() -> None:
    text = yaml.safe_dump_all(
        [_changed(MODEL, "spec.properties.0.type", "X"), DEVICE, {**MODEL, "apiVersion": "v1"}, 5]
    )
    model, device, version, number = load.file(text)
    assert [complaint.path for complaint in model.complaints if complaint.fatal] == ["spec.properties[0].type"]
    assert _told(device.complaints) == [
        "? spec.properties[0].name: model 'kiln' has no usable property 'heat': it is taken as read-only text",
    ]
    assert version.what is None
    assert _told(version.complaints) == ["! apiVersion: must be devices.kubeedge.io/v1beta1, not 'v1'"]
    assert _told(number.complaints) == ["! document: must be an object, not 5"]


def test_old_shapes_in_a_file_are_converted() -> None:
    [old] = load.file("""
apiVersion: devices.kubeedge.io/v1alpha2
kind: DeviceModel
metadata: {name: old}
spec:
  properties:
  - name: heat
    type: {int: {accessMode: ReadWrite, maximum: 9, unit: C}}
""")
    assert isinstance(old.what, DeviceModel)
    heat = old.what.properties["heat"]
    assert (heat.type, heat.writable, heat.maximum, heat.unit) == (ValueType.INT, True, 9, "C")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "line 1: expected the node content, but found '<stream end>'"),
        ("a: *b", "line 1: found undefined alias 'b'"),
        ("a: \0", "document: is not YAML that can be read: "),
        ("a: 2020-13-45", "document: is not YAML that can be read: "),
        ("[" * 1000, "document: is not YAML that can be read: "),
        ("a: &a [*a]", "kind: is not looked at: null"),
    ],
)
def test_text_that_is_not_yaml(text: str, told: str) -> None:
    [broken] = load.file(text)
    assert broken.what is None
    assert str(broken.complaints[0]).startswith(told)


def test_documents_before_a_broken_one_are_loaded() -> None:
    good, broken = load.file(yaml.safe_dump(MODEL) + "\n---\na: [")
    assert isinstance(good.what, DeviceModel)
    assert (broken.index, broken.what) == (1, None)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "1", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ODD: list[Any] = [None, True, 0, -1, 2**63, 10**400, 1e308, math.inf, math.nan, b"x", [], [[]], {}, {"a": None}]
ODD += ["", "1", "1e400", "9" * 4000, "x" * 5000, "ä" * 200, "\ud800", "\0", "a/../b"]


def _mangled(node: Any, roll: random.Random) -> Any:  # noqa: ANN401
    """*node* with odd values, members that are gone, foreign ones, and elements that are there twice."""
    if roll.random() < 0.08:
        return roll.choice(ODD)
    if isinstance(node, dict):
        kept = {key: _mangled(value, roll) for key, value in node.items() if roll.random() > 0.03}
        return kept | ({roll.choice(["a", "Name", 5, None, "\n"]): roll.choice(ODD)} if roll.random() < 0.05 else {})
    if isinstance(node, list):
        elements = [_mangled(element, roll) for element in node]
        return elements + elements[:1] if roll.random() < 0.1 else elements
    return node


@pytest.mark.parametrize("seed", range(4))
def test_no_mangled_object_makes_loading_raise(seed: int) -> None:
    roll = random.Random(seed)
    every = {key: value for method, _ in PUSHES for key, value in method.items()}
    device = _changed(DEVICE, PUSH, every)
    for _ in range(100):
        _read(_mangled(MODEL, roll), _mangled(device, roll))


@settings(max_examples=100)
@given(JSON)
def test_no_body_whatever_it_is_makes_loading_raise(body: Any) -> None:  # noqa: ANN401
    _read(body, body)


@settings(max_examples=100)
@given(st.text(alphabet="ab:-[]{}&*!|>#'\" \n%@,?0", max_size=40))
def test_no_text_makes_a_file_raise(text: str) -> None:
    for loaded in load.file(text):
        assert all(complaint.message.isprintable() for complaint in loaded.complaints)


def _read(first: Any, second: Any) -> None:  # noqa: ANN401
    model, complaints = load.model(first)
    for known in (model, None):
        device, more = load.device(second, known)
        complaints += more
        for prop in device.properties.values():
            assert prop.collect_cycle > 0
            assert prop.report_cycle > 0
    for complaint in complaints:
        assert str(complaint).isprintable()
        assert len(str(complaint)) < 500
