"""Carries out what somebody wants of one device: written once, read back, and ended.

Owns: that a wish is on the disk as under way before the device hears of it, and with what became of it before anybody
else does; that one whose write was cut off is looked up before it is written again; that none is written too late.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from device_models import values
from device_models.errors import BadValue
from device_models.model import Property, Value
from device_models.twin import End, Twin
from edgecore.devices import plan
from edgecore.devices.book import Book
from edgecore.devices.driver import BadSetting, DeviceRefused, DeviceSilent, Driver
from edgecore.devices.entry import Entry
from edgecore.devices.sorting import sorted_out
from edgecore.devices.voice import MESSAGE, Voice
from edgecore.store.errors import StoreFull
from edgecore.store.recorder import WARNING
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean

Silent: Final = (DeviceSilent, OSError, EOFError)
"""What counts as silence; TimeoutError is an OSError."""


class Carrier:
    """See the module. *wake* makes the worker come back for a wish that came meanwhile."""

    def __init__(self, entry: Entry, book: Book, voice: Voice, clock: Clock, wake: Callable[[], None]) -> None:
        self._entry, self._book, self._voice, self._clock, self._wake = entry, book, voice, clock, wake

    async def carry_out(self, driver: Driver) -> None:
        await self.expire()
        for prop in plan.writes(self._entry.device, self._entry.twins):
            await self._fulfil(driver, prop)

    async def _fulfil(self, driver: Driver, prop: Property) -> None:
        await self.expire()
        twin = self._entry.twins.get(prop.name)
        if twin is None or twin.expected is None or not twin.wish.end.open:
            return  # it went while another was carried out
        try:
            value = values.desired(twin.expected.value, prop)
        except BadValue as bad:
            await self._end(prop.name, twin, End.REJECTED, str(bad))
            return
        if twin.wish.end is End.WRITING and driver.polled and await self._holds(driver, prop, value):
            await self._end(prop.name, twin, End.APPLIED)
            return
        await self._end(prop.name, twin, End.WRITING)
        if not self._still(prop.name, twin):
            self._wake()
            return
        try:
            async with asyncio.timeout(min(driver.timeout, self._left(twin))):
                await driver.write(prop, value)
        except DeviceRefused as no:
            await self._end(prop.name, twin, End.REJECTED, str(no))
        except (*Silent, BadSetting):
            raise
        except Exception as bug:
            # Not tried again: it would fail again, and nothing else would ever be done for this device.
            await self._end(prop.name, twin, End.UNKNOWN, f"the driver failed: {of(bug)}"[:MESSAGE])
            raise
        else:
            await self._confirm(driver, prop, value, twin)

    def _still(self, name: str, twin: Twin) -> bool:
        """Whether the wish of *twin* is the one to carry out: another may have come while the disk was busy."""
        now = self._entry.twins.get(name)
        return now is not None and now.expected is twin.expected and now.wish.end.open

    async def _confirm(self, driver: Driver, prop: Property, value: Value, twin: Twin) -> None:
        if not driver.polled:
            await self._end(prop.name, twin, End.UNKNOWN, "sent; the device has not confirmed it yet")
        elif await self._holds(driver, prop, value):
            await self._end(prop.name, twin, End.APPLIED)
        else:
            now = self._entry.twins.get(prop.name)
            found = f"reads {now.actual.value}" if now and now.actual else "does not tell its value"
            await self._end(prop.name, twin, End.UNKNOWN, f"written, but the device {found}"[:MESSAGE])

    async def _holds(self, driver: Driver, prop: Property, value: Value) -> bool:
        """Whether the device has *value*, by reading it back."""
        async with asyncio.timeout(driver.timeout):
            found = await driver.read([prop])
        good, _ = sorted_out(self._entry.device, found, [prop])
        self._book.report(self._entry, good)
        return prop.name in good and plan.close_enough(prop, value, good[prop.name])

    async def expire(self) -> None:
        if plan.next_expiry(self._entry.twins.values()) is None:
            return
        now = int(self._clock.utc().timestamp() * 1000)
        for name, twin in [(name, twin) for name, twin in self._entry.twins.items() if plan.expired(twin, now)]:
            if twin.wish.end is End.WRITING:
                await self._end(name, twin, End.UNKNOWN, "its time ran out while it was being written")
            else:
                await self._end(name, twin, End.EXPIRED, "its time was over before the device had it")

    def _left(self, twin: Twin) -> float:
        """Seconds in which the wish may still be written: a busy bus must not carry it past its time."""
        if twin.wish.expires is None:
            return math.inf
        return max(0.0, twin.wish.expires / 1000 - self._clock.utc().timestamp())

    async def _end(self, name: str, twin: Twin, end: End, reason: str = "") -> None:
        """With the disk full control goes on: the outcome is in memory and written with the next that can be."""
        try:
            await self._book.end(self._entry, name, twin.expected, end, reason)
        except StoreFull as full:
            self._voice.log.warning("what became of %s is not on the disk: %s", clean(name), clean(full))
        if end is End.REJECTED:
            self._voice.say(WARNING, "DesiredRejected", f"{name}: {reason}")


def of(bug: BaseException) -> str:
    """A driver's mistake in a line."""
    return f"{type(bug).__name__}: {bug}"
