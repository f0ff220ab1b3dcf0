"""A Modbus driver over a connection that answers as the test says."""

import asyncio
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from device_models.model import Device, Property, ValueType
from edgecore.devices.driver import DeviceRefused
from edgecore.devices.drivers import modbus
from edgecore.devices.drivers.modbus import ModbusDriver, ModbusDrivers
from edgecore.devices.drivers.modbus_contract import Refusal, Request
from tests.fakes.clock import FakeClock

ROOT = Path(__file__).resolve().parents[5]
Respond = Callable[[int, int, int, bytes], bytes]


class Unit:
    """A unit of 100 holding registers; a test replaces `respond` to be difficult."""

    def __init__(self) -> None:
        self.registers = [0] * 100
        self.asked: list[tuple[int, int, int]] = []
        self.respond: Respond | None = None
        self.lost = False

    async def ask(self, unit: int, request: Request, timeout: float) -> bytes:
        function, address, count = struct.unpack(">BHH", request.payload[:5])
        self.asked.append((function, address, count))
        if self.respond and (answer := self.respond(function, address, count, request.payload)):
            return answer
        if function == 3:
            return struct.pack(f">{count}H", *self.registers[address : address + count])
        if function == 6:
            self.registers[address] = count
        elif function == 16:
            self.registers[address : address + count] = struct.unpack(f">{count}H", request.payload[6:])
        return b""

    def close(self) -> None:
        self.lost = True


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> Unit:
    unit = Unit()

    async def opened(timeout: float) -> Unit:
        unit.lost = False
        return unit

    monkeypatch.setattr(modbus, "_opener", lambda _endpoint: opened)
    return unit


@pytest.fixture
async def drivers(unit: Unit) -> AsyncIterator[ModbusDrivers]:
    async with asyncio.TaskGroup() as group:
        yield ModbusDrivers(group, FakeClock())


def register(name: str, offset: int, of: ValueType = ValueType.INT, **more: Any) -> Property:  # noqa: ANN401
    visitor = {"register": "HoldingRegister", "offset": offset, **more}
    return Property(name=name, type=of, writable=True, visitor=visitor)


async def connected(drivers: ModbusDrivers, *properties: Property, **config: Any) -> ModbusDriver:  # noqa: ANN401
    device = Device(
        namespace="plant",
        name="pump",
        config={"ip": "unit", **config},
        properties={prop.name: prop for prop in properties},
    )
    driver = drivers(device)
    assert isinstance(driver, ModbusDriver)
    await driver.connect()
    return driver


async def test_two_properties_of_one_register_are_one_read(unit: Unit, drivers: ModbusDrivers) -> None:
    whole, bit, twin = register("whole", 5), register("bit", 5, ValueType.BOOLEAN, bit=1), register("twin", 5)
    driver = await connected(drivers, whole, bit, twin)
    unit.registers[5] = 2
    unit.asked.clear()
    assert await driver.read([whole, bit, twin]) == {"whole": 2, "bit": True, "twin": 2}
    assert unit.asked == [(3, 5, 1)]
    await driver.close()


async def test_a_device_without_properties_is_only_connected_to(unit: Unit, drivers: ModbusDrivers) -> None:
    driver = await connected(drivers)
    assert await driver.read([]) == {}
    assert unit.asked == []
    await driver.close()
    assert unit.lost


async def test_a_device_that_refuses_to_answer_at_all_is_there(unit: Unit, drivers: ModbusDrivers) -> None:
    def refuse(*_: object) -> bytes:
        raise Refusal(4)

    unit.respond = refuse
    prop = register("a", 0)
    driver = await connected(drivers, prop)
    [outcome] = (await driver.read([prop])).values()
    assert "device failure" in str(outcome)
    await driver.close()


async def test_a_bad_value_costs_only_its_property(unit: Unit, drivers: ModbusDrivers) -> None:
    number, fine = register("number", 0, ValueType.FLOAT, limit=2), register("fine", 2)
    driver = await connected(drivers, number, fine)
    unit.registers[0:3] = [0x7FC0, 0, 9]
    found = await driver.read([number, fine])
    assert isinstance(found["number"], DeviceRefused)
    assert found["fine"] == 9
    await driver.close()


async def test_a_device_without_the_function_for_one_register(unit: Unit, drivers: ModbusDrivers) -> None:
    def no_six(function: int, *_: object) -> bytes:
        if function == 6:
            raise Refusal(1)
        return b""

    unit.respond = no_six
    prop = register("a", 3)
    driver = await connected(drivers, prop)
    unit.asked.clear()
    await driver.write(prop, 7)
    await driver.write(prop, 8)
    assert unit.asked == [(6, 3, 7), (16, 3, 1), (16, 3, 1)]
    assert unit.registers[3] == 8
    await driver.close()


async def test_a_device_that_writes_nothing(unit: Unit, drivers: ModbusDrivers) -> None:
    def read_only(function: int, *_: object) -> bytes:
        if function != 3:
            raise Refusal(1)
        return b""

    unit.respond = read_only
    prop = register("a", 3)
    driver = await connected(drivers, prop)
    for _ in range(2):
        unit.asked.clear()
        with pytest.raises(DeviceRefused, match="illegal function"):
            await driver.write(prop, 7)
        assert [function for function, *_ in unit.asked] == [6, 16]
    await driver.close()


async def test_bridging_a_gap_is_given_up_where_it_is_refused(unit: Unit, drivers: ModbusDrivers) -> None:
    def gap(function: int, address: int, count: int, _payload: bytes) -> bytes:
        if function == 3 and address <= 4 < address + count:
            raise Refusal(2)
        return b""

    unit.respond = gap
    properties = [register(f"p{at}", at) for at in (0, 1, 2, 6, 7, 9)]
    driver = await connected(drivers, *properties)
    assert set((await driver.read(properties)).values()) == {0}
    unit.asked.clear()
    await driver.read(properties)
    assert unit.asked == [(3, 0, 3), (3, 6, 4)]
    await driver.close()


async def test_other_registers_are_another_map(unit: Unit, drivers: ModbusDrivers) -> None:
    """What was learned of the old map says nothing of the new one."""

    def narrow(function: int, address: int, count: int, _payload: bytes) -> bytes:
        if function == 3 and count > 1:
            raise Refusal(3)
        return b""

    unit.respond = narrow
    a, b, c = register("a", 0), register("b", 1), register("c", 2)
    driver = await connected(drivers, a, b)
    await driver.read([a, b])
    await driver.close()
    unit.respond = None
    driver = await connected(drivers, a, b, c)
    unit.asked.clear()
    await driver.read([a, b, c])
    assert unit.asked == [(3, 0, 3)]
    await driver.close()


async def test_wishes_of_the_device_are_kept(unit: Unit, drivers: ModbusDrivers) -> None:
    properties = [register(f"p{at}", at) for at in (0, 1, 2, 4)]
    driver = await connected(drivers, *properties, maxGap=0, maxRegisters=2)
    unit.asked.clear()
    await driver.read(properties)
    assert unit.asked == [(3, 0, 2), (3, 2, 1), (3, 4, 1)]
    await driver.close()


async def test_plans_do_not_pile_up(unit: Unit, drivers: ModbusDrivers) -> None:
    properties = [register(f"p{at}", at) for at in range(50)]
    driver = await connected(drivers, *properties)
    for prop in properties:
        assert await driver.read([prop]) == {prop.name: 0}
    assert len(driver._plans) <= 32
    await driver.close()
    await driver.close()


def test_pymodbus_is_loaded_late_and_its_server_never() -> None:
    script = (
        "import sys, edgecore.devices.drivers.modbus\n"
        "assert 'pymodbus' not in sys.modules\n"
        "import edgecore.devices.drivers.modbus_line\n"
        "loaded = {'pymodbus.server', 'pymodbus.client', 'serial'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=30)
