"""Old shapes become v1beta1: the known keeps its meaning, the rest is said with its path, nothing raises."""

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from device_models.v1alpha2 import convert, is_old

OLD_DEVICE = """
apiVersion: devices.kubeedge.io/v1alpha2
kind: Device
metadata: {name: sensor, namespace: plant, labels: {floor: "2"}}
spec:
  deviceModelRef: {name: meter}
  protocol:
    modbus: {slaveID: 4}
    common:
      com: {serialPort: /dev/ttyS0, baudRate: 9600, dataBits: 8, parity: even, stopBits: 1}
      customizedValues: {serialType: RS485}
      collectTimeout: 5
  nodeSelector:
    nodeSelectorTerms: [{matchExpressions: [{key: "", operator: In, values: [edge-1]}]}]
  propertyVisitors:
  - propertyName: temperature
    collectCycle: 500000000
    reportCycle: 1000000000
    customizedValues: {note: x}
    modbus: {register: HoldingRegister, offset: 2, limit: 1, scale: 0.1, isSwap: true, isRegisterSwap: false}
  data:
    dataTopic: $ke/events/device/+/data/update
    dataProperties:
    - {propertyName: humidity, metadata: {type: string, source: roof}}
status:
  state: online
  twins:
  - propertyName: temperature
    desired: {value: 21, metadata: {type: int}}
    reported: {value: "20", metadata: {timestamp: "1"}}
"""


def told(body: dict[str, Any]) -> dict[str, str]:
    return {c.path: c.message for c in convert(body)[1]}


def test_a_device_keeps_all_it_says() -> None:
    body = yaml.safe_load(OLD_DEVICE)
    before = copy.deepcopy(body)
    converted, complaints = convert(body)
    assert body == before
    assert is_old(body)
    assert not is_old(converted)
    assert converted == {
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": "Device",
        "metadata": {"name": "sensor", "namespace": "plant", "labels": {"floor": "2"}},
        "spec": {
            "deviceModelRef": {"name": "meter"},
            "nodeName": "edge-1",
            "protocol": {
                "protocolName": "modbus",
                "configData": {
                    "slaveID": 4,
                    "serialPort": "/dev/ttyS0",
                    "serialName": "/dev/ttyS0",
                    "communicateMode": "RTU",
                    "baudRate": 9600,
                    "dataBits": 8,
                    "parity": "even",
                    "stopBits": 1,
                    "collectTimeout": 5,
                    "rs485Enabled": True,
                    "customizedValues": {"serialType": "RS485"},
                },
            },
            "properties": [
                {
                    "name": "temperature",
                    "collectCycle": 500,
                    "reportCycle": 1000,
                    "reportToCloud": True,
                    "desired": {"value": "21", "metadata": {"type": "int"}},
                    "visitors": {
                        "protocolName": "modbus",
                        "configData": {
                            "register": "HoldingRegister",
                            "offset": 2,
                            "limit": 1,
                            "scale": 0.1,
                            "isSwap": True,
                            "isRegisterSwap": False,
                            "customizedValues": {"note": "x"},
                        },
                    },
                },
                {"name": "humidity"},
            ],
        },
        "status": {
            "state": "online",
            "twins": [{"propertyName": "temperature", "reported": {"value": "20", "metadata": {"timestamp": "1"}}}],
        },
    }
    assert [c.path for c in complaints] == ["spec.data.dataTopic", "spec.data.dataProperties[0].metadata.source"]


def device(**spec: object) -> dict[str, Any]:
    return {"apiVersion": "devices.kubeedge.io/v1alpha2", "kind": "Device", "spec": spec}


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (
            {"modbus": {"slaveID": 1}, "common": {"tcp": {"ip": "10.0.0.1", "port": 502}}},
            ("modbus", {"slaveID": 1, "ip": "10.0.0.1", "port": "502", "communicateMode": "TCP"}),
        ),
        (
            {"modbus": {"tcp": {"ip": "10.0.0.1", "port": "502", "slaveID": "1"}}},  # v1alpha1
            ("modbus", {"slaveID": "1", "ip": "10.0.0.1", "port": "502", "communicateMode": "TCP"}),
        ),
        (
            {"opcua": {"url": "opc.tcp://plc:4840", "timeout": 3}, "common": {"collectType": "sync"}},
            ("opcua", {"url": "opc.tcp://plc:4840", "timeout": 3, "collectType": "sync"}),
        ),
        ({"bluetooth": {"macAddress": "A0:E6"}}, ("bluetooth", {"macAddress": "A0:E6"})),
        (
            {"customizedProtocol": {"protocolName": "onvif", "configData": {"url": "cam:80"}}},
            ("onvif", {"url": "cam:80"}),
        ),
        ({"customizedProtocal": {"protocolName": "sim", "configData": None}}, ("sim", None)),
        ({"protocolName": "new", "configData": {"a": 1}}, ("new", {"a": 1})),
    ],
)
def test_every_protocol_becomes_flat(protocol: dict[str, Any], expected: tuple[str, Any]) -> None:
    converted, complaints = convert(device(protocol=protocol))
    found = converted["spec"]["protocol"]
    assert (found["protocolName"], found.get("configData")) == expected
    assert complaints == []


def test_a_protocol_without_a_name_is_called_what_the_visitors_speak() -> None:
    visitor = {"propertyName": "t", "opcua": {"nodeID": "ns=2;i=3"}}
    body = device(protocol={"common": {"tcp": {"ip": "h"}}}, propertyVisitors=[visitor])
    assert convert(body)[0]["spec"]["protocol"] == {"protocolName": "opcua", "configData": {"ip": "h"}}
    assert told(device(protocol={"common": {}})) == {"spec.protocol": "names no protocol"}


@pytest.mark.parametrize(
    ("cycle", "expected"),
    [(10_000_000_000, 10_000), ("1000000000", 1000), (0, None), (None, None), (1_500_000, 1), (500, 500)],
)
def test_cycles_become_milliseconds(cycle: object, expected: int | None) -> None:
    converted, _ = convert(device(propertyVisitors=[{"propertyName": "t", "collectCycle": cycle}]))
    assert converted["spec"]["properties"][0].get("collectCycle") == expected


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"propertyVisitors": {}}, "spec.propertyVisitors"),
        ({"propertyVisitors": ["x"]}, "spec.propertyVisitors[0]"),
        ({"propertyVisitors": [{}]}, "spec.propertyVisitors[0].propertyName"),
        ({"propertyVisitors": [{"propertyName": "t", "modbus": 5}]}, "spec.propertyVisitors[0].modbus"),
        (
            {"propertyVisitors": [{"propertyName": "t", "collectCycle": "soon"}]},
            "spec.propertyVisitors[0].collectCycle",
        ),
        (
            {"propertyVisitors": [{"propertyName": "t", "collectCycle": 10**400}]},
            "spec.propertyVisitors[0].collectCycle",
        ),
        (
            {"propertyVisitors": [{"propertyName": "t", "collectCycle": 10**5000}]},
            "spec.propertyVisitors[0].collectCycle",
        ),
        ({"propertyVisitors": [{"propertyName": "t", "collectCycle": True}]}, "spec.propertyVisitors[0].collectCycle"),
        ({"propertyVisitors": [{"propertyName": "t", "collectCycle": 999}]}, "spec.propertyVisitors[0].collectCycle"),
        ({"propertyVisitors": [{"propertyName": "t", "zigbee": {"a": 1}}]}, "spec.propertyVisitors[0].zigbee"),
        (
            {"propertyVisitors": [{"propertyName": "t", "modbus": {}, "opcua": {}}]},
            "spec.propertyVisitors[0].opcua",
        ),
        ({"protocol": {"modbus": {}, "bluetooth": {}}}, "spec.protocol.bluetooth"),
        ({"protocol": {"modbus": {}, "a b": 1}}, "spec.protocol.'a b'"),
        ({"protocol": "modbus"}, "spec.protocol"),
        ({"nodeSelector": {"nodeSelectorTerms": [{"matchFields": [{"values": [5]}]}]}}, "values"),
        ({"nodeSelector": {"nodeSelectorTerms": [{"matchFields": [{"values": ["a", "b"]}]}]}}, "values"),
        ({"nodeSelector": {"nodeSelectorTerms": [{}, {}]}}, "spec.nodeSelector.nodeSelectorTerms"),
        (
            {"nodeSelector": {"nodeSelectorTerms": [{"matchFields": [{"operator": "NotIn", "values": ["a"]}]}]}},
            "operator",
        ),
        (
            {"nodeSelector": {"nodeSelectorTerms": [{"matchFields": [{"values": ["a"]}, {"values": ["b"]}]}]}},
            "matchFields",
        ),
        ({"data": {"dataTopic": "t"}}, "spec.data.dataTopic"),
        ({"data": {"dataProperties": [{"metadata": {}}]}}, "spec.data.dataProperties[0].propertyName"),
    ],
)
def test_what_cannot_be_carried_over_is_said_with_its_path(spec: dict[str, Any], path: str) -> None:
    [found] = told(device(**spec))
    assert found.endswith(path)


def test_a_status_without_twins_stays() -> None:
    assert convert({**device(), "status": {"state": "online"}})[0]["status"] == {"state": "online"}


def test_properties_in_the_new_shape_stay_and_the_old_ones_join_them() -> None:
    new = {"name": "t", "visitors": {"protocolName": "x"}, "collectCycle": 5}
    twins = [{"propertyName": "t", "desired": {"value": "1"}}, {"desired": {"value": "2"}}]
    body = {
        **device(properties=[new, {}], data={"dataProperties": [{"propertyName": "u"}]}),
        "status": {"twins": twins},
    }
    converted, [complaint] = convert(body)
    assert converted["spec"]["properties"] == [
        {**new, "reportToCloud": True, "desired": {"value": "1"}},
        {},
        {"name": "u"},
    ]
    assert complaint.path == "status.twins[1].propertyName"


def test_a_cycle_that_was_never_meant_in_nanoseconds_is_a_warning() -> None:
    converted, [warning] = convert(device(propertyVisitors=[{"propertyName": "t", "reportCycle": 1000}]))
    assert converted["spec"]["properties"] == [{"name": "t", "reportCycle": 1000}]
    assert not warning.fatal


def test_two_visitors_or_wishes_for_one_property_are_one_too_many() -> None:
    visitor = {"propertyName": "t", "modbus": {"offset": 1}}
    twin = {"propertyName": "t", "desired": {"value": "1"}}
    body = {**device(propertyVisitors=[visitor, visitor]), "status": {"twins": [twin, twin]}}
    converted, complaints = convert(body)
    assert [c.path for c in complaints] == ["spec.propertyVisitors[1]", "status.twins[1].desired"]
    assert len(converted["spec"]["properties"]) == 1


def test_a_spec_that_is_no_object_is_left_for_the_loader_to_refuse() -> None:
    body = {"apiVersion": "devices.kubeedge.io/v1alpha2", "kind": "Device", "spec": "x"}
    converted, complaints = convert(body)
    assert converted == {**body, "apiVersion": "devices.kubeedge.io/v1beta1"}
    assert [str(c) for c in complaints] == ["spec: must be an object, not 'x'"]


def test_an_object_stored_under_the_new_version_is_known_by_its_shape() -> None:
    body = yaml.safe_load(OLD_DEVICE)
    relabelled = {**body, "apiVersion": "devices.kubeedge.io/v1beta1"}
    assert is_old(relabelled)
    assert convert(relabelled) == convert(body)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"apiVersion": "devices.kubeedge.io/v1beta1", "kind": "Device", "spec": {"properties": [{"name": "a"}]}},
        {"apiVersion": "devices.kubeedge.io/v1alpha2", "kind": "DeviceStatus", "spec": {"propertyVisitors": []}},
        {"apiVersion": "example.com/v1", "kind": "Device", "spec": {"propertyVisitors": []}},
        {"kind": "DeviceModel", "spec": {"properties": [{"name": "a", "type": "INT"}]}},
    ],
)
def test_what_is_not_old_comes_back_as_it_is(body: dict[str, Any]) -> None:
    assert not is_old(body)
    assert convert(body) == (body, [])


def model(properties: object, **spec: object) -> dict[str, Any]:
    return {
        "apiVersion": "devices.kubeedge.io/v1alpha2",
        "kind": "DeviceModel",
        "spec": {"properties": properties, **spec},
    }


@pytest.mark.parametrize("kind", ["int", "string", "double", "float", "boolean", "bytes"])
def test_a_type_object_becomes_an_enum_and_its_members_move_up(kind: str) -> None:
    attributes = {"accessMode": "ReadWrite", "minimum": -1.5, "maximum": 100, "unit": "C", "defaultValue": ""}
    converted, complaints = convert(model([{"name": "t", "description": "d", "type": {kind: attributes}}]))
    assert converted["spec"]["properties"] == [
        {
            "name": "t",
            "description": "d",
            "type": kind.upper(),
            "accessMode": "ReadWrite",
            "minimum": "-1.5",
            "maximum": "100",
            "unit": "C",
        }
    ]
    assert complaints == []


def test_visitors_in_the_model_go_to_their_properties() -> None:
    visitors = [
        {"propertyName": "t", "modbus": {"register": "CoilRegister", "offset": 2}},
        {"propertyName": "new", "customizedProtocol": {"protocolName": "x", "configData": {"a": 1}}},
    ]
    converted, complaints = convert(model([{"name": "t", "type": {"int": {}}}], propertyVisitors=visitors))
    assert converted["spec"] == {
        "properties": [
            {
                "name": "t",
                "type": "INT",
                "visitors": {"protocolName": "modbus", "configData": {"register": "CoilRegister", "offset": 2}},
            },
            {"name": "new", "visitors": {"protocolName": "x", "configData": {"a": 1}}},
        ]
    }
    assert complaints == []


@pytest.mark.parametrize(
    ("properties", "visitors", "path"),
    [
        ([{"name": "t", "type": {"int": {"defaultValue": 5}}}], None, "spec.properties[0].type.int.defaultValue"),
        ([{"name": "t", "type": {"int": {}, "float": {}}}], None, "spec.properties[0].type.float"),
        ([{"name": "t", "type": {"uint": {}}}], None, "spec.properties[0].type.uint"),
        ([{"name": "t", "type": {"int": {"minimum": True}}}], None, "spec.properties[0].type.int.minimum"),
        ([{"name": "t", "type": {"int": {"minimum": []}}}], None, "spec.properties[0].type.int.minimum"),
        ("many", None, "spec.properties"),
        ([], [{"propertyName": "t", "collectCycle": 5}], "spec.propertyVisitors[0].collectCycle"),
        ([], [{"propertyName": ""}], "spec.propertyVisitors[0].propertyName"),
        ([{"name": "t", "visitors": {}}], [{"propertyName": "t", "modbus": {}}], "spec.propertyVisitors[0]"),
    ],
)
def test_what_a_model_cannot_keep_is_said_with_its_path(properties: object, visitors: object, path: str) -> None:
    assert list(told(model(properties, propertyVisitors=visitors))) == [path]


# Whatever JSON there is, made likely to be close to an old object.
KEYS = st.sampled_from(
    "spec status twins desired value metadata name type int minimum properties propertyVisitors propertyName modbus "
    "customizedProtocol protocolName configData protocol common com tcp nodeSelector nodeSelectorTerms matchFields "
    "values operator data dataProperties collectCycle customizedValues port ip rtu".split()
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


def shape(keys: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys.split(), values))


VISITOR = shape(
    "propertyName collectCycle reportCycle modbus opcua bluetooth customizedProtocol customizedValues", JSON
)
TWIN = st.fixed_dictionaries({"propertyName": st.sampled_from("ab")}, optional={"desired": JSON, "reported": JSON})
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "properties": st.lists(shape("name type visitors", JSON), max_size=3) | JSON,
        "propertyVisitors": st.lists(VISITOR, max_size=3) | JSON,
        "protocol": shape("modbus opcua customizedProtocol common protocolName configData", JSON) | JSON,
        "nodeSelector": JSON,
        "data": JSON,
        "deviceModelRef": JSON,
    },
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": st.sampled_from(["devices.kubeedge.io/v1alpha2", "devices.kubeedge.io/v1beta1"]) | JSON,
        "kind": st.sampled_from(["Device", "DeviceModel"]) | JSON,
        "spec": SPECS | JSON,
        "status": st.fixed_dictionaries({}, optional={"twins": st.lists(TWIN, max_size=3)}) | JSON,
    },
)


@given(BODIES)
def test_no_json_raises_and_once_is_enough(body: dict[str, Any]) -> None:
    converted, complaints = convert(body)
    assert not is_old(converted)
    assert convert(converted) == (converted, [])
    assert all(len(str(complaint)) < 400 for complaint in complaints)


NAMES = st.text("abcdef-", min_size=1, max_size=5)
CONFIG = st.dictionaries(NAMES, st.integers() | st.text(max_size=5), min_size=1, max_size=3)


@given(
    visitors=st.dictionaries(NAMES, CONFIG, min_size=1, max_size=4),
    twins=st.dictionaries(NAMES, st.text(max_size=5), max_size=4),
    published=st.sets(NAMES, max_size=4),
    protocol=CONFIG,
    node=NAMES,
)
def test_nothing_known_is_lost(
    visitors: dict[str, Any], twins: dict[str, str], published: set[str], protocol: dict[str, Any], node: str
) -> None:
    body = device(
        nodeSelector={"nodeSelectorTerms": [{"matchExpressions": [{"key": "", "operator": "In", "values": [node]}]}]},
        protocol={"customizedProtocol": {"protocolName": "x", "configData": protocol}},
        propertyVisitors=[
            {"propertyName": name, "customizedProtocol": {"protocolName": "x", "configData": config}}
            for name, config in visitors.items()
        ],
        data={"dataProperties": [{"propertyName": name} for name in sorted(published)]},
    )
    body["status"] = {"twins": [{"propertyName": name, "desired": {"value": v}} for name, v in twins.items()]}
    converted, complaints = convert(json.loads(json.dumps(body)))
    assert complaints == []
    spec = converted["spec"]
    properties = {item["name"]: item for item in spec["properties"]}
    assert len(properties) == len(spec["properties"])
    assert set(properties) == set(visitors) | set(twins) | published
    assert spec["nodeName"] == node
    assert spec["protocol"] == {"protocolName": "x", "configData": protocol}
    assert {n: p["visitors"]["configData"] for n, p in properties.items() if "visitors" in p} == visitors
    assert {n: p["desired"]["value"] for n, p in properties.items() if "desired" in p} == twins
    assert {n for n, p in properties.items() if p.get("reportToCloud")} == set(twins)
