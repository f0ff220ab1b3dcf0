"""Turns on a bus: who is asked when, and who is left alone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from device_models.registers import Table
from edgecore.devices.driver import DeviceSilent
from edgecore.devices.drivers.modbus_bus import Bus
from edgecore.devices.drivers.modbus_contract import Garbled, LineDown, NoAnswer, Refusal, Request, read, write
from tests.fakes.clock import FakeClock

WAIT = 1.0


class Wire:
    """Lines that answer what the test says, when it says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.opened = self.closed = 0
        self.refuses = False
        self.lost = False
        self.outcomes: dict[int, Exception | bytes] = {}
        self.gate: asyncio.Event | None = None

    async def open(self, timeout: float) -> "Wire":
        if self.refuses:
            raise LineDown("cannot open it")
        self.opened += 1
        self.lost = False
        return self

    async def ask(self, unit: int, request: Request, timeout: float) -> bytes:
        self.asked.append((unit, int.from_bytes(request.payload[1:3], "big")))
        if self.gate:
            await self.gate.wait()
        outcome = self.outcomes.get(unit, b"\0\0")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def close(self) -> None:
        self.closed += 1
        self.lost = True


class Stand:
    def __init__(self) -> None:
        self.wire, self.clock = Wire(), FakeClock()
        self.bus = Bus("line", self.wire.open, self.clock)

    async def read(self, unit: int, *addresses: int, deadline: float = 0.0) -> Any:  # noqa: ANN401
        requests = [read(Table.HOLDING, address, 1) for address in addresses or (0,)]
        async with asyncio.timeout(WAIT):
            return await self.bus.read(unit, requests, 1.0, deadline)

    async def write(self, unit: int, address: int) -> Any:  # noqa: ANN401
        async with asyncio.timeout(WAIT):
            return await self.bus.write(unit, write(Table.HOLDING, address, 1, b"\0\1", single=True), 1.0)

    async def silent(self, unit: int) -> str:
        with pytest.raises(DeviceSilent) as caught:
            await self.read(unit)
        return str(caught.value)


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    stand = Stand()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(stand.bus.run())
        yield stand
        task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT):
        while not condition():
            await asyncio.sleep(0)


async def test_a_call_for_several_blocks_gets_all_answers(stand: Stand) -> None:
    assert await stand.read(1, 0, 10, 20) == [b"\0\0"] * 3
    assert stand.wire.asked == [(1, 0), (1, 10), (1, 20)]


async def test_the_earliest_deadline_goes_first_and_a_write_before_all(stand: Stand) -> None:
    stand.wire.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(stand.read(1, 1, 2, deadline=5.0))
        await until(lambda: stand.wire.asked == [(1, 1)])
        group.create_task(stand.read(2, deadline=9.0))
        group.create_task(stand.read(3, deadline=3.0))
        group.create_task(stand.write(4, 7))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stand.wire.gate.set()
    assert stand.wire.asked == [(1, 1), (4, 7), (3, 0), (1, 2), (2, 0)]


async def test_a_write_waits_for_one_answer_at_most(stand: Stand) -> None:
    stand.wire.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(stand.read(1, *range(50)))
        await until(lambda: len(stand.wire.asked) == 1)
        group.create_task(stand.write(1, 99))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        stand.wire.gate.set()
    assert stand.wire.asked[1] == (1, 99)


async def test_a_silent_unit_is_left_alone_until_its_pause_is_over(stand: Stand) -> None:
    stand.wire.outcomes[7] = NoAnswer("no answer in time")
    assert await stand.silent(7) == "unit 7 on line: no answer in time"
    assert "asked again in 0.5 s" in await stand.silent(7)
    assert await stand.read(8) == [b"\0\0"]
    assert stand.wire.asked == [(7, 0), (8, 0)]
    await stand.clock.advance(0.5)
    await stand.silent(7)
    assert stand.wire.asked[-1] == (7, 0)
    assert "asked again in 1.0 s" in await stand.silent(7)
    stand.wire.outcomes.clear()
    await stand.clock.advance(1.0)
    assert await stand.read(7) == [b"\0\0"]
    stand.wire.outcomes[7] = NoAnswer("no answer in time")
    await stand.silent(7)
    assert "asked again in 0.5 s" in await stand.silent(7)


async def test_pauses_have_a_limit(stand: Stand) -> None:
    stand.wire.outcomes[7] = NoAnswer("no answer in time")
    for _ in range(40):
        await stand.silent(7)
        await stand.clock.advance(30.0)
    assert len(stand.wire.asked) == 40


async def test_a_gateway_that_misses_a_unit_is_alive(stand: Stand) -> None:
    stand.wire.outcomes[7] = Refusal(11)
    assert "does not answer its gateway" in await stand.silent(7)
    assert stand.wire.closed == 0
    assert await stand.read(8) == [b"\0\0"]
    assert (stand.wire.asked, stand.wire.opened) == ([(7, 0), (8, 0)], 1)


async def test_a_refusal_is_an_answer(stand: Stand) -> None:
    stand.wire.outcomes[7] = Refusal(2)
    [answer] = await stand.read(7)
    assert isinstance(answer, Refusal)
    assert answer.code == 2
    await stand.read(7)
    assert len(stand.wire.asked) == 2


async def test_nonsense_ends_the_connection_and_costs_only_its_unit(stand: Stand) -> None:
    stand.wire.outcomes[7] = Garbled("only nonsense came")
    assert "nonsense" in await stand.silent(7)
    assert stand.wire.closed == 1
    assert await stand.read(8) == [b"\0\0"]
    assert stand.wire.opened == 2


async def test_a_mute_connection_is_made_anew(stand: Stand) -> None:
    stand.wire.outcomes = {unit: NoAnswer("no answer in time") for unit in (1, 2)}
    await stand.silent(1)
    assert stand.wire.closed == 0
    await stand.silent(2)
    assert stand.wire.closed == 1


async def test_who_cannot_be_connected_to_is_left_alone_too(stand: Stand) -> None:
    stand.wire.refuses = True
    assert await stand.silent(1) == "line: cannot open it"
    stand.wire.refuses = False
    assert "asked again in 0.5 s" in await stand.silent(2)
    assert stand.wire.opened == 0
    await stand.clock.advance(0.5)
    assert await stand.read(2) == [b"\0\0"]


async def test_a_broken_connection_is_made_anew_at_once_but_not_for_ever(stand: Stand) -> None:
    await stand.read(1)
    stand.wire.outcomes[1] = LineDown("the other side closed the connection")
    await stand.silent(1)
    await stand.silent(1)
    assert stand.wire.opened == 2
    assert "asked again in 1.0 s" in await stand.silent(2)
    assert stand.wire.opened == 2


async def test_a_mistake_of_the_library_ends_the_connection_and_nothing_else(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.wire.outcomes[1] = AttributeError("no such thing")
    assert await stand.silent(1) == "line: AttributeError: no such thing"
    assert "the connection failed" in caplog.text
    await stand.clock.advance(0.5)
    assert await stand.read(2) == [b"\0\0"]


async def test_a_connection_that_went_unnoticed_is_made_anew(stand: Stand) -> None:
    await stand.read(1)
    stand.wire.lost = True
    await stand.read(1)
    assert stand.wire.opened == 2


async def test_a_caller_that_gives_up_frees_its_place(stand: Stand) -> None:
    stand.wire.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(stand.read(1, 1, 2))
        waiting = group.create_task(stand.read(2))
        await until(lambda: stand.wire.asked == [(1, 1)])
        running.cancel()
        waiting.cancel()
        await asyncio.sleep(0)
        stand.wire.gate.set()
    assert await stand.read(3) == [b"\0\0"]
    assert stand.wire.asked == [(1, 1), (3, 0)]


async def test_reach_needs_a_connection_and_no_answer(stand: Stand) -> None:
    await stand.bus.reach(1.0)
    assert (stand.wire.opened, stand.wire.asked) == (1, [])


async def test_the_end_takes_all_calls_along() -> None:
    stand = Stand()
    stand.wire.gate = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(stand.bus.run())
        first = group.create_task(stand.silent(1))
        await until(lambda: len(stand.wire.asked) == 1)
        second = group.create_task(stand.silent(2))
        await asyncio.sleep(0)
        task.cancel()
    assert (first.result(), second.result()) == ("line: closed", "line: closed")
    assert stand.wire.closed == 1
