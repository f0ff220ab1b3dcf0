"""Messages to mappers: every field that keeps one alive, and values that arrive as they were meant."""

from typing import Any

import pytest
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, FloatValue, Int64Value, StringValue
from hypothesis import given
from hypothesis import strategies as st

from edgecore.devices.dmi import convert
from edgecore.devices.dmi.pb import dmi_pb2 as pb

WRAPPERS = (Int64Value, FloatValue, BoolValue, StringValue)


def device(properties: object = None, **spec: object) -> dict[str, Any]:
    return {"metadata": {"namespace": "plant", "name": "d"}, "spec": {"properties": properties, **spec}}


def model(properties: object = None, **spec: object) -> dict[str, Any]:
    return {"metadata": {"namespace": "plant", "name": "m"}, "spec": {"properties": properties, **spec}}


def sent(body: dict[str, Any], over: dict[str, Any] | None = None, *, floats: bool = False) -> pb.Device:
    """The message as it comes out of the wire."""
    message, _ = convert.device_message(body, over if over is not None else model(), floats=floats)
    return pb.Device.FromString(message.SerializeToString())


def config(values: dict[str, Any], *, floats: bool = False) -> dict[str, Message]:
    message = sent(device(protocol={"protocolName": "p", "configData": values}), floats=floats)
    found = {}
    for key, wrapped in message.spec.protocol.configData.data.items():
        assert wrapped.type_url.startswith("type.googleapis.com/google.protobuf.")
        for kind in WRAPPERS:
            value = kind()
            if wrapped.Unpack(value):
                found[key] = value
    return found


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": None, "spec": None, "status": None},
        {"spec": {"properties": [{"name": "t"}]}},
        {"spec": {"properties": [{"name": "t", "visitors": None, "desired": None}], "protocol": None}},
        {"spec": {"properties": [{"name": "t", "visitors": {"configData": None}}], "protocol": {"configData": None}}},
        {"spec": {"properties": [{"name": "t", "visitors": [], "desired": 4, "pushMethod": "x"}], "protocol": "x"}},
    ],
)
def test_what_a_mapper_reads_unasked_is_always_there(body: dict[str, Any]) -> None:
    message = sent(body, {})
    assert message.HasField("spec")
    assert message.spec.HasField("protocol")
    assert message.spec.protocol.HasField("configData")
    for part in message.spec.properties:
        assert part.HasField("desired")
        assert part.HasField("visitors")
        assert part.visitors.HasField("configData")
    assert convert.model_message(body).HasField("spec")


def test_whole_numbers_stay_exact() -> None:
    numbers = {"port": 502, "big": 2**53 + 1, "low": -(2**63), "high": 2**63 - 1, "whole": 3.0, "u32": 4294967295}
    found = config(numbers)
    assert {key: value.value for key, value in found.items()} == numbers
    assert {type(value) for value in found.values()} == {Int64Value}


def test_other_values_have_the_wrappers_that_mappers_decode() -> None:
    found = config({"f": 0.1, "huge": 2**63, "b": True, "s": "16777217", "empty": ""})
    assert found["f"] == FloatValue(value=0.1)
    assert found["huge"] == FloatValue(value=2**63)
    assert found["b"] == BoolValue(value=True)
    assert found["s"] == StringValue(value="16777217")
    assert found["empty"] == StringValue(value="")


def test_what_has_no_wrapper_goes_as_text_and_is_said() -> None:
    values = {"list": [1, {"a": None}], "object": {"ü": 1}, "beyond": 1e300, "null": None}
    message, changed = convert.device_message(device(protocol={"configData": values}), model())
    texts = {}
    for key, wrapped in message.spec.protocol.configData.data.items():
        value = StringValue()
        assert wrapped.Unpack(value)
        texts[key] = value.value
    assert texts == {"list": '[1,{"a":null}]', "object": '{"ü":1}', "beyond": "1e+300"}
    assert changed == [f"spec.protocol.configData.{key} is sent as text" for key in ("list", "object", "beyond")]


def test_numbers_can_all_be_floats_for_mappers_that_insist() -> None:
    found = config({"port": 502, "f": 0.5, "b": False}, floats=True)
    assert found["port"] == FloatValue(value=502)
    assert found["f"] == FloatValue(value=0.5)
    assert found["b"] == BoolValue()


def test_the_models_defaults_lie_under_the_device() -> None:
    over = model(
        [{"name": "t", "visitors": {"protocolName": "modbus", "configData": {"register": 1, "scale": 2}}}],
        protocolConfigData={"ip": "10.0.0.1", "port": 502},
    )
    own = device(
        [{"name": "t", "visitors": {"protocolName": "old", "configData": {"register": 7}}}, {"name": "u"}],
        protocol={"protocolName": "modbus", "configData": {"port": 1502}},
    )
    message = sent(own, over)
    assert sorted(message.spec.protocol.configData.data) == ["ip", "port"]
    assert Int64Value(value=1502).SerializeToString() == message.spec.protocol.configData.data["port"].value
    [t, u] = message.spec.properties
    assert t.visitors.protocolName == "modbus"
    assert sorted(t.visitors.configData.data) == ["register", "scale"]
    assert Int64Value(value=7).SerializeToString() == t.visitors.configData.data["register"].value
    assert not u.visitors.configData.data


def test_a_model_lacks_nothing_that_its_devices_use() -> None:
    body = model(
        [{"name": "t", "type": "FLOAT", "accessMode": "ReadWrite", "minimum": "-1", "maximum": 5, "unit": "C"}]
    )
    own = device([{"name": "t"}, {"name": "odd"}])
    assert convert.undeclared(own, body) == {"odd"}
    [t, odd] = convert.model_message(body, convert.undeclared(own, body)).spec.properties
    assert (t.type, t.accessMode, t.minimum, t.maximum, t.unit) == ("FLOAT", "ReadWrite", "-1", "5", "C")
    assert (odd.name, odd.type, odd.accessMode) == ("odd", "STRING", "ReadOnly")


def test_push_methods_match_in_any_case() -> None:
    push = {
        "http": {"hostName": "http://h", "port": 80, "requestPath": "/x", "timeout": 5},
        "mqtt": {"address": "tcp://h:1883", "topic": "t", "qos": 1, "retained": True},
        "otel": {"endpointURL": "http://o"},
        "anomalyDetection": {"limit": 3},
        "dbMethod": {
            "influxdb2": {
                "influxdb2ClientConfig": {"url": "u", "org": "o", "bucket": "b"},
                "influxdb2DataConfig": {"measurement": "m", "fieldKey": "f", "tag": {"a": "b"}},
            },
            "redis": {"redisClientConfig": {"addr": "r", "db": 1, "poolsize": 2, "minIdleConns": 3}},
            "TDEngine": {"TDEngineClientConfig": {"addr": "t", "dbName": "n"}},
            "mysql": {"mysqlClientConfig": {"addr": "s", "database": "d", "userName": "w"}},
        },
    }
    [part] = sent(device([{"name": "t", "pushMethod": push}])).spec.properties
    made = part.pushMethod
    assert (made.http.hostname, made.http.port, made.http.requestpath, made.http.timeout) == ("http://h", 80, "/x", 5)
    assert (made.mqtt.address, made.mqtt.topic, made.mqtt.qos, made.mqtt.retained) == ("tcp://h:1883", "t", 1, True)
    assert made.otel.endpointURL == "http://o"
    assert made.anomalyDetection.data["limit"].Is(Int64Value.DESCRIPTOR)
    database = made.dbMethod
    assert database.influxdb2.influxdb2DataConfig.tag == {"a": "b"}
    assert database.redis.redisClientConfig.minIdleConns == 3
    assert (database.tdengine.tdEngineClientConfig.addr, database.tdengine.tdEngineClientConfig.dbname) == ("t", "n")
    assert database.mysql.mysqlClientConfig.userName == "w"


def test_the_state_report_wins_as_a_whole() -> None:
    body = device(stateReport={"reportToCloud": True})
    body["status"] = {"reportToCloud": False, "reportCycle": 9}
    message = sent(body)
    assert (message.status.reportToCloud, message.status.reportCycle) == (True, 0)
    del body["spec"]["stateReport"]
    assert sent(body).status.reportCycle == 9


def test_only_what_a_mapper_must_act_on_changes_the_fingerprint() -> None:
    body = device([{"name": "t", "desired": {"value": "1"}}])
    before = convert.fingerprint(sent(body))
    body["metadata"]["labels"] = {"a": "b"}
    body["status"] = {"twins": [{"propertyName": "t", "reported": {"value": "3"}}]}
    body["spec"]["properties"][0]["desired"] = {"value": "2"}
    assert convert.fingerprint(sent(body)) == before
    assert sent(body).status.twins[0].HasField("observedDesired")
    body["spec"]["properties"][0]["collectCycle"] = 5
    assert convert.fingerprint(sent(body)) != before


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "protocol": st.fixed_dictionaries({"protocolName": JSON, "configData": JSON}) | JSON,
        "properties": st.lists(
            st.fixed_dictionaries(
                {"name": JSON},
                optional={
                    key: JSON
                    for key in ("desired", "visitors", "reportCycle", "collectCycle", "reportToCloud", "pushMethod")
                },
            )
            | JSON,
            max_size=3,
        )
        | JSON,
        "methods": st.lists(st.fixed_dictionaries({"name": JSON, "propertyNames": JSON}) | JSON, max_size=2) | JSON,
        "stateReport": JSON,
        "deviceModelRef": JSON,
        "protocolConfigData": JSON,
    },
)


@given(own=SPEC, over=SPEC, status=JSON, floats=st.booleans())
def test_no_object_of_any_shape_is_too_much(own: object, over: object, status: object, floats: bool) -> None:
    body, under = {"spec": own, "status": status}, {"spec": over}
    message, _ = convert.device_message(body, under, floats=floats)
    assert pb.Device.FromString(message.SerializeToString()).spec.HasField("protocol")
    declared = {part.name for part in convert.model_message(under, convert.undeclared(body, under)).spec.properties}
    assert declared >= {part.name for part in message.spec.properties}
