"""The conformance kit's verdict on the Modbus driver, with a real server process behind the kit's faulty link."""

import asyncio
import tempfile
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from device_models.model import Device, Property, Value, ValueType
from edgecore.devices.driver import Driver
from edgecore.devices.drivers.modbus import ModbusDriver, ModbusDrivers
from edgecore.devices.kit.bench import Bench
from edgecore.devices.kit.runner import CHECKS, check
from edgelink.aio.clock import SystemClock
from testbed.modbus import ModbusServer

STARTS_WITH = 215


class Tasks:
    """In place of the daemon's task group: the kit has none to give, and looks itself for what is left behind."""

    def create_task(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(work, name=name)


class Meter(Bench):
    """A unit with a bit, a scaled register and a float."""

    driver = ModbusDriver
    protocol = "modbus"
    lenient = True
    properties = (
        Property(
            name="setpoint",
            type=ValueType.FLOAT,
            writable=True,
            minimum=0,
            maximum=100,
            visitor={"register": "HoldingRegister", "offset": 0, "limit": 1, "scale": 0.1},
        ),
        Property(
            name="relay",
            type=ValueType.BOOLEAN,
            writable=True,
            visitor={"register": "CoilRegister", "offset": 2},
        ),
        Property(
            name="level",
            type=ValueType.FLOAT,
            visitor={"register": "InputRegister", "offset": 4, "scale": "0.1"},
        ),
    )
    expected: ClassVar[Mapping[str, Value]] = {"level": STARTS_WITH / 10}

    def __init__(self, directory: Path) -> None:
        self._server = ModbusServer(directory)
        self._drivers: dict[asyncio.AbstractEventLoop, ModbusDrivers] = {}

    async def start(self) -> tuple[str, int]:
        self._server.start()
        self._server.set(1, "input", 4, STARTS_WITH)
        return self._server.host, self._server.port

    async def stop(self) -> None:
        self._server.stop()

    def config(self, host: str, port: int) -> Mapping[str, Any]:
        return {"ip": host, "port": port, "slaveID": 1, "timeoutMs": 400}

    def make(self, device: Device) -> Driver:
        """The factory lives as long as the loop, as it does in the daemon."""
        loop = asyncio.get_running_loop()
        if loop not in self._drivers:
            self._drivers = {loop: ModbusDrivers(cast(asyncio.TaskGroup, Tasks()), SystemClock())}
        return self._drivers[loop](device)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_the_kit_finds_nothing(name: str, session_dir: Path) -> None:
    with tempfile.TemporaryDirectory(dir=session_dir) as directory:
        check(Meter(Path(directory)), name)
