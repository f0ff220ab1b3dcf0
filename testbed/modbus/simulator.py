"""The process that plays Modbus units, on pymodbus's server: over TCP, and over a serial line that is a pair of ptys.

Every unit has four tables of its own, all zero at first. What a client writes is logged with the time of the system's
monotonic clock, so that a test in another process can count effects and measure delays. Orders come as JSON lines over
a Unix socket: see `Simulator.obey`.
"""

import argparse
import asyncio
import contextlib
import json
import os
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simdevice import SimAction

_FUNCTIONS: Final = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
_READS: Final = (1, 2, 3, 4)
GARBAGE: Final = b"\xde\xad\xbe\xef\x00\xff\x42\x13"


class Simulator:
    """Units, and how they are reached."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._log = args.log.open("a", buffering=1)
        self._delay: float = args.delay
        self._silent: set[int] = set(args.silent)
        self._garbage: set[int] = set(args.garbage)
        self._setting = False
        self._devices = [self._unit(number) for number in range(1, args.units + 1)]
        self._core: Any = None
        self._servers: list[ModbusTcpServer | ModbusSerialServer] = []
        self.requests = 0

    async def run(self) -> None:
        """Serve until killed."""
        async with contextlib.AsyncExitStack() as stack:
            if self._args.serial:
                self._serial_port = stack.enter_context(_cable(self._args.serial))
            await self._plug()
            control = await asyncio.start_unix_server(self._converse, self._args.control)
            await stack.enter_async_context(control)
            await control.serve_forever()

    # --- orders

    async def obey(self, order: dict[str, Any]) -> Any:  # noqa: ANN401
        """One of set, get, plug, silent, garbage, delay, requests."""
        match order:
            case {"set": [int(unit), str(table), int(address), list(values)]}:
                self._setting = True
                try:
                    await self._core.async_setValues(unit, _FUNCTIONS[table], address, values)
                finally:
                    self._setting = False
            case {"get": [int(unit), str(table), int(address), int(count)]}:
                self._setting = True
                try:
                    return list(await self._core.async_getValues(unit, _FUNCTIONS[table], address, count))
                finally:
                    self._setting = False
            case {"plug": bool(plugged)}:
                await (self._plug() if plugged else self._unplug())
            case {"silent": list(units)}:
                self._silent = set(units)
            case {"garbage": list(units)}:
                self._garbage = set(units)
            case {"delay": int(seconds) | float(seconds)}:
                self._delay = float(seconds)
            case {"requests": _}:
                return self.requests
            case _:
                raise ValueError(f"cannot do {order}")
        return None

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while line := await reader.readline():
                answer = await self.obey(json.loads(line))
                writer.write(json.dumps(answer).encode() + b"\n")

    # --- units

    def _unit(self, number: int) -> SimDevice:
        size = self._args.size
        bits = [SimData(0, count=size, values=False, datatype=DataType.BITS)]
        return SimDevice(
            id=number,
            simdata=(bits, list(bits), self._registers(), self._registers()),
            action=self._action(number),
        )

    def _registers(self) -> list[SimData]:
        """All addresses but those of the holes."""
        made, begin = [], 0
        for first, last in [*sorted(self._args.hole), (self._args.size, 0)]:
            if first > begin:
                made.append(SimData(begin, count=first - begin, values=0, datatype=DataType.REGISTERS))
            begin = last + 1
        return made

    def _action(self, unit: int) -> SimAction:
        async def act(
            function: int,
            _start: int,
            address: int,
            _count: int,
            _now: list[int],
            values: list[int] | list[bool] | None,
        ) -> ExcCodes | None:
            if self._setting:
                return None
            if values is None:
                self.requests += 1
            else:
                entry = {"at": time.monotonic(), "unit": unit, "function": function, "address": address}
                self._log.write(json.dumps({**entry, "values": values}) + "\n")
            # A write of one is followed by a look at what it made of it.
            if self._delay and (function in _READS or values is not None):
                await asyncio.sleep(self._delay)
            return None

        return act

    # --- being reached

    async def _plug(self) -> None:
        if self._servers:
            return
        if self._args.tcp:
            host, _, port = self._args.tcp.rpartition(":")
            tcp = ModbusTcpServer(self._devices, address=(host, int(port)), trace_packet=self._tcp_packet)
            self._servers.append(tcp)
        if self._args.serial:
            serial = ModbusSerialServer(
                self._devices, port=self._serial_port, baudrate=115200, trace_packet=self._serial_packet
            )
            self._servers.append(serial)
        for server in self._servers:
            # One memory behind all ways, which also outlives an unplugging.
            self._core = self._core or server.context
            server.context = self._core
            await server.serve_forever(background=True)

    async def _unplug(self) -> None:
        for server in self._servers:
            await server.shutdown()  # type: ignore[no-untyped-call]
        self._servers = []

    def _tcp_packet(self, sending: bool, data: bytes) -> bytes:
        return self._packet(data, data[6]) if sending and len(data) > 6 else data

    def _serial_packet(self, sending: bool, data: bytes) -> bytes:
        return self._packet(data, data[0]) if sending and data else data

    def _packet(self, data: bytes, unit: int) -> bytes:
        if unit in self._silent:
            return b""
        return GARBAGE if unit in self._garbage else data


@contextlib.contextmanager
def _cable(path: Path) -> Iterator[str]:
    """Two ptys, each one's master joined to the other's: the near end is linked at *path*, the far end is returned."""
    loop = asyncio.get_running_loop()
    (near, near_end), (far, far_end) = os.openpty(), os.openpty()
    for end in (near_end, far_end):
        # Kept open, or a hang-up would follow each time that one side closes its end.
        tty.setraw(end)
    for source, sink in ((near, far), (far, near)):
        os.set_blocking(source, False)
        loop.add_reader(source, _pass_on, source, sink)
    path.unlink(missing_ok=True)
    path.symlink_to(os.ttyname(near_end))
    try:
        yield os.ttyname(far_end)
    finally:
        for master in (near, far):
            loop.remove_reader(master)


def _pass_on(source: int, sink: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.write(sink, os.read(source, 4096))
