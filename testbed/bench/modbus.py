"""Modbus at full load: properties read per second, what coalescing brings, and how long a write waits meanwhile.

The server is a process of its own on loopback, so its time is on another core. Both sides of a comparison run in the
same process, one after the other, against the same units.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from device_models.model import Device, Property, ValueType
from edgecore.devices.driver import Driver
from edgecore.devices.drivers.modbus import ModbusDrivers
from edgelink.aio.clock import SystemClock
from testbed.bench.figure import Measured
from testbed.bench.stage import Stage
from testbed.modbus import ModbusServer

_UNITS: Final = 100
_PER_UNIT: Final = 50
"""Properties of a unit: a register each, two in a float, with the odd gap, as energy meters have them."""
_SECONDS: Final = 4.0
_WRITES: Final = 200
_READERS: Final = 20


def properties() -> list[Property]:
    """An energy meter's: 32-bit floats, scaled 16-bit integers, and a register left out after every tenth."""
    made, address = [], 0
    for number in range(_PER_UNIT):
        wide = number % 2 == 0
        visitor = {"register": "HoldingRegister", "offset": address, "limit": 2 if wide else 1, "scale": 0.1}
        made.append(Property(name=f"p{number}", type=ValueType.FLOAT, writable=True, visitor=visitor))
        address += (2 if wide else 1) + (number % 10 == 9)
    return made


def speed(stage: Stage) -> Measured:
    """Properties read per second on one connection."""
    one = stage.once(_rates)
    return Measured(
        one["one"],
        f"{_PER_UNIT} properties in {one['reads']:.0f} reads on one TCP connection for {_SECONDS:g} s, "
        f"{one['one'] / one['one_cpu']:,.0f} per CPU % of the reader; on {_UNITS} connections {one['many']:,.0f}/s, "
        f"{one['many'] / one['many_cpu']:,.0f} per CPU %; plain pymodbus, one read a property: "
        f"{one['plain']:,.0f}/s on one ({one['plain'] / one['plain_cpu']:,.0f} per CPU %), "
        f"{one['plain_many']:,.0f}/s on {_UNITS}",
    )


def speedup(stage: Stage) -> Measured:
    """How many times more properties per second than plain pymodbus reading each by itself, on one connection."""
    found = stage.once(_rates)
    many = found["many"] / found["plain_many"]
    return Measured(
        found["one"] / found["plain"],
        f"same run, same units; on {_UNITS} connections {many:.1f} times; per CPU % "
        f"{found['one'] / found['one_cpu'] / (found['plain'] / found['plain_cpu']):.1f} times",
    )


def write_under_load(stage: Stage) -> Measured:
    """Seconds from asking for a write to its confirmation, while all other units on the connection are read."""
    with ModbusServer(stage.directory("modbus-load"), units=_READERS + 1) as server:
        took, turn = asyncio.run(_writes(server))
    return Measured(
        statistics.fmean(took),
        f"average of {len(took)} writes while {_READERS} units on the same connection read without pause; "
        f"median {statistics.median(took) * 1000:.2f} ms, most {max(took) * 1000:.2f} ms; "
        f"one read and its answer take {turn * 1000:.2f} ms",
    )


def _rates(stage: Stage) -> dict[str, float]:
    with ModbusServer(stage.directory("modbus"), units=_UNITS) as server:
        return asyncio.run(_measure(server))


async def _measure(server: ModbusServer) -> dict[str, float]:
    wanted = properties()
    found: dict[str, float] = {}
    async with asyncio.TaskGroup() as group:
        drivers = [ModbusDrivers(group, SystemClock()) for _ in range(_UNITS)]
        open_drivers = [await _opened(factory, server, unit + 1, wanted) for unit, factory in enumerate(drivers)]
        before = server.requests()
        await open_drivers[0].read(wanted)
        found["reads"] = server.requests() - before
        reads = [_reader(driver, wanted) for driver in open_drivers]
        found["one"], found["one_cpu"] = await _rate(reads[:1])
        found["many"], found["many_cpu"] = await _rate(reads)
        for driver in open_drivers:
            await driver.close()
    plain = [await _plain(server, unit + 1, wanted) for unit in range(_UNITS)]
    found["plain"], found["plain_cpu"] = await _rate([read for read, _ in plain[:1]])
    found["plain_many"], found["plain_many_cpu"] = await _rate([read for read, _ in plain])
    for _, close in plain:
        close()
    return found


async def _opened(factory: ModbusDrivers, server: ModbusServer, unit: int, wanted: Sequence[Property]) -> Driver:
    config = {"ip": server.host, "port": server.port, "slaveID": unit}
    device = Device(
        namespace="bench",
        name=f"unit-{unit}",
        protocol="modbus",
        config=config,
        properties={prop.name: prop for prop in wanted},
    )
    driver = factory(device)
    await driver.connect()
    return driver


def _reader(driver: Driver, wanted: Sequence[Property]) -> Callable[[], Awaitable[int]]:
    async def read() -> int:
        return len(await driver.read(wanted))

    return read


async def _plain(
    server: ModbusServer, unit: int, wanted: Sequence[Property]
) -> tuple[Callable[[], Awaitable[int]], Callable[[], None]]:
    """pymodbus as its documentation shows it: each property read and converted by itself."""
    from pymodbus.client import AsyncModbusTcpClient

    client = AsyncModbusTcpClient(server.host, port=server.port)
    await client.connect()
    kinds = {1: client.DATATYPE.UINT16, 2: client.DATATYPE.FLOAT32}

    async def read() -> int:
        for prop in wanted:
            count = prop.visitor["limit"]
            answer = await client.read_holding_registers(prop.visitor["offset"], count=count, device_id=unit)
            value = client.convert_from_registers(list(answer.registers), kinds[count])
            assert isinstance(value, int | float)
            round(value * prop.visitor["scale"], 6)
        return len(wanted)

    return read, client.close


async def _rate(reads: Sequence[Callable[[], Awaitable[int]]]) -> tuple[float, float]:
    """Properties per second, and percent of a CPU that this process took."""
    count = 0
    begun, cpu = time.monotonic(), time.process_time()
    end = begun + _SECONDS

    async def go_on(read: Callable[[], Awaitable[int]]) -> None:
        nonlocal count
        while time.monotonic() < end:
            got = await read()
            count += got

    await asyncio.gather(*map(go_on, reads))
    took = time.monotonic() - begun
    return count / took, (time.process_time() - cpu) / took * 100


async def _writes(server: ModbusServer) -> tuple[list[float], float]:
    wanted, took = properties(), []
    async with asyncio.TaskGroup() as group:
        drivers = ModbusDrivers(group, SystemClock())
        readers = [await _opened(drivers, server, unit + 1, wanted) for unit in range(_READERS)]
        writer = await _opened(drivers, server, _READERS + 1, wanted[1:2])
        turn = await _turn(readers[0], wanted)
        load = [group.create_task(_forever(_reader(driver, wanted))) for driver in readers]
        for number in range(_WRITES):
            await asyncio.sleep(0.01)
            begun = time.perf_counter()
            await writer.write(wanted[1], float(number))
            took.append(time.perf_counter() - begun)
        for task in load:
            task.cancel()
        for driver in (*readers, writer):
            await driver.close()
    return took, turn


async def _turn(driver: Driver, wanted: Sequence[Property]) -> float:
    times = []
    for _ in range(50):
        begun = time.perf_counter()
        await driver.read(wanted)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


async def _forever(read: Callable[[], Awaitable[int]]) -> None:
    while True:
        await read()
