"""The demo's plant: an energy meter and a thermostat on real Modbus TCP, and a door sensor that speaks MQTT.

Owns: the devices and the broker as processes, and a thread that lets time pass in them. The meter is a model of the
shipped catalog; its registers are 32-bit floats, high word first.
"""

import json
import struct
import threading
from pathlib import Path
from typing import Any

from device_models import catalog
from testbed.modbus import ModbusServer
from testbed.mosquitto import Mosquitto

METER, THERMOSTAT, DOOR = "meter", "thermostat", "door"
METER_MODEL = "eastron-sdm120"
_METER_UNIT, _THERMOSTAT_UNIT = 1, 2
_SETPOINT, _TEMPERATURE = 10, 11
_TOPIC = "plant/door"
_METERED = ["voltage", "energy-total"]
_API = "devices.kubeedge.io/v1beta1"


class Plant:
    """See the module."""

    def __init__(self, directory: Path) -> None:
        self.modbus = ModbusServer(directory / "modbus", units=2)
        self.broker = Mosquitto(directory / "mosquitto")
        self._energy = 100.0
        self._ended = threading.Event()
        self._time = threading.Thread(target=self._pass_time, name="the plant's time", daemon=True)

    def start(self) -> None:
        self.modbus.start()
        self.broker.start()
        self.set_setpoint_by_hand(20.0)
        self._time.start()

    def stop(self) -> None:
        self._ended.set()
        if self._time.is_alive():
            self._time.join()
        self.modbus.stop()
        self.broker.stop()

    def setpoint(self) -> float:
        """What the thermostat's register holds."""
        [raw] = self.modbus.get(_THERMOSTAT_UNIT, "holding", _SETPOINT)
        return float(raw) / 10

    def set_setpoint_by_hand(self, celsius: float) -> None:
        """Somebody turns the knob."""
        self.modbus.set(_THERMOSTAT_UNIT, "holding", _SETPOINT, round(celsius * 10))
        self.modbus.set(_THERMOSTAT_UNIT, "holding", _TEMPERATURE, 195)

    def door(self, *, open: bool) -> None:
        """The sensor says so."""
        with self.broker.client() as sensor:
            sensor.publish(_TOPIC, json.dumps({"open": open}))

    def _pass_time(self) -> None:
        while not self._ended.wait(1.0):
            self._energy += 0.01
            for address, value in ((0, 230.4), (6, 1.2), (12, 276.0), (70, 50.0), (342, self._energy)):
                self.modbus.set(_METER_UNIT, "input", address, *struct.unpack(">HH", struct.pack(">f", value)))

    # --- as Kubernetes objects

    def models(self) -> list[dict[str, Any]]:
        """The meter's comes from the catalog."""
        import yaml

        meter: dict[str, Any] = yaml.safe_load(catalog.read(METER_MODEL))
        register = {"register": "HoldingRegister", "limit": 1, "scale": 0.1, "dataType": "int"}
        thermostat = _model(
            "thermostat",
            "modbus",
            {
                **_property("setpoint", "FLOAT", unit="C", writable=True, visitor={**register, "offset": _SETPOINT}),
                "minimum": "5",
                "maximum": "30",
            },
            _property("temperature", "FLOAT", unit="C", visitor={**register, "offset": _TEMPERATURE}),
        )
        door = _model("door", "mqtt", _property("open", "BOOLEAN", visitor={"topic": _TOPIC, "jsonPath": "open"}))
        return [meter, thermostat, door]

    def devices(self, node: str) -> list[dict[str, Any]]:
        """All three, on *node*."""
        address = {"communicateMode": "TCP", "ip": self.modbus.host, "port": str(self.modbus.port), "timeout": 1}
        return [
            _device(
                METER, METER_MODEL, node, "modbus", {**address, "slaveID": _METER_UNIT}, ["voltage", "energy-total"]
            ),
            self.thermostat(node),
            _device(DOOR, "door", node, "mqtt", None, ["open"]),
        ]

    def thermostat(self, node: str, setpoint: str = "") -> dict[str, Any]:
        """The thermostat, perhaps with a wish."""
        address = {"communicateMode": "TCP", "ip": self.modbus.host, "port": str(self.modbus.port), "timeout": 1}
        device = _device(
            THERMOSTAT,
            "thermostat",
            node,
            "modbus",
            {**address, "slaveID": _THERMOSTAT_UNIT},
            ["setpoint", "temperature"],
        )
        if setpoint:
            device["spec"]["properties"][0]["desired"] = {"value": setpoint}
        return device


def _model(name: str, protocol: str, *properties: dict[str, Any]) -> dict[str, Any]:
    spec = {"protocol": protocol, "properties": list(properties)}
    return {"apiVersion": _API, "kind": "DeviceModel", "metadata": {"name": name}, "spec": spec}


def _property(name: str, of: str, *, visitor: dict[str, Any], unit: str = "", writable: bool = False) -> dict[str, Any]:
    access = "ReadWrite" if writable else "ReadOnly"
    return {"name": name, "type": of, "accessMode": access, "unit": unit, "visitors": {"configData": visitor}}


def _device(
    name: str, model: str, node: str, protocol: str, config: dict[str, Any] | None, properties: list[str]
) -> dict[str, Any]:
    spec = {
        "deviceModelRef": {"name": model},
        "nodeName": node,
        "protocol": {"protocolName": protocol, "configData": config},
        "properties": [{"name": prop, "reportToCloud": True, "collectCycle": 500} for prop in properties],
    }
    return {"apiVersion": _API, "kind": "Device", "metadata": {"name": name}, "spec": spec}
