"""Devices on a real edge: how fast a wish reaches a register and a register the API, and what a hundred of them cost.

The thermostat is a Modbus unit in a process of its own; the hundred are simulated in edgecore, where every read gives
new values, or (for memory) a hundred Modbus units.
"""

import dataclasses
import json
import time
from typing import Any, Final

from testbed.bench import procfs
from testbed.bench.api import Object
from testbed.bench.figure import Measured, median
from testbed.bench.stage import NODE, Stage
from testbed.modbus import ModbusServer
from testbed.process import wait_for

_GROUP: Final = "/apis/devices.kubeedge.io/v1beta1/namespaces/default"
_DEVICES: Final = f"{_GROUP}/devices"
_MODELS: Final = f"{_GROUP}/devicemodels"
_STATUSES: Final = f"{_GROUP}/devicestatuses"
_MERGE: Final = "application/merge-patch+json"
_ROUNDS: Final = 15
_FLEET: Final = 100
_PROPERTIES: Final = 10
_SETTLE: Final = 20.0
_WINDOW: Final = 60.0
_FAST: Final = 20.0
_POLL: Final = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class Crowd:
    """A window in the life of a hundred devices."""

    samples: float
    cpu: float
    api_writes: int
    seconds: float
    memory: procfs.Memory


def desired_to_register(stage: Stage) -> Measured:
    """From the moment the API has taken the patch is not seen from outside: the patch itself is in it."""
    server = stage.once(_thermostat)
    taken = []
    for number in range(_ROUNDS):
        known = len(server.written())
        began = time.monotonic()
        stage.api.call("PATCH", f"{_DEVICES}/thermostat", _wish(server, 10 + number), _MERGE)
        wait_for(lambda known=known: len(server.written()) > known, 10.0, "the register is written")  # type: ignore[misc]
        taken.append(server.written()[known].at - began)
        time.sleep(0.3)
    return median(taken, "PATCH of the Device sent → the Modbus server got the write")


def register_to_status(stage: Stage) -> Measured:
    server = stage.once(_thermostat)
    taken = []
    for number in range(_ROUNDS):
        time.sleep(1.3 + 0.01 * number)  # past the pause between two reports of a device
        raw = 1000 + number
        with stage.api.watching(_STATUSES, 10.0) as watch:
            began = time.monotonic()
            server.set(1, "holding", 2, raw)
            seen = watch.until(lambda _, status, raw=raw: _reported(status) == f"{raw}", "the new value")  # type: ignore[misc]
        taken.append(seen - began - _POLL / 2)
    return median(taken, f"register changed → in a watch on DeviceStatus, less half of the poll of {_POLL:g} s")


def reports_per_s(stage: Stage) -> Measured:
    crowd = stage.once(_fast_crowd)
    return Measured(
        crowd.samples / crowd.seconds,
        f"{_FLEET} devices × {_PROPERTIES} properties × 100 ms, every value new: numbered and on the disk in "
        f"{crowd.seconds:.0f} s, edgecore at {100 * crowd.cpu / crowd.seconds:.0f} % of a core, which also plays the "
        "devices; n=1",
    )


def api_writes(stage: Stage) -> Measured:
    crowd = stage.once(_crowd)
    return Measured(
        crowd.api_writes * 60 / crowd.seconds,
        f"{_FLEET} devices × {_PROPERTIES} properties × 1 s, every value new: writes of DeviceStatus and Device in "
        f"{crowd.seconds:.0f} s; {crowd.samples / crowd.seconds:.0f} samples/s; edgecore "
        f"{100 * crowd.cpu / crowd.seconds:.1f} % of a core; n=1",
    )


def rss(stage: Stage) -> Measured:
    memory = stage.once(_modbus_crowd)
    return Measured(
        memory.rss / 1024,
        f"RSS of edgecore with {_FLEET} Modbus devices × {_PROPERTIES} properties × 1 s after {_SETTLE:.0f} s; "
        f"PSS {memory.pss / 1024:.1f} MiB; n=1",
    )


def anonymous(stage: Stage) -> Measured:
    return Measured(stage.once(_modbus_crowd).anonymous / 1024, "anonymous memory of edgecore in the same run; n=1")


# --- the thermostat


def _thermostat(stage: Stage) -> ModbusServer:
    server = ModbusServer(stage.directory("thermostat"))
    stage.at_end(server.stop)
    server.start()
    _clear(stage)
    assert stage.edge
    register = {"register": "HoldingRegister", "limit": 1, "dataType": "int"}
    model = _model(
        "thermostat",
        "modbus",
        [
            {**_property("setpoint", {**register, "offset": 1}), "accessMode": "ReadWrite"},
            _property("temperature", {**register, "offset": 2}),
        ],
    )
    stage.api.call("POST", _MODELS, model)
    stage.api.call("POST", _DEVICES, _device("thermostat", "thermostat", "modbus", **_wish(server, 1)["spec"]))
    wait_for(lambda: server.written(), 20.0, "the first wish is written")
    return server


def _wish(server: ModbusServer, value: int) -> dict[str, Any]:
    return {
        "spec": {
            "protocol": {"protocolName": "modbus", "configData": {"ip": server.host, "port": str(server.port)}},
            "properties": [
                {"name": "setpoint", "reportToCloud": True, "collectCycle": 50, "desired": {"value": str(value)}},
                {"name": "temperature", "reportToCloud": True, "collectCycle": round(_POLL * 1000)},
            ],
        }
    }


def _reported(status: Object) -> str:
    twins = status.get("status", {}).get("twins", [])
    return next((t["reported"]["value"] for t in twins if t["propertyName"] == "temperature" and "reported" in t), "")


# --- the hundred


def _crowd(stage: Stage) -> Crowd:
    return _simulated(stage, cycle=1000, seconds=_WINDOW)


def _fast_crowd(stage: Stage) -> Crowd:
    return _simulated(stage, cycle=100, seconds=_FAST)


def _simulated(stage: Stage, *, cycle: int, seconds: float) -> Crowd:
    _clear(stage)
    pid = stage.edge_pid
    visitor = {"signal": "counter"}
    names = [f"p{number}" for number in range(_PROPERTIES)]
    stage.api.call("POST", _MODELS, _model("crowd", "simulated", [_property(name, visitor) for name in names]))
    for number in range(_FLEET):
        properties = [{"name": name, "reportToCloud": True, "collectCycle": cycle} for name in names]
        device = _device(f"crowd-{number}", "crowd", "simulated", properties=properties)
        stage.api.call("POST", _DEVICES, device)
    wait_for(lambda: _online(stage) == _FLEET, 60.0, "all devices are online")
    time.sleep(_SETTLE / 2)
    began, samples, cpu, writes = time.monotonic(), _stored(stage), procfs.cpu_seconds(pid), _writes(stage)
    time.sleep(seconds)
    # The clock stops first: asking takes its time too.
    lasted, burnt = time.monotonic() - began, procfs.cpu_seconds(pid) - cpu
    found = Crowd(_stored(stage) - samples, burnt, _writes(stage) - writes, lasted, procfs.memory(pid))
    _clear(stage)
    return found


def _modbus_crowd(stage: Stage) -> procfs.Memory:
    server = ModbusServer(stage.directory("crowd"), units=_FLEET)
    stage.at_end(server.stop)
    server.start()
    _clear(stage)
    stage.edge.stop()
    stage.edge.start()
    register = {"register": "HoldingRegister", "limit": 1, "dataType": "int"}
    names = [f"p{number}" for number in range(_PROPERTIES)]
    properties = [_property(name, {**register, "offset": number}) for number, name in enumerate(names)]
    stage.api.call("POST", _MODELS, _model("crowd", "modbus", properties))
    for number in range(_FLEET):
        config = {"ip": server.host, "port": str(server.port), "slaveID": number + 1}
        protocol = {"protocolName": "modbus", "configData": config}
        wanted = [{"name": name, "reportToCloud": True, "collectCycle": 1000} for name in names]
        device = _device(f"crowd-{number}", "crowd", "modbus", protocol=protocol, properties=wanted)
        stage.api.call("POST", _DEVICES, device)
    wait_for(lambda: _online(stage) == _FLEET, 60.0, "all devices are online")
    time.sleep(_SETTLE)
    memory = procfs.memory(stage.edge_pid)
    _clear(stage)
    return memory


def _online(stage: Stage) -> int:
    return sum(item.get("status", {}).get("state") == "online" for item in stage.api.call("GET", _STATUSES)["items"])


def _stored(stage: Stage) -> int:
    """Samples on the node's disk, by its own ledgers."""
    return sum(device["status"]["ledger"]["stored"] for device in _at_the_edge(stage))


def _at_the_edge(stage: Stage) -> list[Object]:
    found: list[Object] = json.loads(stage.edge.command("get", "devices", "-o", "json"))["items"]
    return found


def _writes(stage: Stage) -> int:
    """Writes so far: every one of them is a generation, as neither kind has a status subresource."""
    items = [*stage.api.call("GET", _STATUSES)["items"], *stage.api.call("GET", _DEVICES)["items"]]
    return sum(item["metadata"]["generation"] for item in items)


def _clear(stage: Stage) -> None:
    """No devices, here or there."""
    assert stage.edge
    for path in (_DEVICES, _MODELS):
        for item in stage.api.call("GET", path)["items"]:
            stage.api.delete(f"{path}/{item['metadata']['name']}")
    wait_for(lambda: not stage.api.call("GET", _STATUSES)["items"], 60.0, "no DeviceStatus is left")
    wait_for(lambda: not _at_the_edge(stage), 60.0, "the node has no device")


# --- objects


def _model(name: str, protocol: str, properties: list[Object]) -> Object:
    return {
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": "DeviceModel",
        "metadata": {"name": name},
        "spec": {"protocol": protocol, "properties": properties},
    }


def _property(name: str, visitor: Object) -> Object:
    return {"name": name, "type": "INT", "accessMode": "ReadOnly", "visitors": {"configData": visitor}}


def _device(device: str, model: str, kind: str, **spec: Any) -> Object:  # noqa: ANN401 - JSON
    return {
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": "Device",
        "metadata": {"name": device},
        "spec": {
            "deviceModelRef": {"name": model},
            "nodeName": NODE,
            "protocol": {"protocolName": kind},
            **spec,
        },
    }
