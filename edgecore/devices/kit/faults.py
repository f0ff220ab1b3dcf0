"""Checks with a bad link: what a driver does when its device is gone, slow, or talks nonsense."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from edgecore.devices.driver import DeviceRefused, Driver, Property, Value
from edgecore.devices.kit.garbage import GARBAGE, Garbage
from edgecore.devices.kit.trial import Ended, Flawed, How, Trial, Unstoppable, fitting, show

Call = Callable[[Driver], Coroutine[Any, Any, object]]


def _calls(trial: Trial, driver: Driver) -> list[tuple[str, Call]]:
    """What can be asked of a connected driver."""
    calls: list[tuple[str, Call]] = []
    if driver.polled and trial.properties:
        calls.append(("read()", lambda driver: driver.read(trial.properties)))
    elif not driver.polled:
        calls.append(("readings()", _next_reading))
    for prop in [prop for prop in trial.properties if prop.writable][:1]:
        value = trial.bench.to_write(prop)[0]
        calls.append(("write()", functools.partial(_write, prop=prop, value=value)))
    return calls


async def _connect(driver: Driver) -> None:
    await driver.connect()


async def _write(driver: Driver, prop: Property, value: Value) -> None:
    await driver.write(prop, value)


async def _next_reading(driver: Driver) -> object:
    async with contextlib.aclosing(driver.readings()) as batches:  # type: ignore[type-var]
        async for batch in batches:
            return batch
    return None


async def loss(trial: Trial) -> None:
    """A cut link is noticed at once and said with DeviceSilent; a new driver then works."""
    for what, call in _calls(trial, trial.make()):
        trial.link.mend()
        async with trial.connected() as driver:
            trial.link.cut()
            ended = await trial.call(call(driver), what)
            _must_be_silent(ended, what, "the link was cut")
        driver = trial.make()
        ended = await trial.call(driver.connect(), "connect()")
        await trial.close(driver)
        # That it returned without an answer is for `ready` to say.
        if ended.how is not How.DONE:
            _must_be_silent(ended, "connect()", "nobody listens")
        await trial.fresh("after the link was cut")


def _must_be_silent(ended: Ended, what: str, why: str) -> None:
    if ended.how is How.DONE:
        raise Flawed(f"{what} returned {show(ended.value)} though {why}: raise DeviceSilent")
    if ended.how is How.LATE:
        raise Flawed(f"{what} hangs though {why}: raise DeviceSilent at once")
    if ended.how is How.REFUSED:
        raise Flawed(f"{what} raised DeviceRefused though {why}: raise DeviceSilent, or it is never tried again")


async def slow(trial: Trial) -> None:
    """A slow device is waited for; a call that takes too long ends when cancelled, and leaves nothing."""
    for what, call in [("connect()", _connect), *_calls(trial, trial.make())]:
        trial.link.mend()
        before = trial.census()
        async with _prepared(trial, connected=what != "connect()") as driver:
            trial.link.stall()
            ended = await trial.call(call(driver), what, trial.moment)
            if ended.how is How.DONE and what != "connect()":
                raise Flawed(f"{what} returned {show(ended.value)} though the device said nothing")
        trial.link.mend()
        await trial.left_behind(before)
    trial.link.slow(trial.moment)
    async with trial.connected() as driver:
        await trial.values(driver, trial.properties)
    await trial.fresh("after the device was slow")


@contextlib.asynccontextmanager
async def _prepared(trial: Trial, *, connected: bool) -> AsyncIterator[Driver]:
    """A driver, closed at the end."""
    if connected:
        async with trial.connected() as driver:
            yield driver
        return
    driver = trial.make()
    try:
        yield driver
    finally:
        await trial.close(driver)


async def garbage(trial: Trial) -> None:
    """Nonsense is DeviceSilent or DeviceRefused: no other exception, no impossible value, no confirmation."""
    _ = trial.link
    for kind in GARBAGE:
        for what, call in [("connect()", _connect), *_calls(trial, trial.make())]:
            trial.link.mend()
            async with _prepared(trial, connected=what != "connect()") as driver:
                trial.link.garble(kind)
                try:
                    ended = await trial.call(call(driver), what, trial.moment / 2)
                    _judge_garbage(trial, what, ended, kind)
                except Unstoppable:
                    continue  # for `slow` to say
                except Flawed as flaw:
                    raise Flawed(f"when {kind.name} arrives: {flaw}") from flaw
    await trial.fresh("after garbage")


def _judge_garbage(trial: Trial, what: str, ended: Ended, kind: Garbage) -> None:
    if ended.how is not How.DONE:
        return
    if what == "write()" and not kind.confirms:
        raise Flawed("write() took it for a confirmation")
    if what == "read()":
        known = {prop.name: prop for prop in trial.properties}
        if not hasattr(ended.value, "items"):
            raise Flawed(f"read() returned {show(ended.value)}")
        for name, outcome in ended.value.items():
            if not isinstance(outcome, DeviceRefused) and name in known:
                fitting(outcome, known[name])


async def waits(trial: Trial) -> None:
    """Waiting for the device does not hold up anything else in the daemon."""
    for what, call in _calls(trial, trial.make()):
        trial.link.mend()
        async with trial.connected() as driver:
            delay = trial.moment * 1.5
            trial.link.slow(delay)
            gaps = [await _longest_gap(trial, call(driver), what)]
            while gaps[-1] > 0.8 * delay and len(gaps) < 3:
                gaps.append(await _longest_gap(trial, call(driver), what))
        if min(gaps) > 0.8 * delay:
            raise Flawed(f"{what} stops the whole daemon for {min(gaps):.2f} s: use asyncio, or asyncio.to_thread")


async def _longest_gap(trial: Trial, work: Coroutine[Any, Any, object], what: str) -> float:
    """The longest time in which nothing else could run, seconds."""
    longest = 0.0

    async def beat() -> None:
        nonlocal longest
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            longest, last = max(longest, now - last), now

    beating = asyncio.get_running_loop().create_task(beat(), name="heart beat of the call")
    try:
        await asyncio.sleep(0.02)
        await trial.call(work, what)
        await asyncio.sleep(0.02)
    finally:
        beating.cancel()
    return longest
