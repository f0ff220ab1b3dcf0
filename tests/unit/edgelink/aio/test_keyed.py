"""One worker per key, marks coalesce, timers, limits."""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from edgelink.aio.clock import SystemClock
from edgelink.aio.keyed import KeyedWorkers

Handle = Callable[[str], Awaitable[float | None]]


@contextlib.asynccontextmanager
async def workers(handle: Handle, limit: int = 16) -> AsyncIterator[KeyedWorkers[str]]:
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        made = KeyedWorkers(group, handle, SystemClock(), name="test", limit=limit)
        try:
            yield made
        finally:
            made.stop()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_marks_that_come_while_a_key_is_handled_cost_one_more_pass() -> None:
    seen: list[str] = []
    gate = asyncio.Event()

    async def handle(key: str) -> None:
        seen.append(key)
        await gate.wait()

    async with workers(handle) as work:
        work.mark("a")
        await settle()
        for _ in range(5):
            work.mark("a")
        assert work.busy == 1
        gate.set()
        await settle()
        assert seen == ["a", "a"]
        assert work.busy == 0


async def test_a_key_is_never_handled_twice_at_once_but_keys_run_side_by_side() -> None:
    running: collections.Counter[str] = collections.Counter()
    most: collections.Counter[str] = collections.Counter()

    async def handle(key: str) -> None:
        running[key] += 1
        running["all"] += 1
        for name in (key, "all"):
            most[name] = max(most[name], running[name])
        await asyncio.sleep(0)
        running[key] -= 1
        running["all"] -= 1

    async with workers(handle) as work:
        for _ in range(20):
            for key in "abc":
                work.mark(key)
            await asyncio.sleep(0)
        await settle()
    assert most == {"a": 1, "b": 1, "c": 1, "all": 3}


async def test_no_more_than_the_limit_run_at_once() -> None:
    running = most = done = 0
    all_done = asyncio.Event()

    async def handle(key: str) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done += 1
        if done == 10:
            all_done.set()

    async with workers(handle, limit=2) as work:
        for number in range(10):
            work.mark(str(number))
        assert work.busy == 10
        await all_done.wait()
    assert (most, done) == (2, 10)


async def test_a_handler_may_ask_to_be_called_again() -> None:
    seen: list[str] = []
    again = asyncio.Event()

    async def handle(key: str) -> float | None:
        seen.append(key)
        if len(seen) == 2:
            again.set()
            return None
        return 0.001

    async with workers(handle) as work:
        work.mark("a")
        await again.wait()
    assert seen == ["a", "a"]


async def test_a_mark_comes_before_the_timer_and_cancels_it() -> None:
    seen: list[str] = []

    async def handle(key: str) -> None:
        seen.append(key)

    async with workers(handle) as work:
        work.mark_later("a", 0.02)
        work.mark_later("a", 0.01)
        work.mark("a")
        await asyncio.sleep(0.04)
    assert seen == ["a"]


async def test_stop_forgets_timers() -> None:
    seen: list[str] = []

    async def handle(key: str) -> None:
        seen.append(key)

    async with workers(handle) as work:
        work.mark_later("a", 0.005)
        work.stop()
        await asyncio.sleep(0.02)
    assert seen == []


async def test_a_failure_is_not_swallowed() -> None:
    async def handle(key: str) -> None:
        raise LookupError(key)

    async def story() -> None:
        async with workers(handle) as work:
            work.mark("a")
            await settle()

    with pytest.raises(ExceptionGroup) as caught:
        await story()
    assert caught.group_contains(LookupError, match="a")
