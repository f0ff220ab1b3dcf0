"""Models of the catalog against a real Modbus server, through loader and driver.

Those only whose registers all lie where the server has some; the unit tests take all of them through the codec.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from device_models import catalog, load
from device_models.model import Device, Property, Value, ValueType
from device_models.registers import RegisterSpec, Table
from device_models.visitor import register
from edgecore.devices.driver import Driver
from edgecore.devices.drivers.modbus import ModbusDrivers
from edgelink.aio.clock import SystemClock
from testbed.modbus import ModbusServer

TABLES = {Table.COIL: "coil", Table.DISCRETE: "discrete", Table.HOLDING: "holding", Table.INPUT: "input"}
MOST_READS = 7
CELLS = 1024
"""What the server has of each table."""


def addresses(name: str) -> list[int]:
    model = yaml.safe_load(catalog.read(name))
    return [item["visitors"]["configData"]["offset"] for item in model["spec"]["properties"]]


LOW = [name for name in catalog.names() if max(addresses(name)) + 4 < CELLS]


@pytest.fixture(scope="module")
def server(session_dir: Path) -> Iterator[ModbusServer]:
    with ModbusServer(session_dir / "catalog") as server:
        yield server


@pytest.fixture
async def drivers() -> AsyncIterator[ModbusDrivers]:
    async with asyncio.TaskGroup() as group:
        yield ModbusDrivers(group, SystemClock())


def device(name: str, server: ModbusServer) -> Device:
    """A device of model *name* behind *server*, whatever line its makers gave it."""
    text = catalog.read(name)
    body = {
        "apiVersion": "devices.kubeedge.io/v1beta1",
        "kind": "Device",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "deviceModelRef": {"name": name},
            "protocol": {
                "protocolName": "modbus",
                "configData": {"communicateMode": "TCP", "ip": server.host, "port": server.port},
            },
            "properties": [{"name": item["name"]} for item in yaml.safe_load(text)["spec"]["properties"]],
        },
    }
    found = load.file(f"{text}\n---\n{yaml.safe_dump(body)}")[1].what
    assert isinstance(found, Device)
    return found


def sample(prop: Property, spec: RegisterSpec, number: int) -> Value:
    """A value that *prop* can hold, another for each number."""
    if prop.type is ValueType.BOOLEAN:
        return number % 2 == 0
    if prop.type is ValueType.STRING:
        return f"text {number}"
    return number + 1 if prop.type is ValueType.INT else round((number + 1) * float(spec.scale), 9)


@pytest.mark.parametrize("name", LOW)
async def test_what_the_device_holds_is_read_as_the_model_says(
    name: str, server: ModbusServer, drivers: ModbusDrivers
) -> None:
    found = device(name, server)
    properties = list(found.properties.values())
    specs = {prop.name: register(prop) for prop in properties}
    held = {prop.name: sample(prop, specs[prop.name], number) for number, prop in enumerate(properties)}
    for key, spec in specs.items():
        data = spec.encode(held[key])
        cells = [bool(data[0])] if spec.table.bits else struct.unpack(f">{spec.count}H", data)
        server.set(1, TABLES[spec.table], spec.address, *cells)
    driver = drivers(found)
    try:
        await driver.connect()
        before = server.requests()
        assert await driver.read(properties) == held
        assert server.requests() - before <= MOST_READS
    finally:
        await driver.close()


async def test_a_relay_is_switched_and_says_so(server: ModbusServer, drivers: ModbusDrivers) -> None:
    found = device("waveshare-modbus-rtu-relay-8", server)
    server.set(1, "coil", 0, *[False] * 8)
    driver: Driver = drivers(found)
    try:
        await driver.connect()
        await driver.write(found.properties["relay-3"], True)
        assert server.get(1, "coil", 0, 8) == [False, False, True, *[False] * 5]
        read = await driver.read(list(found.properties.values()))
        assert [name for name, value in read.items() if value is True] == ["relay-3"]
    finally:
        await driver.close()
