"""A mapper as a driver: what the rest of the devices feature sees of DMI.

A device is connected when its mapper has it. A wish is fulfilled when the mapper was sent it; what came of it the
mapper reports. Reports go straight to the twins, so `readings` only tells when the mapper is gone. Loads no gRPC.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar, Final

from device_models import values
from device_models.errors import BadValue
from edgecore.devices.dmi.seats import Ask, Seat, Seats
from edgecore.devices.driver import Device, DeviceSilent, Driver, Property, Reading, Value
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean

_PATIENCE: Final = 5.0  # seconds for a mapper to take the device, before the worker is told why it does not


class DmiDrivers:
    """Makes drivers for the protocols that have a mapper: a driver factory, and news of mappers."""

    def __init__(self, seats: Seats, clock: Clock) -> None:
        self._seats, self._clock = seats, clock

    def __call__(self, device: Device) -> Driver:
        return DmiDriver(device, self._seats, self._clock)

    def protocols(self) -> set[str]:
        """Protocols with a mapper. Names are exact, also in case."""
        return self._seats.protocols()

    def changes(self) -> AsyncIterator[str]:
        """Protocols whose mapper came, went, or answers again; first all there are."""
        return self._seats.changes()


class DmiDriver(Driver):
    """One device at its mapper."""

    polled: ClassVar[bool] = False
    timeout: float = 30.0  # a mapper serves one call at a time, and a call may take ten seconds

    def __init__(self, device: Device, seats: Seats, clock: Clock) -> None:
        super().__init__(device)
        self._seats, self._clock = seats, clock
        self._seat: Seat | None = None

    async def connect(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                while (seat := self._serving()) is None:
                    await self._seats.wait_news(self.device.id)
        except TimeoutError:
            raise DeviceSilent(self._why()) from None
        self._seat = seat

    async def write(self, prop: Property, value: Value) -> None:
        seat = self._seat
        if seat is None or not self._serves(seat):
            raise DeviceSilent(self._why())
        if _means(seat.just_told(self.device.id, prop.name, self._clock.now()), prop, value):
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        seat.asked.setdefault(self.device.id, {})[prop.name] = Ask(values.render(value), done)
        self._seats.mark(self.device.protocol)
        await done

    async def readings(self) -> AsyncIterator[Sequence[Reading]]:
        while self._seat is not None and self._serves(self._seat):
            await self._seats.wait_news(self.device.id)
        raise DeviceSilent(self._why())
        yield ()

    def _serving(self) -> Seat | None:
        seat = self._seats.seat(self.device.protocol)
        return seat if seat is not None and self._serves(seat) else None

    def _serves(self, seat: Seat) -> bool:
        held = seat.devices.get(self.device.id)
        return self._seats.current(seat) and seat.alive and held is not None and held.sure

    def _why(self) -> str:
        """Why the mapper does not serve the device."""
        seat = self._seats.seat(self.device.protocol)
        if seat is None:
            return f"no mapper for protocol {clean(self.device.protocol)} is registered on this node"
        name = clean(seat.mapper.name)
        if not seat.alive:
            return f"mapper {name} does not answer at {clean(seat.mapper.address)}; is it running?"
        if failure := seat.failures.get(("device", self.device.id)):
            return failure.why
        return f"mapper {name} does not have the device yet"


def _means(text: str, prop: Property, value: Value) -> bool:
    """Whether *text* is a way to write *value*."""
    try:
        return bool(text) and values.parse(text, prop.type) == value
    except BadValue:
        return False
