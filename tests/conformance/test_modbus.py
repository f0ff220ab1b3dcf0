"""The Modbus drivers against a real server process, over TCP and over a serial line."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from device_models.model import Device, Property, Value, ValueType
from edgecore.devices.driver import BadSetting, DeviceRefused, DeviceSilent, Driver
from edgecore.devices.drivers.modbus import ModbusDrivers
from edgelink.aio.clock import SystemClock
from testbed.modbus import ModbusServer

UNITS = 5
HOLES = ((40, 44), (60, 60))
TIMEOUT_MS = 150
GAVE_UP = (DeviceSilent, TimeoutError)


def holding(name: str, offset: int, of: ValueType = ValueType.INT, **more: Any) -> Property:  # noqa: ANN401
    visitor = {"register": "HoldingRegister", "offset": offset, "limit": 1, **more}
    return Property(name=name, type=of, writable=True, visitor=visitor)


ALL_TYPES: tuple[tuple[Property, Value], ...] = (
    (holding("uint16", 0), 65535),
    (holding("int16", 1, signed=True), -32768),
    (holding("uint32", 2, limit=2), 4_000_000_000),
    (holding("int32", 4, dataType="int32", limit=2), -2_000_000_000),
    (holding("int64", 6, dataType="int64", limit=4), -(2**62)),
    (holding("float32", 10, ValueType.FLOAT, limit=2), 21.7),
    (holding("float64", 12, ValueType.DOUBLE, limit=4), 3.141592653589793),
    (holding("swapped", 16, ValueType.FLOAT, limit=2, isSwap=True, isRegisterSwap=True), -0.125),
    (holding("scaled", 18, ValueType.FLOAT, scale="0.1", signed="true"), -21.5),
    (holding("text", 20, ValueType.STRING, limit=6), "pümp 3"),
    (holding("bytes", 26, ValueType.BYTES, limit=2), b"\0\1\2\0"),
    (holding("flag", 28, ValueType.BOOLEAN), True),
    (Property(name="coil", type=ValueType.BOOLEAN, visitor={"register": "CoilRegister", "offset": 3}), True),
    (Property(name="coils", type=ValueType.INT, visitor={"register": "CoilRegister", "offset": 9, "limit": 5}), 21),
)


@pytest.fixture(scope="module")
def running(session_dir: Path) -> Iterator[ModbusServer]:
    with ModbusServer(session_dir / "modbus", units=UNITS, serial=True, holes=HOLES) as server:
        yield server


@pytest.fixture
def server(running: ModbusServer) -> ModbusServer:
    """Plugged in, quick, and with every unit well again."""
    running.silent()
    running.garbage()
    running.delay(0.0)
    running.plug()
    return running


@pytest.fixture
async def drivers() -> AsyncIterator[ModbusDrivers]:
    async with asyncio.TaskGroup() as group:
        yield ModbusDrivers(group, SystemClock())


class Bench:
    """Makes devices that are reached in one way."""

    def __init__(self, server: ModbusServer, drivers: ModbusDrivers, over: str) -> None:
        self.server, self.drivers = server, drivers
        self.config: dict[str, Any] = {"timeoutMs": TIMEOUT_MS}
        if over == "tcp":
            self.config |= {"communicateMode": "TCP", "ip": server.host, "port": server.port}
        else:
            self.config |= {"communicateMode": "RTU", "serialName": str(server.serial), "baudRate": 115200}
        self._open: list[Driver] = []

    def device(self, *properties: Property, unit: int = 1, **config: Any) -> Device:  # noqa: ANN401
        return Device(
            namespace="plant",
            name=f"unit-{unit}",
            protocol="modbus",
            config={**self.config, "slaveID": unit, **config},
            properties={prop.name: prop for prop in properties},
        )

    async def driver(self, *properties: Property, unit: int = 1, **config: Any) -> Driver:  # noqa: ANN401
        driver = self.drivers(self.device(*properties, unit=unit, **config))
        self._open.append(driver)
        await driver.connect()
        return driver

    async def back(self, *properties: Property, unit: int = 1) -> Driver:
        """Connect again and again, as a worker does."""
        end = time.monotonic() + 10.0
        while True:
            try:
                return await self.driver(*properties, unit=unit)
            except DeviceSilent:
                assert time.monotonic() < end
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        for driver in self._open:
            await driver.close()


@pytest.fixture(params=["tcp", "rtu"])
async def bench(request: pytest.FixtureRequest, server: ModbusServer, drivers: ModbusDrivers) -> AsyncIterator[Bench]:
    bench = Bench(server, drivers, request.param)
    yield bench
    await bench.close()


async def test_every_type_is_written_and_read_back(bench: Bench) -> None:
    properties = [prop for prop, _ in ALL_TYPES]
    driver = await bench.driver(*properties)
    before = bench.server.requests()
    for prop, value in ALL_TYPES:
        await driver.write(prop, value)
    writes = bench.server.requests()
    assert await driver.read(properties) == {prop.name: value for prop, value in ALL_TYPES}
    assert bench.server.requests() - writes == 2, "one read of registers, one of coils"
    assert len(bench.server.written()) >= len(ALL_TYPES)
    assert writes - before <= len(ALL_TYPES), "a write makes no read"


async def test_tables_that_are_only_read(bench: Bench) -> None:
    level = Property(name="level", type=ValueType.INT, visitor={"register": "InputRegister", "offset": 7})
    door = Property(name="door", type=ValueType.BOOLEAN, visitor={"register": "DiscreteInputRegister", "offset": 5})
    bench.server.set(2, "input", 7, 815)
    bench.server.set(2, "discrete", 5, True)
    driver = await bench.driver(level, door, unit=2)
    assert await driver.read([level, door]) == {"level": 815, "door": True}
    with pytest.raises(DeviceRefused, match="level cannot be written: it is a InputRegister"):
        await driver.write(level, 1)


async def test_a_value_that_does_not_fit_is_refused_before_it_is_sent(bench: Bench) -> None:
    small = holding("small", 0)
    driver = await bench.driver(small)
    count = len(bench.server.written())
    with pytest.raises(DeviceRefused, match="small must be from 0 to 65535"):
        await driver.write(small, 65536)
    assert len(bench.server.written()) == count


async def test_a_hole_costs_only_what_lies_in_it(bench: Bench) -> None:
    fine, hole, beyond, split = holding("fine", 38), holding("hole", 42), holding("beyond", 46), holding("next", 47)
    driver = await bench.driver(fine, hole, beyond, split, unit=3)
    bench.server.set(3, "holding", 46, 11, 12)
    found = await driver.read([fine, hole, beyond, split])
    assert isinstance(found["hole"], DeviceRefused)
    assert "illegal data address" in str(found["hole"])
    assert (found["fine"], found["beyond"], found["next"]) == (0, 11, 12)
    before = bench.server.requests()
    assert (await driver.read([fine, beyond, split])) == {"fine": 0, "beyond": 11, "next": 12}
    assert bench.server.requests() - before == 2, "it is remembered what may not be bridged"
    with pytest.raises(DeviceRefused, match="illegal data address"):
        await driver.write(hole, 1)


async def test_what_was_learned_outlives_the_connection(bench: Bench) -> None:
    a, b = holding("a", 59), holding("b", 61)
    await (await bench.driver(a, b, unit=3)).read([a, b])
    again = await bench.driver(a, b, unit=3)
    before = bench.server.requests()
    assert await again.read([a, b]) == {"a": 0, "b": 0}
    assert bench.server.requests() - before == 2


async def test_a_bad_visitor_costs_only_its_property(bench: Bench) -> None:
    good, bad = holding("good", 1), holding("bad", 70000)
    driver = await bench.driver(good, bad)
    found = await driver.read([good, bad])
    assert "configData.offset: must be a whole number from 0 to 65535" in str(found["bad"])
    assert not isinstance(found["good"], DeviceRefused)
    with pytest.raises(DeviceRefused, match="offset"):
        await driver.write(bad, 1)


async def test_settings_that_cannot_be(bench: Bench) -> None:
    with pytest.raises(BadSetting, match="slaveID"):
        bench.drivers(bench.device(holding("a", 0), slaveID=999))
    with pytest.raises(BadSetting, match=r"spec.properties\[a\].visitors.configData.register: is missing"):
        bench.drivers(bench.device(Property(name="a")))


@pytest.mark.slow
async def test_a_silent_unit_costs_the_others_one_time_out_per_pause(bench: Bench) -> None:
    prop = holding("a", 0)
    good, dead = await bench.driver(prop, unit=1), await bench.driver(prop, unit=4)
    bench.server.silent(4)
    stop = time.monotonic() + 1.2
    tries = reads = 0
    longest = 0.0

    async def insist() -> None:
        nonlocal tries
        while time.monotonic() < stop:
            with pytest.raises(GAVE_UP):
                await dead.read([prop])
            tries += 1
            await asyncio.sleep(0.01)

    async def poll() -> None:
        nonlocal reads, longest
        while time.monotonic() < stop:
            begun = time.monotonic()
            await good.read([prop])
            longest = max(longest, time.monotonic() - begun)
            reads += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(insist())
        group.create_task(poll())
    assert tries > 10, "whoever asks during the pause is told at once"
    assert longest < 4 * TIMEOUT_MS / 1000
    assert reads > 30, "the others go on: with a time-out before each it would be eight"


@pytest.mark.slow
async def test_a_unit_that_answers_nonsense_is_alone_with_it(bench: Bench) -> None:
    prop = holding("a", 0)
    good, mad = await bench.driver(prop, unit=1), await bench.driver(prop, unit=5)
    bench.server.garbage(5)
    with pytest.raises(DeviceSilent, match="unit 5"):
        await mad.read([prop])
    assert "a" in await good.read([prop])
    bench.server.garbage()
    await bench.back(prop, unit=5)


async def test_unplugged_and_plugged_in_again(bench: Bench) -> None:
    prop = holding("a", 0)
    driver = await bench.driver(prop, unit=2)
    await driver.write(prop, 7)
    bench.server.unplug()
    with pytest.raises(DeviceSilent):
        await driver.read([prop])
    await driver.close()
    bench.server.plug()
    again = await bench.back(prop, unit=2)
    assert await again.read([prop]) == {"a": 7}


@pytest.mark.slow
async def test_a_write_goes_before_waiting_reads(bench: Bench) -> None:
    """With a slow line and every unit reading, a write takes its own turn and at most one other's."""
    turn = 0.03
    many = [holding(f"p{n}", n * 20) for n in range(2)] + [holding(f"q{n}", 100 + n * 20) for n in range(8)]
    readers = [await bench.driver(*many, unit=unit) for unit in (1, 2, 3)]
    writer = await bench.driver(many[0], unit=4)
    bench.server.delay(turn)

    async def poll(driver: Driver) -> None:
        while True:
            await driver.read(many)

    took = []
    async with asyncio.TaskGroup() as group:
        load = [group.create_task(poll(driver)) for driver in readers]
        await asyncio.sleep(2 * turn)
        for value in range(5):
            begun = time.monotonic()
            await writer.write(many[0], value)
            took.append(time.monotonic() - begun)
        for task in load:
            task.cancel()
    # In the order of their deadlines, it would wait for thirty.
    assert max(took) < 10 * turn, took
    assert sorted(took)[2] < 5 * turn, took


async def test_devices_of_one_endpoint_share_the_connection(server: ModbusServer, drivers: ModbusDrivers) -> None:
    bench = Bench(server, drivers, "tcp")
    prop = holding("a", 0)
    for unit in (1, 2, 3):
        await bench.driver(prop, unit=unit)
    assert _connections(server.port) == 1
    await bench.close()


async def test_a_serial_line_has_one_speed(server: ModbusServer, drivers: ModbusDrivers) -> None:
    bench = Bench(server, drivers, "rtu")
    await bench.driver(holding("a", 0), unit=1)
    with pytest.raises(BadSetting, match="other settings: 115200 baud 8N1"):
        await bench.driver(holding("a", 0), unit=2, baudRate=9600)
    await bench.close()


@pytest.mark.slow
@pytest.mark.parametrize("over", ["tcp", "rtu"])
async def test_a_killed_server_comes_back(over: str, workdir: Path, drivers: ModbusDrivers) -> None:
    prop = holding("a", 0)
    with ModbusServer(workdir, serial=True) as server:
        bench = Bench(server, drivers, over)
        driver = await bench.driver(prop)
        server.kill()
        begun = time.monotonic()
        with pytest.raises(DeviceSilent):
            await driver.read([prop])
        assert time.monotonic() - begun < 1.0
        await driver.close()
        with pytest.raises(DeviceSilent):
            await bench.driver(prop)
        await bench.close()
        server.start()
        again = await bench.back(prop)
        assert await again.read([prop]) == {"a": 0}
        await again.close()


async def test_a_call_that_is_given_up_leaves_the_bus_in_order(bench: Bench) -> None:
    prop = holding("a", 0)
    driver = await bench.driver(prop, unit=1)
    bench.server.set(1, "holding", 0, 77)
    bench.server.delay(0.08)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await driver.read([prop])
    assert await driver.read([prop]) == {"a": 77}


def _connections(port: int) -> int:
    """TCP connections to *port* that are open."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)
