"""Start in order, stop in reverse, the first death stops everything."""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from edgelink.aio.supervisor import ServiceEnded, causes, stop_on_signals, supervise


class Part:
    """A service that writes down what becomes of it."""

    def __init__(self, name: str, diary: list[str], *, dies: asyncio.Event | None = None, boots: bool = True) -> None:
        self.name, self._diary, self._dies, self._boots = name, diary, dies, boots
        self.up = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        self._diary.append(f"{self.name} starts")
        try:
            await asyncio.sleep(0)
            if not self._boots:
                raise LookupError(f"{self.name} cannot start")
            ready()
            self.up.set()
            await (self._dies or asyncio.Event()).wait()
            if self._dies:
                raise LookupError(f"{self.name} died")
        finally:
            self._diary.append(f"{self.name} stops")


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    diary: list[str] = []
    stop = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        last = Part("c", diary)
        group.create_task(supervise([Part("a", diary), Part("b", diary), last], stop))
        async with asyncio.timeout(5):
            await last.up.wait()
        stop.set()
    assert diary == ["a starts", "b starts", "c starts", "c stops", "b stops", "a stops"]


@pytest.mark.parametrize("which", range(3))
async def test_any_death_stops_the_others_and_is_told(which: int) -> None:
    diary: list[str] = []
    dies = asyncio.Event()
    parts = [Part(name, diary, dies=dies if number == which else None) for number, name in enumerate("abc")]
    asyncio.get_running_loop().call_soon(dies.set)
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(5):
            await supervise(parts, asyncio.Event())
    assert [str(cause) for cause in causes(caught.value)] == [f"{'abc'[which]} died"]
    assert sorted(line for line in diary if line.endswith("stops")) == sorted(
        line.replace("starts", "stops") for line in diary if line.endswith("starts")
    )


async def test_a_part_that_cannot_start_keeps_the_next_from_starting() -> None:
    diary: list[str] = []
    parts = [Part("a", diary), Part("b", diary, boots=False), Part("c", diary)]
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(5):
            await supervise(parts, asyncio.Event())
    assert caught.group_contains(LookupError, match="b cannot start")
    assert diary == ["a starts", "b starts", "b stops", "a stops"]


async def test_a_part_that_returns_counts_as_dead() -> None:
    class Brief:
        name = "brief"

        async def run(self, ready: Callable[[], None]) -> None:
            ready()

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(5):
            await supervise([Brief()], asyncio.Event())
    [cause] = causes(caught.value)
    assert isinstance(cause, ServiceEnded)
    assert str(cause) == "brief"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signals_stop(number: signal.Signals) -> None:
    stop = asyncio.Event()
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stop.wait()


def test_causes_are_the_leaves_in_order() -> None:
    one, two = LookupError("1"), ValueError("2")
    assert causes(one) == [one]
    assert causes(ExceptionGroup("", [one, ExceptionGroup("", [two])])) == [one, two]
