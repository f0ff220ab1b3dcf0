"""A driver that does what the test says, and devices for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from device_models.model import Desired, Device, Property, Value, ValueType
from edgecore.devices.driver import DeviceSilent, Driver, Outcome, Reading


def prop(name: str = "t", type: ValueType = ValueType.FLOAT, **more: object) -> Property:
    fields: dict[str, object] = {"writable": True, "report_to_cloud": True, "collect_cycle": 0.02, **more}
    return Property(name=name, type=type, **fields)  # type: ignore[arg-type]


def wants(value: str, **metadata: str) -> Desired:
    return Desired(value=value, metadata=metadata)


def device(*properties: Property, uid: str = "u1", name: str = "meter", **more: object) -> Device:
    by_name = {each.name: each for each in properties}
    return Device(namespace="plant", name=name, uid=uid, protocol="scripted", properties=by_name, **more)  # type: ignore[arg-type]


class Script:
    """What a device has, and what goes wrong with it; makes its drivers."""

    def __init__(self, **has: Outcome) -> None:
        self.has: dict[str, Outcome] = dict(has)
        self.written: list[tuple[str, Value]] = []
        self.reads: list[list[str]] = []
        self.on_connect: list[BaseException] = []
        self.on_read: list[BaseException] = []
        self.on_write: list[BaseException] = []
        self.on_close: list[BaseException] = []
        self.connected = self.closed = 0
        self.hang: asyncio.Event | None = None
        """If set, writes wait for it, after the device took the value."""
        self.polled = True
        self.deaf = False
        """Whether it confirms writes that it does not carry out."""
        self.sends: asyncio.Queue[Sequence[Reading]] = asyncio.Queue()
        self.before_write: Callable[[], None] = lambda: None

    def __call__(self, device: Device) -> Driver:
        driver = Scripted(device)
        driver.script = self
        driver.polled = self.polled  # type: ignore[misc]
        return driver


class Scripted(Driver):
    """See `Script`."""

    script: Script
    timeout = 5.0

    async def connect(self) -> None:
        self.script.connected += 1
        _raise(self.script.on_connect)

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        self.script.reads.append([each.name for each in properties])
        _raise(self.script.on_read)
        return {each.name: self.script.has[each.name] for each in properties if each.name in self.script.has}

    async def write(self, prop: Property, value: Value) -> None:
        self.script.before_write()
        _raise(self.script.on_write)
        self.script.written.append((prop.name, value))
        if not self.script.deaf:
            self.script.has[prop.name] = value
        if self.script.hang:
            await self.script.hang.wait()

    async def readings(self) -> AsyncIterator[Sequence[Reading]]:
        while True:
            batch = await self.script.sends.get()
            if not batch:
                raise DeviceSilent("it hung up")
            yield batch

    async def close(self) -> None:
        self.script.closed += 1
        _raise(self.script.on_close)


def _raise(errors: list[BaseException]) -> None:
    if errors:
        raise errors.pop(0)


class OneProtocol:
    """`worker.Drivers` with one factory, or none."""

    def __init__(self, factory: Callable[[Device], Driver] | None) -> None:
        self._factory = factory

    def factory(self, protocol: str) -> Callable[[Device], Driver] | None:
        return self._factory

    def why(self, protocol: str) -> str:
        return f"no driver for {protocol}"
