"""The pump with real sessions: back-pressure, silence, goodbyes, and peers that do not read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from edgelink import pump
from edgelink.aio.clock import SystemClock
from edgelink.errors import Closed, Violation
from edgelink.events import Asked, Ended, Event, HelloArrived, InSync, ObjectWanted, Opened
from edgelink.native.cloud import NativeCloud
from edgelink.native.edge import NativeEdge
from edgelink.native.half import Limits
from edgelink.objects import DesiredObject, NodeName, ObjectKey, Uid, Version
from edgelink.pipe import Pipe
from edgelink.pump import Link, connected
from tests.fakes.wire import Faults, MemoryPipe, wire

NODE = NodeName("press-03")
CLOCK = SystemClock()
CALM = Limits()
HASTY = Limits(silence=0.15, ping=0.05)


def edge(limits: Limits = CALM) -> NativeEdge:
    return NativeEdge(NODE, b"", software="edge", utc=0.0, now=CLOCK.now(), limits=limits)


def cloud(limits: Limits = CALM) -> NativeCloud:
    return NativeCloud(software="cloud", utc=0.0, now=CLOCK.now(), limits=limits)


async def until(link: Link[NativeEdge] | Link[NativeCloud], kind: type[Event]) -> list[Event]:
    """Everything up to the first event of *kind*."""
    seen: list[Event] = []
    async for event in link.events():
        seen.append(event)
        if isinstance(event, kind):
            return seen
    raise AssertionError(f"no {kind.__name__}, but {seen}")


@contextlib.asynccontextmanager
async def open_pair(
    faults: Faults | None = None, limits: Limits = CALM
) -> AsyncIterator[tuple[Link[NativeEdge], Link[NativeCloud]]]:
    """Both ends, greeted and welcomed."""
    here, there = wire(faults)
    async with (
        asyncio.timeout(5),
        connected(edge(limits), here, CLOCK, name="edge") as up,
        connected(cloud(limits), there, CLOCK, name="cloud") as down,
    ):
        await until(down, HelloArrived)
        down.session.welcome(in_sync=True)
        down.kick()
        await until(up, InSync)
        yield up, down


async def test_what_a_verb_queues_goes_out_with_a_kick() -> None:
    async with open_pair() as (up, down):
        up.session.ask("weather", b"?")
        up.kick()
        assert (await until(down, Asked))[-1] == Asked(1, "weather", b"?")


async def test_a_goodbye_arrives_with_its_reason_at_both_ends() -> None:
    async with open_pair() as (up, down):
        down.close("this node was revoked", refused=True)
        down.close("said only once")
        expected = Ended("this node was revoked", refused=True)
        assert await until(up, Ended) == [expected]
        assert await until(down, Ended) == [expected]


async def test_leaving_the_block_says_goodbye() -> None:
    here, there = wire()
    async with asyncio.timeout(5), connected(cloud(), there, CLOCK, name="cloud") as down:
        async with connected(edge(), here, CLOCK, name="edge"):
            assert isinstance((await until(down, HelloArrived))[0], Opened)
        assert (await until(down, Ended))[-1] == Ended("this end is shutting down")


async def test_a_cut_is_an_end_without_refusal() -> None:
    here, there = wire()
    async with asyncio.timeout(5), connected(edge(), here, CLOCK, name="edge") as up:
        there.cut()
        assert await until(up, Ended) == [Ended("the wire was cut")]


async def test_a_half_open_link_is_noticed_at_both_ends() -> None:
    faults = Faults()
    async with open_pair(faults, HASTY) as (up, down):
        faults.stalled = True
        for link in (up, down):
            [ended] = await until(link, Ended)
            assert isinstance(ended, Ended)
            assert ended.reason.startswith("nothing heard for")


async def test_pings_keep_a_quiet_link_alive() -> None:
    async with open_pair(limits=HASTY) as (up, down), asyncio.TaskGroup() as group:
        readers = [group.create_task(until(link, Ended)) for link in (up, down)]
        await asyncio.sleep(3 * HASTY.silence)
        assert not any(reader.done() for reader in readers)
        up.close("enough")


class Clogged:
    """A pipe whose peer is there but reads nothing: from the *full*-th message on, sending waits for ever."""

    def __init__(self, inner: MemoryPipe, full: int) -> None:
        self.inner, self.left = inner, full
        self.waiting = asyncio.Event()
        self.room = asyncio.Event()

    async def send(self, message: bytes) -> None:
        self.left -= 1
        if self.left < 0 and not self.inner.closed:
            self.waiting.set()
            await self.room.wait()
        await self.inner.send(message)

    async def receive(self) -> bytes:
        return await self.inner.receive()

    async def close(self, reason: str = "") -> None:
        await self.inner.close(reason)


async def test_a_peer_that_neither_reads_nor_speaks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "_FAREWELL", 0.05)
    here, _ = wire()
    clogged = Clogged(here, 0)
    async with asyncio.timeout(3), connected(edge(HASTY), clogged, CLOCK, name="edge") as up:
        [ended] = await until(up, Ended)
    assert clogged.waiting.is_set()
    assert isinstance(ended, Ended)
    assert ended.reason.startswith("nothing heard for")


async def test_closing_does_not_wait_for_a_peer_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump, "_FAREWELL", 0.05)
    here, _ = wire()
    clogged = Clogged(here, 0)
    async with asyncio.timeout(3), connected(edge(), clogged, CLOCK, name="edge") as up:
        await clogged.waiting.wait()
        up.close("a newer session took over", refused=True)
        assert await until(up, Ended) == [Ended("a newer session took over", refused=True)]


async def test_a_goodbye_that_meets_a_send_under_way_is_sent_after_it() -> None:
    here, there = wire()
    clogged = Clogged(here, 0)
    async with asyncio.timeout(5), connected(cloud(), there, CLOCK, name="cloud") as down:
        async with connected(edge(), clogged, CLOCK, name="edge") as up:
            await clogged.waiting.wait()
            up.close("moved house", refused=True)
            clogged.room.set()
            seen = await until(down, Ended)
        assert isinstance(seen[0], Opened)
        assert seen[-1] == Ended("moved house", refused=True)


async def test_a_slow_owner_slows_the_peer_and_nothing_piles_up() -> None:
    async with open_pair() as (up, down), asyncio.TaskGroup() as group:
        group.create_task(until(down, Ended))
        for number in range(1000):
            key = ObjectKey("configmaps", "plant", f"c{number}")
            down.session.want(DesiredObject(key, Uid("u"), Version("1"), b"x" * 100))
        down.kick()
        seen = 0
        async for event in up.events():
            assert isinstance(event, ObjectWanted)
            seen += 1
            await asyncio.sleep(0)
            inbox = up._pipe.inbox  # type: ignore[attr-defined]
            assert inbox.qsize() <= 64
            up.session.acknowledge(event.delivery)
            up.kick()
            if seen == 1000:
                break
        up.close("enough")


class Broken:
    """A pipe that fails in a given way."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = 0

    async def send(self, message: bytes) -> None:
        raise Closed("gone")

    async def receive(self) -> bytes:
        raise self.error

    async def close(self, reason: str = "") -> None:
        self.closed += 1


@pytest.mark.parametrize("error", [Closed("the connection broke"), Violation("a message exceeds the frame limit")])
async def test_the_pipes_own_words_end_the_session(error: Exception) -> None:
    pipe: Pipe = Broken(error)
    async with connected(edge(), pipe, CLOCK, name="edge") as up:
        assert await until(up, Ended) == [Ended(str(error))]
    assert isinstance(pipe, Broken)
    assert pipe.closed


async def test_a_message_that_breaks_the_protocol_ends_the_session_and_the_peer_is_told() -> None:
    here, there = wire()
    async with asyncio.timeout(5), connected(edge(), here, CLOCK, name="edge") as up:
        await there.send(b"\xff" * 30)
        [ended] = await until(up, Ended)
        assert isinstance(ended, Ended)
        assert ended.reason.startswith("malformed frame")
    sent = []
    with contextlib.suppress(Closed):
        while True:
            sent.append(await there.receive())
    assert b"malformed frame" in sent[-1]
