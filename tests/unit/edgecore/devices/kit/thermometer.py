"""A driver that is in order, its device, and the bench of both: what planted drivers are made from."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from edgecore.devices.driver import (
    BadSetting,
    Device,
    DeviceRefused,
    DeviceSilent,
    Driver,
    Outcome,
    Property,
    Value,
    ValueType,
)
from edgecore.devices.kit import Bench

TEMPERATURE = Property(name="temperature", type=ValueType.FLOAT, minimum=-40, maximum=125, visitor={"register": 1})
SETPOINT = Property(name="setpoint", type=ValueType.INT, writable=True, minimum=5, maximum=30, visitor={"register": 2})


class Oven:
    """The device: lines ``R 1`` and ``W 2 20``, answers in tenths, with a check sum: ``=215*52``."""

    def __init__(self) -> None:
        self.registers = {1: 215, 2: 180}

    async def start(self) -> tuple[str, int]:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def stop(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                writer.write(summed(self._answer(line.decode().split())))
        writer.close()

    def _answer(self, words: list[str]) -> str:
        match words:
            case ["R", number]:
                return f"={self.registers[int(number)]}"
            case ["W", number, value] if 0 <= int(value) < 1000:
                self.registers[int(number)] = int(value)
                return f"={value}"
        return "!no"


def summed(text: str) -> bytes:
    return f"{text}*{sum(text.encode()) % 256:02X}\n".encode()


class Thermometer(Driver):
    """Does everything right."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self.host = device.config.get("host")
        self.port = device.config.get("port")
        if not isinstance(self.host, str):
            raise BadSetting("spec.protocol.configData.host: must be the name or address of the device")
        if not isinstance(self.port, int):
            raise BadSetting("spec.protocol.configData.port: must be a number")
        if others := device.config.keys() - {"host", "port"}:
            raise BadSetting(f"spec.protocol.configData: there is no setting {', '.join(sorted(others))}")
        for prop in device.properties.values():
            if not isinstance(prop.visitor.get("register"), int):
                raise BadSetting(f"spec.properties[{prop.name}].visitors.configData.register: must be a number")
        self.writer: asyncio.StreamWriter | None = None

    async def connect(self) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        await self.ask("R 1")

    async def ask(self, question: str) -> int:
        assert self.writer
        self.writer.write(f"{question}\n".encode())
        try:
            answer = await self.reader.readline()
        except ValueError:
            raise DeviceSilent("answers without end") from None
        return self.understood(answer)

    def understood(self, answer: bytes) -> int:
        text = answer.rpartition(b"*")[0].decode(errors="replace")
        if answer != summed(text):
            raise DeviceSilent(f"answers {answer[:40]!r}")
        if text.startswith("!"):
            raise DeviceRefused(text)
        return int(text[1:])

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        return {prop.name: await self.ask(f"R {prop.visitor['register']}") / 10 for prop in properties}

    async def write(self, prop: Property, value: Value) -> None:
        await self.ask(f"W {prop.visitor['register']} {round(float(value) * 10)}")

    async def close(self) -> None:
        if self.writer:
            self.writer.close()


class OvenBench(Bench):
    driver = Thermometer
    properties = (TEMPERATURE, SETPOINT)
    expected = {"temperature": 21.5, "setpoint": 18}  # noqa: RUF012
    patience = 0.6

    async def start(self) -> tuple[str, int]:
        self.oven = Oven()
        return await self.oven.start()

    async def stop(self) -> None:
        await self.oven.stop()


def bench_of(planted: type[Driver], **changes: Any) -> Bench:  # noqa: ANN401
    """The bench with another driver."""
    bench: Bench = type("PlantedBench", (OvenBench,), {"driver": planted, **changes})()
    return bench
