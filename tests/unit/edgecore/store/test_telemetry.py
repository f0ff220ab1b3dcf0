"""Covers edgecore.store.telemetry and its parts: sudden death, damage, full disks, budgets, clocks that jump."""

# ruff: noqa: ASYNC220, ASYNC240 - small local files, and nothing else runs in these loops

import asyncio
import contextlib
import datetime
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgecore.store import telemetry_blocks as sql
from edgecore.store.errors import StoreError, StoreFull
from edgecore.store.telemetry import Ledger, Numbered, Sample, Telemetry
from edgelink.aio.clock import SystemClock
from tests.fakes.clock import FakeClock

BOILER, PUMP = "plant/boiler", "plant/pump"
SINK = "push:http a"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "telemetry.db"


def opened(path: Path, **limits: float) -> contextlib.AbstractAsyncContextManager[Telemetry]:
    return Telemetry.open(path, SystemClock(), flush=0.01, **limits)  # type: ignore[arg-type]


def samples(count: int, value: object = 1, name: str = "t") -> list[Sample]:
    return [Sample(name, value, 1000 + n) for n in range(count)]  # type: ignore[arg-type]


async def everything(telemetry: Telemetry, device: str = BOILER) -> list[Numbered]:
    return [numbered async for numbered in telemetry.read(device)]


def ledger_of(telemetry: Telemetry, device: str = BOILER) -> Ledger:
    ledger = telemetry.ledger(device)
    assert ledger.produced == ledger.acknowledged + ledger.waiting + ledger.dropped
    assert min(ledger.acknowledged, ledger.waiting, ledger.dropped, ledger.produced - ledger.stored) >= 0
    assert sum(ledger.because.values()) == ledger.dropped
    return ledger


async def until(condition: object, seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.002)


async def test_devices_share_a_commit_and_each_has_one_row(path: Path) -> None:
    async with opened(path) as telemetry:
        for device in (BOILER, PUMP):
            for _ in range(5):
                telemetry.add(device, samples(2))
        await until(lambda: telemetry.ledger(PUMP).stored == 10)
        rows = await telemetry._database.fetch("SELECT count, lived FROM blocks")
    assert [count for count, _ in rows] == [10, 10]


async def test_the_cli_reads_beside_the_daemon(path: Path) -> None:
    with pytest.raises(StoreError, match="no node store"):
        async with Telemetry.read_only(path, SystemClock()):
            pass
    async with opened(path) as telemetry:
        telemetry.destinations(BOILER, {SINK: frozenset("t")}, family="push")
        await telemetry.store(BOILER, samples(3))
        telemetry.acknowledge(BOILER, SINK, 2)
        await until(lambda: not telemetry._noted)
        async with telemetry._turn:
            pass
        async with Telemetry.read_only(path, SystemClock()) as reader:
            assert len(await everything(reader)) == 3
            assert (ledger_of(reader).acknowledged, ledger_of(reader).waiting) == (2, 1)


async def test_what_is_confirmed_before_it_is_on_the_disk_is_settled_when_it_is(path: Path) -> None:
    async with opened(path) as telemetry:
        telemetry.destinations(BOILER, {SINK: frozenset("t")}, family="push")
        await telemetry.store(BOILER, samples(1))
        telemetry.add(BOILER, samples(2))
        telemetry.acknowledge(BOILER, SINK, 2)
        assert ledger_of(telemetry).acknowledged == 1
        await until(lambda: ledger_of(telemetry).stored == 3)
        assert (ledger_of(telemetry).acknowledged, ledger_of(telemetry).waiting) == (2, 1)
        await until(lambda: not telemetry._noted)
        async with telemetry._turn:
            pass
        async with Telemetry.read_only(path, SystemClock()) as reader:
            assert ledger_of(reader).acknowledged == 2


async def test_a_request_without_samples_is_known_again_together_with_its_twin(path: Path) -> None:
    async with opened(path) as telemetry:
        await telemetry.store(BOILER, samples(1))
        assert await telemetry.store(BOILER, [], "wish", ("uid", b"wished", 1))
        await telemetry.store(BOILER, samples(2))
        assert not await telemetry.store(BOILER, [], "wish", ("uid", b"again", 3))
    async with opened(path) as telemetry:
        assert not await telemetry.store(BOILER, [], "wish", ("uid", b"again", 3))
        assert await telemetry.twins() == {BOILER: ("uid", b"wished", 1)}
        assert [numbered.seq for numbered in await everything(telemetry)] == [1, 2, 3]
        assert [numbered.seq for numbered in (await telemetry.after(BOILER, 1)).samples] == [2, 3]
        assert ledger_of(telemetry).dropped == 0


async def test_a_listener_hears_of_all_that_is_stored_then_of_each_commit(path: Path) -> None:
    async with opened(path) as telemetry:
        await telemetry.store(BOILER, samples(1))
        changed = telemetry.changed()
        assert await anext(changed) == BOILER
        telemetry.add(PUMP, samples(1))
        assert await asyncio.wait_for(anext(changed), 5) == PUMP
        assert len(await everything(telemetry, PUMP)) == 1
        await changed.aclose()  # type: ignore[attr-defined]


async def test_many_blocks_are_found_through_the_sparse_index_and_checkpoints(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgecore.store.telemetry._CHECKPOINT_ROWS", 50)
    monkeypatch.setattr("edgecore.store.telemetry_stream._INDEX", 8)
    monkeypatch.setattr("edgecore.store.telemetry_reader._WINDOW", 100)
    monkeypatch.setattr("edgecore.store.telemetry_reader._BLOCKS", 7)
    async with opened(path) as telemetry:
        for number in range(600):
            await asyncio.gather(*(telemetry.store(device, samples(1, number)) for device in (BOILER, PUMP)))
    async with opened(path) as telemetry:
        for start in (0, 1, 63, 64, 300, 599, 600):
            batch = await telemetry.after(BOILER, start, 5)
            assert [n.seq for n in batch.samples] == list(range(start + 1, min(start + 6, 601)))
        assert [n.seq for n in await everything(telemetry)] == list(range(1, 601))
        assert telemetry._books.streams[BOILER].row_of(599) > 1100
        assert len(telemetry._books.streams[BOILER]._index) <= 9


# --- damage


async def test_a_damaged_row_is_skipped_and_its_samples_are_counted(path: Path) -> None:
    async with opened(path) as telemetry:
        telemetry.destinations(BOILER, {SINK: frozenset("t")}, family="push")
        for _ in range(3):
            await telemetry.store(BOILER, samples(4))
        telemetry.acknowledge(BOILER, SINK, 2)
    damage(path, "UPDATE blocks SET body = X'5b5d' WHERE first = 5")
    async with opened(path) as telemetry:
        assert [n.seq for n in await everything(telemetry)] == [1, 2, 3, 4, 9, 10, 11, 12]
        assert len(telemetry.unreadable) == 1
        for _ in range(2):
            batch = await telemetry.after(BOILER, 2)
            assert [n.seq for n in batch.samples] == [3, 4, 9, 10, 11, 12]
        ledger = ledger_of(telemetry)
        assert (ledger.because, ledger.waiting, ledger.acknowledged) == ({"damaged": 4}, 6, 2)
        telemetry.acknowledge(BOILER, SINK, batch.upto)
        assert (ledger_of(telemetry).acknowledged, ledger_of(telemetry).dropped) == (8, 4)


async def test_numbers_are_not_given_again_although_the_last_row_or_the_books_are_damaged(path: Path) -> None:
    async with opened(path) as telemetry:
        for _ in range(3):
            await telemetry.store(BOILER, samples(4))
    damage(path, "UPDATE blocks SET body = X'00' WHERE first = 9")
    damage(path, "UPDATE states SET body = X'00'")
    async with opened(path) as telemetry:
        assert telemetry.last_seq(BOILER) == 12
        await telemetry.store(BOILER, samples(1))
        assert [n.seq for n in await everything(telemetry)] == [*range(1, 9), 13]


async def test_a_file_with_bad_pages_is_salvaged_at_the_start_after_it_was_noticed(path: Path) -> None:
    async with opened(path) as telemetry:
        for number in range(200):
            await telemetry.store(BOILER, samples(1, f"{number:04}" * 100))
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 8192 * 4096
    raw[middle : middle + 4096] = b"\xa5" * 4096
    path.write_bytes(raw)
    with pytest.raises((StoreError, ExceptionGroup)):
        async with opened(path) as telemetry:
            await everything(telemetry)
    async with opened(path) as telemetry:
        kept = [n.seq for n in await everything(telemetry)]
        assert 150 < len(kept) < 200
        assert kept[-1] == telemetry.last_seq(BOILER) == 200
        assert await telemetry.store(BOILER, samples(1))
        assert (await everything(telemetry))[-1].seq == 201
    assert path.with_name("telemetry.db.damaged").exists()


def damage(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as raw:
        assert raw.execute(statement).rowcount
        raw.commit()


# --- full disks


@contextlib.asynccontextmanager
async def full(telemetry: Telemetry) -> AsyncIterator[None]:
    [(pages,)] = await telemetry._database.fetch("PRAGMA page_count")
    await telemetry._database.fetch(f"PRAGMA max_page_count = {pages}")
    yield
    await telemetry._database.fetch("PRAGMA max_page_count = 1000000")


async def test_on_a_full_disk_stores_fail_and_adds_wait_without_gaps(path: Path) -> None:
    async with opened(path) as telemetry:
        telemetry.destinations(BOILER, {SINK: frozenset("t")}, family="push")
        await telemetry.store(BOILER, samples(1, "first"))
        async with full(telemetry):
            telemetry.add(BOILER, samples(1, "x" * 50_000))
            with pytest.raises(StoreFull):
                await telemetry.store(BOILER, samples(3, "refused"), id="m1")
            with pytest.raises(StoreFull):
                await telemetry.save_now(BOILER, "u1", b"twin", telemetry.last_seq(BOILER))
            telemetry.add(BOILER, samples(1, "after"))
            ledger = ledger_of(telemetry)
            assert (ledger.produced, ledger.stored, ledger.waiting, ledger.dropped) == (3, 1, 3, 0)
        assert await telemetry.store(BOILER, samples(1, "again"), id="m1")
        assert (await telemetry.twins())[BOILER] == ("u1", b"twin", 2)
        found = await everything(telemetry)
    assert [(n.seq, n.sample.value) for n in found if len(str(n.sample.value)) < 9] == [
        (1, "first"),
        (3, "after"),
        (4, "again"),
    ]


async def test_what_a_full_disk_really_costs_is_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecore.store.telemetry._BUFFER", 50_000)
    async with opened(path) as telemetry:
        telemetry.destinations(BOILER, {SINK: frozenset("t")}, family="push")
        await telemetry.store(BOILER, samples(1, "first"))
        async with full(telemetry):
            for number in range(300):
                telemetry.add(BOILER, samples(10, f"{number:100}"))
            await until(lambda: telemetry.ledger(BOILER).dropped > 0)
        await until(lambda: telemetry.ledger(BOILER).stored + telemetry.ledger(BOILER).dropped == 3001)
        ledger = ledger_of(telemetry)
        lost = ledger.dropped
        assert ledger.because == {"disk full": lost}
        batch = await telemetry.after(BOILER, 0, 10_000)
        assert [n.seq for n in batch.samples] == [1, *range(lost + 2, 3002)]
        telemetry.acknowledge(BOILER, SINK, batch.upto)
    async with opened(path) as telemetry:
        ledger = ledger_of(telemetry)
        assert (ledger.produced, ledger.stored, ledger.acknowledged) == (3001, 3001 - lost, 3001 - lost)
        assert ledger.because == {"disk full": lost}


# --- budgets


async def used(telemetry: Telemetry) -> int:
    """Bytes in use, once nothing is being deleted any more."""
    while telemetry._some.is_set():
        await asyncio.sleep(0.005)
    async with telemetry._turn:
        [(size,)] = await telemetry._database.fetch(sql.USED)
        return int(size)


async def test_the_oldest_go_when_the_budget_is_spent_and_only_the_undelivered_count(path: Path) -> None:
    async with opened(path, budget=300_000) as telemetry:
        telemetry.destinations(BOILER, {SINK: frozenset({"t"})}, family="push")
        telemetry.destinations(PUMP, {SINK: frozenset({"t"})}, family="push")
        for number in range(200):
            mixed = [Sample("t", "x" * 1000, number), Sample("unwanted", "x" * 1000, number)]
            await asyncio.gather(telemetry.store(BOILER, mixed), telemetry.store(PUMP, mixed))
            telemetry.acknowledge(PUMP, SINK, telemetry.last_seq(PUMP))
        async with asyncio.timeout(5):
            while await used(telemetry) > 310_000:
                await asyncio.sleep(0.01)
        kept = await everything(telemetry)
        gone = kept[0].seq - 1
        assert [n.seq for n in kept] == list(range(gone + 1, 401))
        ledger = ledger_of(telemetry)
        assert ledger.because == {"budget": gone // 2}
        assert ledger.acknowledged == gone // 2
        assert telemetry.cursor(BOILER, SINK) == gone
        assert ledger_of(telemetry, PUMP).dropped == 0
    async with opened(path, budget=300_000) as telemetry:
        assert ledger_of(telemetry).because == {"budget": gone // 2}
        assert [n.seq for n in (await telemetry.after(BOILER, gone, 1000)).samples] == list(range(gone + 1, 401))


class Wall(FakeClock):
    """A fake clock whose wall time can jump."""

    jump = 0.0

    def utc(self) -> datetime.datetime:
        return super().utc() + datetime.timedelta(seconds=self.jump)


async def settle(clock: FakeClock, telemetry: Telemetry) -> None:
    """Let the regular flush come."""
    await until(lambda: bool(clock._sleepers))
    await clock.advance(1)
    await until(lambda: not telemetry._turn.locked() and not telemetry._some.is_set())


async def test_samples_expire_by_the_time_that_passed_not_by_a_clock_that_jumps(path: Path) -> None:
    clock = Wall()
    async with Telemetry.open(path, clock, flush=1, age=7 * 86400) as telemetry:
        await telemetry.store(BOILER, samples(5))
        clock.jump = 70 * 365 * 86400
        telemetry.add(PUMP, samples(1))
        await settle(clock, telemetry)
        assert len(await everything(telemetry)) == 5
        await clock.advance(8 * 86400)
        telemetry.add(PUMP, samples(1))
        await settle(clock, telemetry)
        await until(lambda: not telemetry._turn.locked())
        assert await everything(telemetry) == []
        assert ledger_of(telemetry).acknowledged == 5


async def test_a_time_without_power_adds_a_day_at_most(path: Path) -> None:
    clock = Wall()
    async with Telemetry.open(path, clock, flush=1, age=2 * 86400) as telemetry:
        await telemetry.store(BOILER, samples(5))
    clock.jump = 70 * 365 * 86400
    async with Telemetry.open(path, clock, flush=1, age=2 * 86400) as telemetry:
        telemetry.add(PUMP, samples(1))
        await settle(clock, telemetry)
        assert len(await everything(telemetry)) == 5


# --- sudden death

_WRITER = """
import asyncio, sys
from pathlib import Path
from edgecore.store.telemetry import Sample, Telemetry
from edgelink.aio.clock import SystemClock

async def store(telemetry, device, start):
    for number in range(start, start + 100000):
        await telemetry.store(device, [Sample("t", number, number)], id=str(number))
        print(device, number, flush=True)

async def add(telemetry, device, start):
    for number in range(start, start + 100000):
        telemetry.add(device, [Sample("added", number, number)])
        await asyncio.sleep(0.001)

async def main():
    async with Telemetry.open(Path(sys.argv[1]), SystemClock(), flush=0.02) as telemetry:
        for device in ("a/one", "a/two"):
            telemetry.destinations(device, {"push:x": frozenset({"t"})}, family="push")
        start = int(sys.argv[2])
        lanes = [work(telemetry, device, start) for device in ("a/one", "a/two") for work in (store, add)]
        await asyncio.gather(*lanes)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_kill_at_random_moments_loses_nothing_stored_and_leaves_no_gap(path: Path) -> None:
    dice = random.Random(5)
    stored: dict[str, set[int]] = {"a/one": set(), "a/two": set()}
    known: dict[str, list[Numbered]] = {"a/one": [], "a/two": []}
    for attempt in range(8):
        arguments = [sys.executable, "-c", _WRITER, str(path), str(attempt * 100_000)]
        writer = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(dice.randrange(1, 150))]
        writer.kill()
        lines += writer.communicate()[0].splitlines(keepends=True)
        for device, number in (line.split() for line in lines if line.endswith("\n")):
            stored[device].add(int(number))
        async with opened(path) as telemetry:
            assert not telemetry.unreadable
            for device, before in known.items():
                found = await everything(telemetry, device)
                assert found[: len(before)] == before
                assert [n.seq for n in found] == list(range(1, len(found) + 1))
                values = [n.sample.value for n in found if n.sample.name == "t"]
                assert stored[device] <= set(values)  # type: ignore[arg-type]
                assert len(values) == len(set(values))
                assert values == sorted(values)  # type: ignore[type-var]
                assert not await telemetry.store(device, samples(1), id=str(max(stored[device])))
                ledger = ledger_of(telemetry, device)
                assert (ledger.produced, ledger.stored, ledger.waiting) == (len(found),) * 3
                known[device] = found
    assert not path.with_name("telemetry.db.damaged").exists()


def test_the_file_is_not_read_whole_at_every_start() -> None:
    assert not sql.LAYOUT.thorough
