"""The devices of the soak as Kubernetes objects."""

from typing import Any

from testbed.modbus import ModbusServer

TWIN, PLAIN, MAPPED, COUNTER, VALVE, LEVER = "twin", "plain", "mapped", "counter", "valve", "lever"
STREAMS = (TWIN, PLAIN, MAPPED, COUNTER)
PUSHED = (TWIN, COUNTER)
NUMBER = "number"
TOPIC = "soak/plain"
PROTOCOL = "soak"
UNITS = {COUNTER: 1, VALVE: 2, LEVER: 3}
WISHED = (VALVE, LEVER)
REGISTER = 0
_API = "devices.kubeedge.io/v1beta1"
_HOUR = 3_600_000
"""Milliseconds after which an unchanged value is pushed again: not within a soak."""

Json = dict[str, Any]


def models() -> list[Json]:
    """One for each."""
    register = {"register": "InputRegister", "offset": REGISTER, "limit": 1, "dataType": "int"}
    return [
        _model(TWIN, "mqtt", {"commandTopic": "soak/unused"}),
        _model(PLAIN, "mqtt", {"topic": TOPIC}),
        _model(MAPPED, PROTOCOL, {}),
        _model(COUNTER, "modbus", register),
        *(_model(name, "modbus", {**register, "register": "HoldingRegister"}, writable=True) for name in WISHED),
    ]


def devices(node: str, server: ModbusServer, sink_port: int) -> list[Json]:
    """All of them on *node*."""
    address = {"communicateMode": "TCP", "ip": server.host, "port": server.port, "timeoutMs": 500}
    push = {"http": {"hostName": "http://127.0.0.1", "port": sink_port, "requestPath": "/in", "format": "json"}}
    return [
        _device(node, TWIN, "mqtt", pushMethod=push),
        _device(node, PLAIN, "mqtt"),
        _device(node, MAPPED, PROTOCOL),
        _device(node, COUNTER, "modbus", {**address, "slaveID": UNITS[COUNTER]}, pushMethod=push),
        *(_device(node, name, "modbus", {**address, "slaveID": UNITS[name]}) for name in WISHED),
    ]


def _model(name: str, protocol: str, visitor: Json, *, writable: bool = False) -> Json:
    access = "ReadWrite" if writable else "ReadOnly"
    number = {"name": NUMBER, "type": "INT", "accessMode": access, "visitors": {"configData": visitor}}
    spec = {"protocol": protocol, "properties": [number]}
    return {"apiVersion": _API, "kind": "DeviceModel", "metadata": {"name": name}, "spec": spec}


def _device(node: str, name: str, protocol: str, config: Json | None = None, **more: Json) -> Json:
    number = {"name": NUMBER, "reportToCloud": True, "collectCycle": 200, "reportCycle": _HOUR, **more}
    spec = {
        "deviceModelRef": {"name": name},
        "nodeName": node,
        "protocol": {"protocolName": protocol, "configData": config or {}},
        "properties": [number],
    }
    return {"apiVersion": _API, "kind": "Device", "metadata": {"name": name}, "spec": spec}
