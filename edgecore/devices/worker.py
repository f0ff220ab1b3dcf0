"""One device: connect, then carry out wishes and read what is due, until the connection is gone; wait, and again.

Owns the order, a wish goes before a read, and the pauses. A driver's mistake costs its own device only. Read next:
`carrier` (wishes), `voice` (what is said of the device).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Final, Protocol

from device_models.model import Property, Value
from device_models.twin import End
from edgecore.devices import plan
from edgecore.devices.book import Book
from edgecore.devices.carrier import Carrier, Silent, of
from edgecore.devices.contract import Changed
from edgecore.devices.driver import BadSetting, DeviceSilent, Driver, Reading
from edgecore.devices.entry import OFFLINE, ONLINE, Entry, Ready
from edgecore.devices.plan import Schedule
from edgecore.devices.registry import Factory
from edgecore.devices.sorting import sorted_out
from edgecore.devices.voice import MESSAGE, Voice
from edgecore.store.errors import StoreFull
from edgecore.store.recorder import WARNING, Recorder
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean
from edgelink.aio.supervisor import causes


class Drivers(Protocol):
    """Where drivers come from."""

    def factory(self, protocol: str) -> Factory | None: ...

    def why(self, protocol: str) -> str: ...


_FIRST: Final = 0.5
_CAP: Final = 30.0
_CLOSING: Final = 5.0
"""Seconds that a driver may take to let go of its device."""
_LOOK: Final = 60.0
"""Seconds after which a wait for an instant looks at the clock on the wall again: that one may jump."""


class DeviceWorker:
    """See the module. `run` ends only by cancellation; a device gets a new worker unless only wishes changed."""

    def __init__(
        self, entry: Entry, book: Book, drivers: Drivers, recorder: Recorder, clock: Clock, *, waits: str = ""
    ) -> None:
        self._entry, self._book, self._drivers, self._clock = entry, book, drivers, clock
        self._waits = waits
        """What is missing before any driver could work; empty: nothing."""
        self._wake = asyncio.Event()
        self._roused = False
        self._failures = 0
        """Attempts in a row that came to nothing."""
        self._faults: dict[str, str] = {}
        self._voice = Voice(entry, book, recorder)
        self._wishes = Carrier(entry, book, self._voice, clock, self.wake)

    def hear(self, change: Changed) -> None:
        """Twins changed: there may be something to carry out, or to say of what nobody could."""
        if any(twin and twin.wish.end.open for twin in change.after.values()):
            self.wake()
        for name, twin in change.after.items():
            before = change.before.get(name)
            fresh = twin and (before is None or before.expected is not twin.expected)
            if twin and fresh and twin.wish.end is End.REJECTED:
                self._voice.say(WARNING, "DesiredRejected", f"{name}: {twin.wish.reason}")

    def wake(self) -> None:
        """A wish came."""
        self._wake.set()

    def rouse(self) -> None:
        """A driver may have come, or be able to again: no pause is worth keeping."""
        self._roused = True
        self._wake.set()

    async def run(self) -> None:
        while not _cancelled():
            pause: float | None = None
            if self._waits:
                self._voice.stands(self._state(), Ready("False", "ModelMissing", self._waits))
            elif (factory := self._drivers.factory(self._entry.device.protocol)) is None:
                why = self._drivers.why(self._entry.device.protocol)
                self._voice.stands(self._state(), Ready("Unknown", "NoDriver", why))
            else:
                pause = await self._attempt(factory)
            if not _cancelled():  # a driver may have swallowed it
                await self._idle(pause)

    def _state(self) -> str:
        """Without a driver of ours: what others say of the device, but not what its driver said before it went."""
        return "unknown" if self._entry.ready.status == "True" else self._entry.state

    async def _attempt(self, factory: Factory) -> float | None:
        """Work with the device as long as that goes; seconds until the next attempt, None: it needs other settings."""
        try:
            async with self._connected(factory) as driver:
                await self._serve(driver)
        except BadSetting as bad:
            self._voice.stands(OFFLINE, Ready("False", "BadSetting", str(bad)))
            return None
        except Silent as error:
            self._voice.stands(OFFLINE, Ready("False", "Silent", str(error) or "the device does not answer in time"))
        except (Exception, asyncio.CancelledError) as bug:
            if _cancelled():
                raise
            self._voice.log.warning("the driver failed", exc_info=bug)
            self._voice.stands(OFFLINE, Ready("False", "DriverFailed", f"{of(bug)}; see the log of edgecore"))
        self._failures += 1
        return next_delay(self._failures, first=_FIRST, cap=_CAP)

    @contextlib.asynccontextmanager
    async def _connected(self, factory: Factory) -> AsyncIterator[Driver]:
        driver = factory(self._entry.device)
        try:
            async with asyncio.timeout(driver.timeout):
                await driver.connect()
            self._faults = {}
            self._book.seen(self._entry)
            self._voice.stands(ONLINE, self._working())
            yield driver
        finally:
            await self._close(driver)

    async def _close(self, driver: Driver) -> None:
        """What ended the connection counts, whatever this does; and nobody waits for it for ever."""
        try:
            async with asyncio.timeout(_CLOSING):
                await driver.close()
        except Exception as bug:  # noqa: BLE001 - a driver may be anybody's code
            self._voice.log.warning("the driver did not close: %s", clean(of(bug)))

    async def _serve(self, driver: Driver) -> None:
        if driver.polled:
            await self._poll(driver)
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive(driver), name=f"readings of {self._entry.device.id}")
                while True:
                    await self._wishes.carry_out(driver)
                    self._failures = 0
                    await self._wait(None)
        except BaseExceptionGroup as failed:
            raise causes(failed)[0] from failed

    async def _poll(self, driver: Driver) -> None:
        schedule, missed = Schedule(self._entry.device.properties.values(), self._clock.now()), self._entry.missed
        if self._failures and (due := schedule.take(self._clock.now())):
            await self._read(driver, due)  # a write may be what made it fail: else nobody would see a value again
        while True:
            await self._wishes.carry_out(driver)
            if due := schedule.take(self._clock.now()):
                await self._read(driver, due)
            self._failures = 0
            self._entry.missed = missed + schedule.missed
            await self._wait(schedule.next)

    async def _receive(self, driver: Driver) -> None:
        """What the device sends; the driver may acknowledge it when it is asked for more."""
        stream = driver.readings()
        try:
            async for batch in stream:
                await self._take(batch)
        finally:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()
        raise DeviceSilent("the device sends nothing any more")

    async def _take(self, batch: Sequence[Reading]) -> None:
        known = [(reading, *sorted_out(self._entry.device, reading.values)) for reading in batch]
        # All at once: they share one commit.
        await asyncio.gather(*(self._record(reading, good) for reading, good, _ in known))
        self._book.seen(self._entry)
        for _, good, bad in known:
            self._note({**{name: why for name, why in self._faults.items() if name not in good}, **bad})

    async def _record(self, reading: Reading, good: Mapping[str, Value]) -> None:
        while True:
            try:
                await self._book.record(self._entry, good, reading.at, reading.id)
                return
            except StoreFull as full:
                # Not acknowledged meanwhile: the device, or its broker, keeps what follows.
                self._voice.log.warning("readings wait for room on the disk: %s", clean(full))
                await self._clock.sleep(_CAP)

    # --- reads

    async def _read(self, driver: Driver, due: list[Property]) -> None:
        async with asyncio.timeout(driver.timeout):
            found = await driver.read(due)
        good, bad = sorted_out(self._entry.device, found, due)
        self._book.seen(self._entry)
        self._book.report(self._entry, good)
        self._note({**{name: why for name, why in self._faults.items() if name not in good}, **bad})

    def _note(self, faults: dict[str, str]) -> None:
        if faults != self._faults:
            self._faults = faults
            self._voice.stands(ONLINE, self._working())

    def _working(self) -> Ready:
        said = [f"{name}: {why}" for name, why in sorted(self._faults.items())]
        said += [str(complaint) for complaint in self._entry.complaints]
        return Ready("True", "Degraded" if said else "Connected", "; ".join(said)[:MESSAGE])

    # --- waiting and telling

    async def _idle(self, seconds: float | None) -> None:
        """Without the device: wishes expire all the same. Ends after *seconds*, or when a driver may have come."""
        until = None if seconds is None else self._clock.now() + seconds
        while True:
            await self._wishes.expire()
            await self._wait(until)
            if self._roused or (until is not None and self._clock.now() >= until):
                self._roused = False
                return

    async def _wait(self, until: float | None) -> None:
        """Until then, a wake-up or the next expiry."""
        expiry = plan.next_expiry(self._entry.twins.values())
        seconds = None if until is None else until - self._clock.now()
        if expiry is not None:
            left = min(_LOOK, max(0.0, expiry / 1000 - self._clock.utc().timestamp()))
            seconds = left if seconds is None else min(seconds, left)
        if self._wake.is_set() or seconds is None:
            await self._wake.wait()
        elif seconds > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
        else:
            await asyncio.sleep(0)
        self._wake.clear()


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
