"""One body for every `Bus`: the fake of the unit tests, and our client of a real mosquitto."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgecore.bus.broker import Broker
from edgecore.bus.contract import BrokerGone, Bus
from edgecore.bus.settings import BusSettings
from edgelink.aio.clock import SystemClock
from testbed import mosquitto
from testbed.mosquitto import Client, Mosquitto
from testbed.process import eventually
from tests.fakes.bus import FakeBus

DEADLINE = 10.0
pytestmark = pytest.mark.timeout(30)


class FakeBench:
    """The fake, and what an application beside it does."""

    def __init__(self) -> None:
        self.bus: Bus
        self._fake = self.bus = FakeBus()

    async def app_publishes(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._fake.deliver(topic, payload, retain=retain)

    async def app_sees(self, count: int) -> list[tuple[str, bytes]]:
        await eventually(lambda: _ready(len(self._fake.sent) >= count), DEADLINE, "messages")
        return self._fake.sent

    async def cut(self) -> None:
        self._fake.cut()

    async def heal(self) -> None:
        self._fake.heal()


class RealBench:
    def __init__(self, bus: Bus, broker: Mosquitto) -> None:
        self.bus, self._broker = bus, broker
        self._app = broker.client().subscribe("#")

    async def app_publishes(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await asyncio.to_thread(self._app.publish, topic, payload, retain=retain)

    async def app_sees(self, count: int) -> list[tuple[str, bytes]]:
        return await asyncio.to_thread(self._app.wait, count)

    async def cut(self) -> None:
        """By an orderly end of the broker: what is acknowledged is forgotten."""
        await asyncio.to_thread(self._broker.stop)
        await eventually(lambda: _ready(not self.bus.connected), DEADLINE, "the loss is noticed")

    async def heal(self) -> None:
        self._app.close()
        await asyncio.to_thread(self._broker.start)
        await eventually(lambda: _ready(self.bus.connected), DEADLINE, "connected again")
        self._app = Client(self._broker.port).subscribe("#")

    def close(self) -> None:
        self._app.close()


Bench = FakeBench | RealBench


async def _ready(condition: bool) -> bool:
    return condition


@contextlib.asynccontextmanager
async def connected(broker: Mosquitto, client_id: str = "edge") -> AsyncIterator[Broker]:
    """Our client, connected."""
    bus = Broker(BusSettings(address=broker.address, client_id=client_id), SystemClock())
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bus.run(lambda: None))
        await eventually(lambda: _ready(bus.connected), DEADLINE, "connected")
        yield bus
        task.cancel()


@pytest.fixture(params=["fake", "mosquitto"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "fake":
        yield FakeBench()
        return
    if mosquitto.program() is None:
        pytest.skip("missing mosquitto: run packaging/setup.sh")
    with Mosquitto(tmp_path) as broker:
        async with connected(broker) as bus:
            real = RealBench(bus, broker)
            yield real
            real.close()


async def _settled(bus: Bus) -> None:
    """Every subscription is the broker's."""
    await bus.publish("test/settled", b"")


async def test_a_message_comes_and_is_gone_once_it_is_done(bench: Bench) -> None:
    with bench.bus.subscribe("a/+", "b/#") as messages:
        await _settled(bench.bus)
        await bench.app_publishes("a/1", b"one")
        await bench.app_publishes("c/1", b"not for us")
        await bench.app_publishes("b/2/3", b"two")
        first, second = await anext(messages), await anext(messages)
        assert [(m.topic, m.payload, m.retained) for m in (first, second)] == [
            ("a/1", b"one", False),
            ("b/2/3", b"two", False),
        ]
        assert first.id
        assert first.id != second.id
        first.done()
        first.done()
        second.done()
        await _settled(bench.bus)
        await bench.cut()
        await bench.heal()
        await _settled(bench.bus)
        await bench.app_publishes("a/1", b"three")
        assert (await anext(messages)).payload == b"three"


async def test_what_is_not_done_comes_again_after_a_reconnect(bench: Bench) -> None:
    with bench.bus.subscribe("a/#") as messages:
        await _settled(bench.bus)
        for payload in (b"1", b"2", b"3"):
            await bench.app_publishes("a/b", payload)
        first = await anext(messages)
        second = await anext(messages)
        first.done()
        await _settled(bench.bus)
        await bench.cut()
        second.done()  # too late
        await bench.heal()
        again = [await anext(messages), await anext(messages)]
        assert [m.payload for m in again] == [b"2", b"3"]
        assert again[0].id == second.id


async def test_what_is_not_done_is_there_for_the_next_subscriber(bench: Bench) -> None:
    with bench.bus.subscribe("a/b") as messages:
        await _settled(bench.bus)
        for payload in (b"1", b"2", b"3"):
            await bench.app_publishes("a/b", payload)
        (await anext(messages)).done()
        assert (await anext(messages)).payload == b"2"
    with bench.bus.subscribe("a/b") as messages:
        assert [(await anext(messages)).payload, (await anext(messages)).payload] == [b"2", b"3"]


async def test_each_subscriber_gets_a_message_once_although_filters_overlap(bench: Bench) -> None:
    with bench.bus.subscribe("a/#", "a/b") as wide, bench.bus.subscribe("a/b") as narrow:
        await _settled(bench.bus)
        await bench.app_publishes("a/b", b"x")
        await bench.app_publishes("a/b", b"y")
        assert [(await anext(narrow)).payload for _ in range(2)] == [b"x", b"y"]
        came = [(await anext(wide)).payload]
        while came[-1] != b"y":
            came.append((await anext(wide)).payload)
        assert came in ([b"x", b"y"], [b"x", b"x", b"y"])  # by two filters of its own it may come twice


async def test_a_retained_message_comes_to_a_late_subscriber(bench: Bench) -> None:
    await bench.app_publishes("status/x", b"online", retain=True)
    with bench.bus.subscribe("status/+") as messages:
        message = await anext(messages)
        assert (message.topic, message.payload, message.retained) == ("status/x", b"online", True)
        message.done()
    with bench.bus.subscribe("status/+") as messages:
        assert (await anext(messages)).retained


async def test_a_subscriber_may_want_to_hear_of_a_loss(bench: Bench) -> None:
    with bench.bus.subscribe("a", endures=False) as messages:
        await _settled(bench.bus)
        await bench.app_publishes("a", b"1")
        (await anext(messages)).done()
        await bench.cut()
        with pytest.raises(BrokerGone):
            await anext(messages)


async def test_publishing(bench: Bench) -> None:
    await bench.bus.publish("out/1", b"\x00binary\xff")
    assert ("out/1", b"\x00binary\xff") in await bench.app_sees(1)
    for topic in ("", "a/+", "a/#", "a\0b"):
        with pytest.raises(ValueError, match=r".*"):
            await bench.bus.publish(topic, b"")
    with pytest.raises(ValueError, match=r".*"), bench.bus.subscribe("a/#/b"):
        pass


async def test_without_a_connection_publishing_fails_at_once(bench: Bench) -> None:
    turns: list[bool] = []

    async def watch() -> None:
        async for connected in bench.bus.connections():
            turns.append(connected)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        await eventually(lambda: _ready(bool(turns)), DEADLINE, "the first word")
        await bench.cut()
        assert not bench.bus.connected
        with pytest.raises(BrokerGone):
            await bench.bus.publish("a", b"")
        await bench.heal()
        await eventually(lambda: _ready(turns[-1] and len(turns) > 1), DEADLINE, "word of the reconnect")
        await bench.bus.publish("a", b"")
        watching.cancel()
    assert turns in ([True, False, True], [True, True])
