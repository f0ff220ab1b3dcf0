"""One check of one driver: makes drivers, calls them as the daemon does, and judges how each call ends.

Owns: what every call of a driver must keep, whatever is being checked: it returns, or raises what the contract names,
or ends when it is cancelled. Anything else is `Flawed` at once.
"""

import asyncio
import contextlib
import enum
import gc
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple

from device_models import values
from device_models.errors import BadValue
from device_models.fields import shown
from device_models.model import Property, Value, ValueType
from edgecore.devices.driver import BadSetting, DeviceRefused, DeviceSilent, Driver, Outcome
from edgecore.devices.kit.bench import Bench, Link
from edgecore.devices.kit.census import left_over, take
from edgecore.devices.kit.proxy import Far
from edgelink.aio.logs import clean

SILENCES = (DeviceSilent, OSError, TimeoutError, EOFError)
"""What counts as silence."""


class Flawed(Exception):
    """The driver breaks a rule; the message says which, to its author."""


class Unstoppable(Flawed):
    """A call does not end as it should when it is cancelled."""


class NotApplicable(Exception):
    """Nothing to check here; the message says why."""


class How(enum.Enum):
    """How a call ended."""

    DONE = enum.auto()
    SILENT = enum.auto()
    REFUSED = enum.auto()
    LATE = enum.auto()
    """It was cancelled when its time was over."""


class Ended(NamedTuple):
    how: How
    value: Any = None


class Trial:
    """A bench with its device running, and a link to it."""

    def __init__(self, bench: Bench, config: Mapping[str, Any], link: Link | None, far: Far) -> None:
        self.bench, self.config, self._link, self._far = bench, config, link, far
        self.patience = bench.patience
        self.moment = bench.patience / 10
        """Seconds to wait where nothing good can come."""
        self.unheard: list[str] = []
        """Errors of tasks that nobody waited for."""
        self.answer: Mapping[str, object] = {}
        """What was read last, as it came."""

    @property
    def link(self) -> Link:
        if self._link is None:
            raise NotApplicable("the bench has no link to do harm to")
        return self._link

    @property
    def properties(self) -> Sequence[Property]:
        return self.bench.properties

    def writable(self) -> Sequence[Property]:
        found = [prop for prop in self.properties if prop.writable]
        if not found:
            raise NotApplicable("the bench has no writable property")
        return found

    def make(self, properties: Sequence[Property] | None = None) -> Driver:
        """A new driver, as for a new connection."""
        try:
            return self.bench.make(self.bench.device(self.config, properties))
        except BadSetting as error:
            raise Flawed(f"refuses the settings of the bench: {clean(error)}") from error
        except Exception as error:
            raise Flawed(f"cannot be made: {said(error)}") from error

    async def call(self, work: Coroutine[Any, Any, object], what: str, within: float | None = None) -> Ended:
        """How *work* ends *within* some seconds, or the time for a call."""
        # Not in a TaskGroup: one that is not to be cancelled would hold the check for ever.
        task = asyncio.get_running_loop().create_task(work, name=f"call of {what}")
        await asyncio.wait({task}, timeout=within or self.patience)
        late = not task.done()
        if late:
            task.cancel()
            await asyncio.wait({task}, timeout=max(0.5, self.patience))
        if not task.done():
            raise Unstoppable(f"{what} does not end when it is cancelled: let CancelledError through")
        return _late(task, what) if late else _judged(task, what)

    async def close(self, driver: Driver) -> None:
        """Close *driver*; Flawed unless that works."""
        ended = await self.call(driver.close(), "close()")
        if ended.how is How.LATE:
            raise Flawed(f"close() takes more than {self.patience:g} s: do not wait for the device in there")
        if ended.how is not How.DONE:
            raise Flawed(f"close() must not raise, and raised {said(ended.value)}")

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Driver]:
        """A connected driver, closed at the end."""
        driver = self.make()
        try:
            ended = await self.call(driver.connect(), "connect()")
            if ended.how is not How.DONE:
                raise Flawed(f"connect() {_fate(ended)}, though the device is there")
            yield driver
        finally:
            await self.close(driver)

    async def values(self, driver: Driver, properties: Sequence[Property]) -> Mapping[str, Value]:
        """What the device has, typed, as far as *driver* tells; what is amiss in the answer `answered` says."""
        if driver.polled:
            ended = await self.call(driver.read(properties), "read()")
        else:
            ended = await self.call(self._sent(driver, properties), "readings()")
        if ended.how is not How.DONE:
            raise Flawed(f"{'read' if driver.polled else 'readings'}() {_fate(ended)}, though the device is there")
        if not isinstance(ended.value, Mapping):
            raise Flawed(f"read() must return a mapping of values by property name, not {type(ended.value).__name__}")
        self.answer = ended.value
        found = {}
        for prop in properties:
            outcome = ended.value.get(prop.name)
            if isinstance(outcome, DeviceRefused):
                raise Flawed(f"{prop.name}: the device refused: {clean(outcome)}")
            if outcome is not None:
                found[prop.name] = fitting(outcome, prop)
        return found

    async def answered(self, driver: Driver, properties: Sequence[Property]) -> None:
        """Flawed unless the answer is of all *properties* and of no others."""
        found = await self.values(driver, properties)
        wanted = {prop.name for prop in properties}
        if others := sorted(clean(name) for name in self.answer if name not in wanted):
            raise Flawed(f"the answer has {', '.join(others)}, which nobody asked for")
        if missing := sorted(wanted - found.keys()):
            raise Flawed(f"no value for {', '.join(missing)}")

    async def holds(self, driver: Driver, prop: Property, value: Value) -> Value:
        """What the device has for *prop* after *value* was written; messages from before that are passed over."""
        deadline = asyncio.get_running_loop().time() + self.patience
        while True:
            found = await self.values(driver, [prop])
            if prop.name not in found:
                raise Flawed(f"no value for {prop.name}")
            late = asyncio.get_running_loop().time() >= deadline
            if driver.polled or late or same(found[prop.name], value, prop):
                return found[prop.name]

    async def fresh(self, names: str) -> None:
        """A new driver works."""
        self.link.mend()
        try:
            async with self.connected() as driver:
                await self.values(driver, self.properties)
        except Flawed as flaw:
            raise Flawed(f"a new driver {names} does not recover: {flaw}") from flaw

    async def left_behind(self, before: Any) -> None:  # noqa: ANN401
        """Flawed if there is more than *before*."""
        if found := await left_over(before, self.patience):
            raise Flawed(f"leaves behind: {', '.join(found)}")

    def census(self) -> Any:  # noqa: ANN401
        gc.collect()
        return take()

    async def stirred(self) -> None:
        """The device sends everything."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.bench.stir(), self._far.loop))

    async def _sent(self, driver: Driver, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        """Newest values of all *properties* that a device which sends by itself has sent."""
        found: dict[str, Outcome] = {}
        wanted = {prop.name for prop in properties}
        # Not in a TaskGroup: errors of the driver shall come as they are.
        stirring = asyncio.get_running_loop().create_task(self._stir_on(), name="device that sends")
        try:
            async with contextlib.aclosing(driver.readings()) as batches:  # type: ignore[type-var]
                async for batch in batches:
                    for reading in batch:
                        found.update(reading.values)
                    if found.keys() >= wanted:
                        break
        finally:
            stirring.cancel()
        return {name: value for name, value in found.items() if name in wanted}

    async def _stir_on(self) -> None:
        """Until somebody listens: a subscription may come into force late."""
        while True:
            await self.stirred()
            await asyncio.sleep(0.05)


def fitting(value: object, prop: Property) -> Value:
    """*value* as the daemon would take it for *prop*; Flawed if it would not."""
    if not isinstance(value, bool | int | float | str | bytes):
        raise Flawed(f"{prop.name}: {type(value).__name__} is no value (bool, int, float, str or bytes)")
    try:
        typed = values.coerce(value, prop)
    except BadValue as error:
        raise Flawed(f"{prop.name}: {error}") from error
    if isinstance(typed, int | float) and not isinstance(typed, bool):
        low, high = prop.minimum, prop.maximum
        if (low is not None and typed < low) or (high is not None and typed > high):
            raise Flawed(f"{prop.name}: {typed} is outside its limits ({low} to {high}): check unit, scale and sign")
    return typed


def same(first: Value, second: Value, prop: Property) -> bool:
    """Whether both are one value of *prop*, as far as a device with a coarse scale can tell."""
    if prop.type not in (ValueType.FLOAT, ValueType.DOUBLE):
        return first == second
    limits = prop.minimum, prop.maximum
    step = 0.05 if None in limits else (prop.maximum - prop.minimum) / 200  # type: ignore[operator]
    return abs(float(first) - float(second)) <= max(step, 1e-3 * abs(float(second)))


def said(error: object) -> str:
    """An exception for its author."""
    return f"{type(error).__name__}: {clean(error)}"


def show(value: object) -> str:
    return shown(value)


def _judged(task: asyncio.Task[object], what: str) -> Ended:
    if task.cancelled():
        raise Flawed(f"{what} raised CancelledError though nobody cancelled it")
    error = task.exception()
    match error:
        case None:
            return Ended(How.DONE, task.result())
        case DeviceRefused():
            return Ended(How.REFUSED, error)
        case error if isinstance(error, SILENCES):
            return Ended(How.SILENT, error)
        case Flawed():
            raise error
    rule = "it must not raise" if what == "close()" else "it may raise DeviceSilent or DeviceRefused"
    raise Flawed(f"{what} raised {said(error)}; {rule}") from error


def _late(task: asyncio.Task[object], what: str) -> Ended:
    if task.cancelled():
        return Ended(How.LATE)
    if (error := task.exception()) is not None:
        raise Unstoppable(f"{what} turned its cancellation into {said(error)}: let CancelledError through") from error
    raise Unstoppable(f"{what} went on when it was cancelled: let CancelledError through")


def _fate(ended: Ended) -> str:
    match ended.how:
        case How.LATE:
            return "does not return in time"
        case How.DONE:
            return "returned"
    return f"raised {said(ended.value)}"
