"""One device: connect, then carry out wishes and read what is due, until the connection is gone; wait, and again.

Owns the order: a wish goes before a read; what a wish became is on the disk before anybody hears of it; a wish whose
write was cut off is looked up in the device before it is written again. A driver's mistake costs its own device only.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Final, Protocol

from device_models import values
from device_models.errors import BadValue
from device_models.model import Property, Value
from device_models.twin import End, Twin
from edgecore.devices import plan
from edgecore.devices.book import Book
from edgecore.devices.contract import Changed
from edgecore.devices.driver import BadSetting, DeviceRefused, DeviceSilent, Driver, Outcome, Reading
from edgecore.devices.entry import OFFLINE, ONLINE, Entry, Ready
from edgecore.devices.plan import Schedule
from edgecore.devices.registry import Factory
from edgecore.store.errors import StoreFull
from edgecore.store.recorder import NORMAL, WARNING, Recorder, Subject
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.logs import bind, clean
from edgelink.aio.supervisor import causes


class Drivers(Protocol):
    """Where drivers come from."""

    def factory(self, protocol: str) -> Factory | None: ...

    def why(self, protocol: str) -> str: ...


Silent: Final = (DeviceSilent, OSError, EOFError)  # TimeoutError is an OSError
_FIRST: Final = 0.5
_CAP: Final = 30.0
_MESSAGE: Final = 1024
_CLOSING: Final = 5.0
"""Seconds that a driver may take to let go of its device."""
_LOOK: Final = 60.0
"""Seconds after which a wait for an instant looks at the clock on the wall again: that one may jump."""


class DeviceWorker:
    """See the module. `run` ends only by cancellation; a device gets a new worker unless only wishes changed."""

    def __init__(
        self, entry: Entry, book: Book, drivers: Drivers, recorder: Recorder, clock: Clock, *, waits: str = ""
    ) -> None:
        self._entry, self._book, self._drivers, self._recorder, self._clock = entry, book, drivers, recorder, clock
        self._waits = waits
        """What is missing before any driver could work; empty: nothing."""
        self._wake = asyncio.Event()
        self._roused = False
        self._failures = 0
        """Attempts in a row that came to nothing."""
        self._faults: dict[str, str] = {}
        self._log = bind(logging.getLogger(__name__), device=entry.device.id)

    def hear(self, change: Changed) -> None:
        """Twins changed: there may be something to carry out, or to say of what nobody could."""
        if any(twin and twin.wish.end.open for twin in change.after.values()):
            self.wake()
        for name, twin in change.after.items():
            before = change.before.get(name)
            fresh = twin and (before is None or before.expected is not twin.expected)
            if twin and fresh and twin.wish.end is End.REJECTED:
                self._say(WARNING, "DesiredRejected", f"{name}: {twin.wish.reason}")

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
                self._stands(self._entry.state, Ready("False", "ModelMissing", self._waits))
            elif (factory := self._drivers.factory(self._entry.device.protocol)) is None:
                why = self._drivers.why(self._entry.device.protocol)
                self._stands(self._entry.state, Ready("Unknown", "NoDriver", why))
            else:
                pause = await self._attempt(factory)
            if not _cancelled():  # a driver may have swallowed it
                await self._idle(pause)

    async def _attempt(self, factory: Factory) -> float | None:
        """Work with the device as long as that goes; seconds until the next attempt, None: it needs other settings."""
        try:
            async with self._connected(factory) as driver:
                await self._serve(driver)
        except BadSetting as bad:
            self._stands(OFFLINE, Ready("False", "BadSetting", str(bad)))
            return None
        except Silent as error:
            self._stands(OFFLINE, Ready("False", "Silent", str(error) or "the device does not answer in time"))
        except (Exception, asyncio.CancelledError) as bug:
            if _cancelled():
                raise
            self._log.warning("the driver failed", exc_info=bug)
            self._stands(OFFLINE, Ready("False", "DriverFailed", f"{_of(bug)}; see the log of edgecore"))
        self._failures += 1
        return next_delay(self._failures, first=_FIRST, cap=_CAP)

    @contextlib.asynccontextmanager
    async def _connected(self, factory: Factory) -> AsyncIterator[Driver]:
        driver = factory(self._entry.device)
        try:
            async with asyncio.timeout(driver.timeout):
                await driver.connect()
            self._faults = {}
            self._stands(ONLINE, self._working())
            yield driver
        finally:
            await self._close(driver)

    async def _close(self, driver: Driver) -> None:
        """What ended the connection counts, whatever this does; and nobody waits for it for ever."""
        try:
            async with asyncio.timeout(_CLOSING):
                await driver.close()
        except Exception as bug:  # noqa: BLE001 - a driver may be anybody's code
            self._log.warning("the driver did not close: %s", clean(_of(bug)))

    async def _serve(self, driver: Driver) -> None:
        if driver.polled:
            await self._poll(driver)
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._receive(driver), name=f"readings of {self._entry.device.id}")
                while True:
                    await self._carry_out(driver)
                    self._failures = 0
                    await self._wait(None)
        except BaseExceptionGroup as failed:
            raise causes(failed)[0] from failed

    async def _poll(self, driver: Driver) -> None:
        schedule, missed = Schedule(self._entry.device.properties.values(), self._clock.now()), self._entry.missed
        if self._failures and (due := schedule.take(self._clock.now())):
            await self._read(driver, due)  # a write may be what made it fail: else nobody would see a value again
        while True:
            await self._carry_out(driver)
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
        sorted_out = [(reading, *self._sorted(reading.values, [])) for reading in batch]
        # All at once: they share one commit.
        await asyncio.gather(*(self._record(reading, good) for reading, good, _ in sorted_out))
        self._book.seen(self._entry)
        for _, good, bad in sorted_out:
            self._note({**{name: why for name, why in self._faults.items() if name not in good}, **bad})

    async def _record(self, reading: Reading, good: Mapping[str, Value]) -> None:
        while True:
            try:
                await self._book.record(self._entry, good, reading.at, reading.id)
                return
            except StoreFull as full:
                # Not acknowledged meanwhile: the device, or its broker, keeps what follows.
                self._log.warning("readings wait for room on the disk: %s", clean(full))
                await self._clock.sleep(_CAP)

    # --- reads

    async def _read(self, driver: Driver, due: list[Property]) -> None:
        async with asyncio.timeout(driver.timeout):
            found = await driver.read(due)
        good, bad = self._sorted(found, due)
        self._book.seen(self._entry)
        self._book.report(self._entry, good)
        self._note({**{name: why for name, why in self._faults.items() if name not in good}, **bad})

    def _sorted(self, found: Mapping[str, Outcome], asked: list[Property]) -> tuple[dict[str, Value], dict[str, str]]:
        """What came, as the model wants it, and what is wrong with the rest."""
        good: dict[str, Value] = {}
        bad = {prop.name: "no value came" for prop in asked if prop.name not in found}
        properties = self._entry.device.properties
        for name, outcome in found.items():
            prop = properties.get(name)
            if prop is None:
                continue
            if isinstance(outcome, DeviceRefused):
                bad[name] = str(outcome)
                continue
            try:
                good[name] = values.coerce(outcome, prop)
            except BadValue as why:
                bad[name] = str(why)
        return good, bad

    def _note(self, faults: dict[str, str]) -> None:
        if faults != self._faults:
            self._faults = faults
            self._stands(ONLINE, self._working())

    def _working(self) -> Ready:
        said = [f"{name}: {why}" for name, why in sorted(self._faults.items())]
        said += [str(complaint) for complaint in self._entry.complaints]
        return Ready("True", "Degraded" if said else "Connected", "; ".join(said)[:_MESSAGE])

    # --- wishes

    async def _carry_out(self, driver: Driver) -> None:
        await self._expire()
        for prop in plan.writes(self._entry.device, self._entry.twins):
            await self._fulfil(driver, prop)

    async def _fulfil(self, driver: Driver, prop: Property) -> None:
        await self._expire()
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
            self.wake()
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
            await self._end(prop.name, twin, End.UNKNOWN, f"the driver failed: {_of(bug)}"[:_MESSAGE])
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
            await self._end(prop.name, twin, End.UNKNOWN, f"written, but the device {found}"[:_MESSAGE])

    async def _holds(self, driver: Driver, prop: Property, value: Value) -> bool:
        """Whether the device has *value*, by reading it back."""
        async with asyncio.timeout(driver.timeout):
            found = await driver.read([prop])
        good, _ = self._sorted(found, [prop])
        self._book.report(self._entry, good)
        return prop.name in good and plan.close_enough(prop, value, good[prop.name])

    async def _expire(self) -> None:
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
            self._log.warning("what became of %s is not on the disk: %s", clean(name), clean(full))
        if end is End.REJECTED:
            self._say(WARNING, "DesiredRejected", f"{name}: {reason}")

    # --- waiting and telling

    async def _idle(self, seconds: float | None) -> None:
        """Without the device: wishes expire all the same. Ends after *seconds*, or when a driver may have come."""
        until = None if seconds is None else self._clock.now() + seconds
        while True:
            await self._expire()
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

    def _stands(self, state: str, ready: Ready) -> None:
        before = self._entry.ready
        message = clean(ready.message)[:_MESSAGE]
        self._book.stands(self._entry, state, Ready(ready.status, ready.reason, message))
        if (before.status, before.reason) == (ready.status, ready.reason):
            return
        if ready.status == "True":
            self._log.info("connected%s", f": {message}" if message else "")
            self._say(NORMAL, ready.reason, message or "the device answers")
        else:
            self._log.warning("does not work: %s: %s", ready.reason, message)
            self._say(WARNING, ready.reason, message)

    def _say(self, kind: str, reason: str, message: str) -> None:
        device = self._entry.device
        about = Subject(
            device.namespace, device.name, device.uid, kind="Device", api_version="devices.kubeedge.io/v1beta1"
        )
        self._recorder.record(about, kind, reason, message)


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _of(bug: BaseException) -> str:
    return f"{type(bug).__name__}: {bug}"
