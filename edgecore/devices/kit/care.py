"""Checks of care: what a driver leaves behind, how it takes odd values, what it writes to the log."""

import asyncio
import contextlib
import gc
import itertools
import logging
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Final

from device_models.model import Property, Value, ValueType
from edgecore.devices.driver import Driver
from edgecore.devices.kit.contract import written
from edgecore.devices.kit.trial import Flawed, How, NotApplicable, Trial, said, same, show
from edgelink.aio.logs import clean

_READS: Final = 150
_GROWTH: Final = 20
"""Bytes that memory may grow a read; a kept float is at least 32."""
_CONNECTIONS: Final = 10


async def close(trial: Trial) -> None:
    """close() leaves nothing: connected or not, after a failed connect, and twice."""
    before = trial.census()
    unused = trial.make()
    await trial.close(unused)
    async with trial.connected() as driver:
        if trial.properties and driver.polled:
            await trial.values(driver, trial.properties)
    await trial.close(driver)
    await trial.left_behind(before)
    with contextlib.suppress(NotApplicable):
        trial.link.cut()
        for _ in range(3):
            failed = trial.make()
            await trial.call(failed.connect(), "connect()")
            await trial.close(failed)
            await trial.close(failed)
        await trial.left_behind(before)


async def unload(trial: Trial) -> None:
    """Many connections one after the other, closed in the middle of calls too, leave nothing."""
    before = trial.census()
    for number in range(_CONNECTIONS):
        async with trial.connected() as driver:
            if number % 2 and trial.properties and driver.polled:
                await _abandoned(driver, trial.properties)
    await trial.left_behind(before)


async def _abandoned(driver: Driver, properties: Sequence[Property]) -> None:
    """A read that is cancelled as soon as it is under way."""
    call = asyncio.get_running_loop().create_task(_read(driver, properties), name="read that is cancelled")
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait({call}, timeout=1.0)


async def _read(driver: Driver, properties: Sequence[Property]) -> None:
    await driver.read(properties)


async def memory(trial: Trial) -> None:
    """Memory does not grow while it reads."""
    async with trial.connected() as driver:
        if not driver.polled:
            raise NotApplicable("the device sends by itself")
        await _reads(driver, trial.properties)
        with _traced():
            sizes = []
            for _ in range(4):
                await _reads(driver, trial.properties)
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
    growth = min(later - earlier for earlier, later in itertools.pairwise(sizes))
    if growth > _GROWTH * _READS:
        raise Flawed(f"memory grows by {growth / _READS:.0f} bytes a read")


async def _reads(driver: Driver, properties: Sequence[Property]) -> None:
    for _ in range(_READS):
        await driver.read(properties)


@contextlib.contextmanager
def _traced() -> Iterator[None]:
    already = tracemalloc.is_tracing()
    if not already:
        tracemalloc.start()
    try:
        yield
    finally:
        if not already:
            tracemalloc.stop()


class _Lines(logging.Handler):
    """Lines of level warning and above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name}: {record.getMessage()}")


async def quiet(trial: Trial) -> None:
    """Silence of a device is raised, not logged: the daemon says it, once."""
    trial.link.cut()
    lines, root = _Lines(), logging.getLogger()
    root.addHandler(lines)
    calls = 5
    try:
        for _ in range(calls):
            driver = trial.make()
            await trial.call(driver.connect(), "connect()")
            await trial.close(driver)
    finally:
        root.removeHandler(lines)
    if len(lines.lines) >= calls:
        raise Flawed(f"{len(lines.lines)} log lines for {calls} silent calls, such as {clean(lines.lines[0])!r}")


async def misfits(trial: Trial) -> None:
    """A value that the device cannot hold is refused or kept, never bent, and never upsets the connection."""
    for prop in trial.writable():
        for value in _extremes(prop):
            async with trial.connected() as driver:
                await _kept_or_refused(trial, driver, prop, value)
        async with trial.connected() as driver:
            await written(trial, driver, prop, trial.bench.to_write(prop)[0])


async def _kept_or_refused(trial: Trial, driver: Driver, prop: Property, value: Value) -> None:
    ended = await trial.call(driver.write(prop, value), f"write() of {show(value)} to {prop.name}")
    if ended.how is How.REFUSED:
        return
    if ended.how is not How.DONE:
        fate = "does not return in time" if ended.how is How.LATE else f"raised {said(ended.value)}"
        raise Flawed(f"{prop.name}: write() of {show(value)} {fate}: raise DeviceRefused before anything is sent")
    try:
        found = await trial.holds(driver, prop, value)
    except Flawed as flaw:
        raise Flawed(f"{prop.name}: after write() of {show(value)}: {flaw}") from flaw
    if not same(found, value, prop):
        raise Flawed(f"{prop.name}: wrote {show(value)}, which became {show(found)}: raise DeviceRefused")


def _extremes(prop: Property) -> Sequence[Value]:
    """What the daemon may hand to write() at the most: it keeps type and limits."""
    match prop.type:
        case ValueType.BOOLEAN:
            return ()
        case ValueType.STRING | ValueType.STREAM:
            return "", "two\r\nlines", 'ü "€" \\ 😀', "\0", "x" * 4096
        case ValueType.BYTES:
            return b"", b"\r\n\0\xff", bytes(3072)
    low = -(2**63) if prop.minimum is None else prop.minimum
    high = 2**63 - 1 if prop.maximum is None else prop.maximum
    if prop.type is ValueType.INT:
        return int(low), int(high)
    return float(low), float(high)
