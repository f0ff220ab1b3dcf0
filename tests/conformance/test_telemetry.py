"""What the telemetry promises, tried on a file that stays open and on one that is opened again at each step."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from edgecore.store.telemetry import Ledger, Numbered, Sample, Telemetry
from edgelink.aio.clock import SystemClock

T = TypeVar("T")
BOILER, PUMP = "plant/boiler", "plant/pump"
SINK, OTHER = "push:http a", "push:http b"
Step = Callable[[Callable[[Telemetry], Awaitable[T]]], Awaitable[T]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "telemetry.db"


def opened(path: Path) -> contextlib.AbstractAsyncContextManager[Telemetry]:
    return Telemetry.open(path, SystemClock(), flush=0.01)


@pytest.fixture(params=["stays open", "opened again"])
async def step(request: pytest.FixtureRequest, path: Path) -> AsyncIterator[Step[object]]:
    async def again(work: Callable[[Telemetry], Awaitable[T]]) -> T:
        async with opened(path) as telemetry:
            return await work(telemetry)

    if request.param == "opened again":
        yield again
        return
    async with opened(path) as telemetry:

        async def same(work: Callable[[Telemetry], Awaitable[T]]) -> T:
            return await work(telemetry)

        yield same


def sample(value: object = 1, name: str = "t", at: int = 1000) -> Sample:
    return Sample(name, value, at)  # type: ignore[arg-type]


async def everything(telemetry: Telemetry, device: str = BOILER) -> list[Numbered]:
    return [numbered async for numbered in telemetry.read(device)]


def balanced(ledger: Ledger) -> bool:
    return ledger.produced == ledger.acknowledged + ledger.waiting + ledger.dropped and ledger.waiting >= 0


async def flushed(telemetry: Telemetry, device: str = BOILER) -> None:
    async with asyncio.timeout(5):
        while telemetry.ledger(device).stored < telemetry.ledger(device).produced:
            await asyncio.sleep(0.002)


VALUES = [True, False, 0, -7, 1 << 70, 1.0, 21.5, float("inf"), "", "Kessel ß \x00 \ud800", b"", bytes(range(256))]


async def test_values_come_back_as_they_were_stored_and_numbered_from_one(step: Step[object]) -> None:
    samples = [sample(value, f"p{at % 3}", at * 1000 - 3000) for at, value in enumerate(VALUES)]
    await step(lambda t: t.store(BOILER, samples[:5]))
    await step(lambda t: t.store(BOILER, samples[5:]))
    found = await step(everything)
    assert [n.sample for n in found] == samples
    assert [type(n.sample.value) for n in found] == [type(value) for value in VALUES]
    assert [n.seq for n in found] == list(range(1, len(VALUES) + 1))


async def test_streams_of_devices_are_numbered_apart(step: Step[object]) -> None:
    for _ in range(2):
        await step(lambda t: t.store(BOILER, [sample()]))
        await step(lambda t: t.store(PUMP, [sample(), sample()]))
    assert [n.seq for n in await step(everything)] == [1, 2]
    assert [n.seq for n in await step(lambda t: everything(t, PUMP))] == [1, 2, 3, 4]


async def test_added_samples_are_on_the_disk_soon(step: Step[object]) -> None:
    async def work(telemetry: Telemetry) -> None:
        telemetry.add(BOILER, [sample(1), sample(2)])
        telemetry.add(BOILER, [])
        telemetry.add(BOILER, [sample(3)])
        assert telemetry.ledger(BOILER).produced == telemetry.last_seq(BOILER) == 3
        assert await everything(telemetry) == []
        await flushed(telemetry)

    await step(work)
    assert [n.sample.value for n in await step(everything)] == [1, 2, 3]


async def test_what_is_added_before_something_stored_keeps_its_place(step: Step[object]) -> None:
    async def work(telemetry: Telemetry) -> None:
        telemetry.add(BOILER, [sample("added")])
        await telemetry.store(BOILER, [sample("stored")])

    await step(work)
    assert [n.sample.value for n in await step(everything)] == ["added", "stored"]


async def test_a_message_that_comes_twice_is_stored_once(step: Step[object]) -> None:
    assert await step(lambda t: t.store(BOILER, [sample()], id="m1"))
    assert not await step(lambda t: t.store(BOILER, [sample()], id="m1"))
    assert await step(lambda t: t.store(PUMP, [sample()], id="m1"))
    assert len(await step(everything)) == 1  # type: ignore[arg-type]


async def test_the_last_thousand_ids_are_remembered(step: Step[object]) -> None:
    async def many(telemetry: Telemetry) -> None:
        await asyncio.gather(*(telemetry.store(BOILER, [sample(n)], id=f"m{n}") for n in range(1001)))

    await step(many)
    assert not await step(lambda t: t.store(BOILER, [sample()], id="m1"))
    assert not await step(lambda t: t.store(BOILER, [sample()], id="m1000"))
    assert await step(lambda t: t.store(BOILER, [sample()], id="m0"))


async def test_the_same_message_at_the_same_time_is_stored_once(step: Step[object]) -> None:
    async def work(telemetry: Telemetry) -> list[bool]:
        return list(await asyncio.gather(*(telemetry.store(BOILER, [sample()], id="m") for _ in range(5))))

    assert sorted(await step(work)) == [False] * 4 + [True]  # type: ignore[type-var,arg-type]


async def test_the_newest_of_each_property_after_a_number(step: Step[object]) -> None:
    await step(lambda t: t.store(BOILER, [sample(1, "a"), sample(2, "b"), sample(3, "a")]))
    await step(lambda t: t.store(BOILER, [sample(4, "c")]))
    newest = await step(lambda t: t.newest(BOILER))
    assert {name: n.sample.value for name, n in newest.items()} == {"a": 3, "b": 2, "c": 4}  # type: ignore[attr-defined]
    assert set(await step(lambda t: t.newest(BOILER, 2))) == {"a", "c"}  # type: ignore[call-overload]
    assert await step(lambda t: t.newest(PUMP)) == {}


async def test_history_by_time_property_and_number(step: Step[object]) -> None:
    await step(lambda t: t.store(BOILER, [sample(n, "ab"[n % 2], n * 1000) for n in range(10)]))

    async def read(telemetry: Telemetry, **arguments: object) -> list[object]:
        return [n.sample.value async for n in telemetry.read(BOILER, **arguments)]  # type: ignore[arg-type]

    assert await step(lambda t: read(t, since=3000, until=6000)) == [3, 4, 5]
    assert await step(lambda t: read(t, names=frozenset("a"), limit=2)) == [0, 2]


async def test_the_ledger_follows_a_sample_to_every_destination(step: Step[object]) -> None:
    await step(_direct({SINK: frozenset("t"), OTHER: frozenset("t")}))
    await step(lambda t: t.store(BOILER, [sample() for _ in range(5)]))
    await step(_acknowledge(SINK, 4))
    await step(_acknowledge(OTHER, 2))
    ledger = await step(_ledger)
    assert (ledger.produced, ledger.stored, ledger.acknowledged, ledger.waiting) == (5, 5, 2, 3)
    assert {name: (p.acknowledged, p.waiting) for name, p in ledger.destinations.items()} == {
        SINK: (4, 1),
        OTHER: (2, 3),
    }
    await step(_direct({SINK: frozenset("t")}))
    assert (await step(_ledger)).acknowledged == 4
    await step(_direct({}))
    ledger = await step(_ledger)
    assert (ledger.acknowledged, ledger.waiting, balanced(ledger)) == (5, 0, True)


async def test_a_destination_that_is_new_to_an_old_stream_starts_with_what_comes(step: Step[object]) -> None:
    await step(_direct({SINK: frozenset("t")}))
    await step(lambda t: t.store(BOILER, [sample()]))
    await step(_direct({SINK: frozenset("t"), OTHER: frozenset("t")}))
    await step(lambda t: t.store(BOILER, [sample()]))
    assert await step(_cursor(SINK)) == 0
    assert await step(_cursor(OTHER)) == 1


async def test_families_of_destinations_do_not_disturb_each_other(step: Step[object]) -> None:
    await step(_direct({SINK: frozenset("t")}))

    async def cloud(telemetry: Telemetry) -> None:
        telemetry.destinations(BOILER, {"cloud": frozenset("t")})

    await step(cloud)
    await step(lambda t: t.store(BOILER, [sample()]))
    assert set((await step(_ledger)).destinations) == {SINK, "cloud"}
    await step(_direct({}))
    assert set((await step(_ledger)).destinations) == {"cloud"}


async def test_a_sample_that_two_destinations_refuse_is_dropped_once(step: Step[object]) -> None:
    await step(_direct({SINK: frozenset("t"), OTHER: frozenset("t")}))
    await step(lambda t: t.store(BOILER, [sample() for _ in range(5)]))

    async def refuse(telemetry: Telemetry) -> None:
        telemetry.refuse(BOILER, [3], "refused by a")

    await step(refuse)
    await step(_acknowledge(SINK, 5))
    ledger = await step(_ledger)
    assert (ledger.acknowledged, ledger.dropped, ledger.waiting, balanced(ledger)) == (0, 1, 4, True)
    await step(refuse)
    await step(_acknowledge(OTHER, 5))
    ledger = await step(_ledger)
    assert (ledger.acknowledged, ledger.dropped, ledger.because, ledger.waiting) == (4, 1, {"refused by a": 1}, 0)


async def test_a_batch_says_how_far_it_looked(step: Step[object]) -> None:
    await step(lambda t: t.store(BOILER, [sample(n, "ab"[n % 2]) for n in range(10)]))
    batch = await step(lambda t: t.after(BOILER, 0, 3, frozenset("a")))
    assert ([n.seq for n in batch.samples], batch.upto) == ([1, 3, 5], 5)
    batch = await step(lambda t: t.after(BOILER, 5, 100, frozenset("a")))
    assert ([n.seq for n in batch.samples], batch.upto) == ([7, 9], 10)
    batch = await step(lambda t: t.after(BOILER, 10, 100))
    assert (batch.samples, batch.upto) == ((), 10)


async def test_numbers_go_on_after_a_device_was_forgotten(step: Step[object]) -> None:
    await step(_direct({SINK: frozenset("t")}))
    await step(lambda t: t.store(BOILER, [sample(1), sample(2)]))
    await step(lambda t: t.save_now(BOILER, "u1", b"{}", 2))
    await step(lambda t: t.forget(BOILER))
    assert await step(everything) == []
    assert await step(_ledger) == Ledger()
    assert await step(lambda t: t.twins()) == {}
    await step(lambda t: t.store(BOILER, [sample(3)]))
    assert [(n.seq, n.sample.value) for n in await step(everything)] == [(3, 3)]
    ledger = await step(_ledger)
    assert (ledger.produced, ledger.stored, ledger.acknowledged) == (1, 1, 1)


async def test_twins_are_kept_with_the_last_number_in_them(step: Step[object]) -> None:
    async def work(telemetry: Telemetry) -> None:
        telemetry.add(BOILER, [sample()])
        telemetry.save(BOILER, "u1", b"old", 1)
        await telemetry.save_now(BOILER, "u1", b"new", telemetry.last_seq(BOILER))
        telemetry.save(PUMP, "u2", b"\xff", 0)

    await step(work)

    async def both(telemetry: Telemetry) -> dict[str, tuple[str, bytes, int]]:
        async with asyncio.timeout(5):
            while len(found := await telemetry.twins()) < 2:
                await asyncio.sleep(0.002)
        return found

    assert await step(both) == {BOILER: ("u1", b"new", 1), PUMP: ("u2", b"\xff", 0)}
    assert len(await step(everything)) == 1  # type: ignore[arg-type]


def _direct(names: dict[str, frozenset[str]]) -> Callable[[Telemetry], Awaitable[None]]:
    async def work(telemetry: Telemetry) -> None:
        telemetry.destinations(BOILER, names, family="push")

    return work


def _acknowledge(destination: str, seq: int) -> Callable[[Telemetry], Awaitable[None]]:
    async def work(telemetry: Telemetry) -> None:
        telemetry.acknowledge(BOILER, destination, seq)

    return work


def _cursor(destination: str) -> Callable[[Telemetry], Awaitable[int]]:
    async def work(telemetry: Telemetry) -> int:
        return telemetry.cursor(BOILER, destination)

    return work


async def _ledger(telemetry: Telemetry) -> Ledger:
    ledger = telemetry.ledger(BOILER)
    assert balanced(ledger)
    return ledger
