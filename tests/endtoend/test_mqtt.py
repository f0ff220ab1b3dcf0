"""Our side of MQTT against a real mosquitto that dies, and as a process that dies."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from device_models.model import Device, Property, ValueType
from edgecore.bus.broker import Broker
from edgecore.bus.settings import BusSettings
from edgecore.devices.driver import DeviceSilent
from edgecore.devices.drivers.mqtt import MqttDrivers
from edgecore.devices.topics.service import Topics
from edgelink.aio.clock import SystemClock
from testbed import mosquitto
from testbed.mosquitto import Client, Mosquitto
from testbed.process import Daemon, eventually
from tests.fakes.twins import FakeTwins

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(mosquitto.program() is None, reason="missing mosquitto: run packaging/setup.sh"),
]
BOILER = "$hw/events/device/plant-a/boiler-7"
DEADLINE = 10.0

RECEIVER = """
import asyncio, sys
from edgecore.bus.broker import Broker
from edgecore.bus.settings import BusSettings
from edgelink.aio.clock import SystemClock

async def main():
    bus = Broker(BusSettings(address=sys.argv[1], client_id="edge"), SystemClock())
    async with asyncio.TaskGroup() as group:
        group.create_task(bus.run(lambda: None))
        with bus.subscribe("a/#") as messages:
            while not bus.connected:
                await asyncio.sleep(0.01)
            await bus.publish("ready", b"")
            async for message in messages:
                print("got", message.payload.decode(), message.id, flush=True)
                if message.payload == b"first":
                    message.done()

asyncio.run(main())
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as running:
        yield running


async def _true(value: bool) -> bool:
    return value


@contextlib.asynccontextmanager
async def edge(broker: Mosquitto) -> AsyncIterator[tuple[Broker, FakeTwins]]:
    """Bus and topics of a node with one device."""
    clock = SystemClock()
    bus, twins = Broker(BusSettings(address=broker.address, client_id="edge"), clock), FakeTwins(clock)
    twins.add("plant-a", "boiler-7")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(service.run(lambda: None)) for service in (bus, Topics(bus, twins, "edge-1", clock))]
        await eventually(lambda: _true(bus.connected), DEADLINE, "connected")
        await bus.publish("settled", b"")
        yield bus, twins
        for task in tasks:
            task.cancel()


async def _asks(app: Client, topic: str, body: object, count: int) -> list[tuple[str, dict[str, object]]]:
    app.clear()
    await asyncio.to_thread(app.publish, topic, json.dumps(body))
    seen = await asyncio.to_thread(app.wait, count)
    return [(topic, json.loads(payload)) for topic, payload in seen]


@pytest.mark.parametrize("ids", ["plant-a/boiler-7", "boiler-7"])
async def test_both_forms_of_the_topics(broker: Mosquitto, ids: str) -> None:
    async with edge(broker):
        with broker.client() as app:
            root = f"$hw/events/device/{ids}"
            app.subscribe(f"{root}/twin/update/result", f"{root}/twin/update/document", f"{root}/twin/update/delta")
            twin = {"pump": {"expected": {"value": "1"}, "actual": {"value": "0"}, "metadata": {"type": "int"}}}
            said = await _asks(app, f"{root}/twin/update", {"event_id": "e1", "twin": twin}, 3)
            assert [topic.rpartition("/")[2] for topic, _ in said] == ["result", "document", "delta"]
            assert said[0][1]["event_id"] == said[1][1]["event_id"] == "e1"
            assert said[2][1]["delta"] == {"pump": "1"}


@pytest.mark.parametrize(("retained", "first"), [(True, b"old"), (False, b"new")])
async def test_what_is_retained_comes_only_to_those_who_want_it(
    broker: Mosquitto, retained: bool, first: bytes
) -> None:
    """Requests do not: thousands of them would come before the broker's answer to the subscription."""
    with broker.client() as app:
        app.publish("kept", "old", retain=True)
        async with edge(broker) as (bus, _):
            with bus.subscribe("kept", retained=retained) as messages:
                await bus.publish("settled", b"")
                await asyncio.to_thread(app.publish, "kept", "new")
                message = await asyncio.wait_for(anext(messages), DEADLINE)
                assert message.payload == first


async def test_a_broker_that_is_killed_and_comes_back(broker: Mosquitto) -> None:
    async with edge(broker) as (bus, twins):
        broker.kill()
        await eventually(lambda: _true(not bus.connected), DEADLINE, "the loss is noticed")
        await asyncio.to_thread(broker.start)
        await eventually(lambda: _true(bus.connected), DEADLINE, "connected again")
        await bus.publish("settled", b"")
        with broker.client() as app:
            app.subscribe(f"{BOILER}/twin/update/result")
            [(_, body)] = await _asks(
                app, f"{BOILER}/twin/update", {"event_id": "x", "twin": {"a": {"actual": {"value": "1"}}}}, 1
            )
            assert body["event_id"] == "x"
        assert twins.updates == 1


async def test_the_broker_keeps_requests_while_we_are_away(broker: Mosquitto) -> None:
    async with edge(broker):
        pass
    with broker.client() as app:
        app.publish(f"{BOILER}/twin/update", json.dumps({"twin": {"a": {"actual": {"value": "kept"}}}}))
        database = broker.directory / "mosquitto.db"
        await eventually(lambda: _true(b"kept" in database.read_bytes()), DEADLINE, "the broker has saved it")
        broker.kill()
        await asyncio.to_thread(broker.start)
    async with edge(broker) as (_, twins):
        await eventually(lambda: _true(twins.updates == 1), DEADLINE, "the request is carried out")


async def test_a_message_that_we_died_over_comes_again(broker: Mosquitto, tmp_path: Path) -> None:
    def receiver(log: str) -> Daemon:
        return Daemon([sys.executable, "-c", RECEIVER, broker.address], log=tmp_path / log, cwd=Path.cwd())

    with broker.client().subscribe("ready") as app:
        with receiver("one") as dying:
            await asyncio.to_thread(app.wait, 1)
            app.publish("a/1", "first")
            app.publish("a/1", "second")
            dying.wait_for(lambda: "second" in dying.output(), DEADLINE, "both messages")
            dying.kill()
        with receiver("two") as next_one:
            app.publish("a/1", "third")
            next_one.wait_for(lambda: "third" in next_one.output(), DEADLINE, "the rest")
            lines = next_one.output().splitlines()
            assert [line.split()[1] for line in lines] == ["second", "third"]
            assert lines[0] in dying.output()  # with the same id


async def test_too_big_is_dropped_and_the_next_one_comes(broker: Mosquitto) -> None:
    async with edge(broker) as (bus, _):
        with bus.subscribe("big") as messages, broker.client() as app:
            await bus.publish("settled", b"")
            for size in ((256 << 10) + 1, 2 << 20, 256 << 10):
                await asyncio.to_thread(app.publish, "big", bytes(size))
            message = await asyncio.wait_for(anext(messages), DEADLINE)
            assert len(message.payload) == 256 << 10
            assert bus.oversized == 1  # the other one the broker kept to itself


async def test_a_flood_waits_at_the_broker(broker: Mosquitto) -> None:
    async with edge(broker) as (bus, _):
        with bus.subscribe("flood") as messages, broker.client() as app:
            await bus.publish("settled", b"")
            await asyncio.to_thread(lambda: [app.publish("flood", str(n)) for n in range(600)])
            await bus.publish("settled", b"")
            waiting = bus._inbox._subscriptions[-1]._waiting
            assert len(waiting) <= 100
            for n in range(600):
                message = await asyncio.wait_for(anext(messages), DEADLINE)
                assert message.payload == str(n).encode()
                message.done()


async def test_a_device_on_plain_topics(broker: Mosquitto) -> None:
    relay = Property(
        name="relay",
        type=ValueType.BOOLEAN,
        writable=True,
        visitor={"topic": "lamp/state", "commandTopic": "lamp/set", "payloadOn": "ON", "payloadOff": "OFF"},
    )
    device = Device(
        namespace="plant-a",
        name="lamp",
        protocol="mqtt",
        config={"availabilityTopic": "lamp/lwt"},
        properties={
            "relay": relay,
            "power": Property(
                name="power", type=ValueType.FLOAT, visitor={"topic": "lamp/meter", "jsonPath": "energy.p[1]"}
            ),
        },
    )
    async with edge(broker) as (bus, _):
        make = MqttDrivers(bus)
        with broker.client().subscribe("lamp/set") as lamp:
            await asyncio.to_thread(lamp.publish, "lamp/lwt", "online", retain=True)
            driver = make(device)
            await driver.connect()
            readings = driver.readings()
            await driver.write(relay, True)
            assert await asyncio.to_thread(lamp.wait, 1) == [("lamp/set", b"ON")]
            await asyncio.to_thread(lamp.publish, "lamp/state", "ON")
            [reading] = await anext(readings)
            assert reading.values == {"relay": True}
            await asyncio.to_thread(lamp.publish, "lamp/meter", '{"energy": {"p": [1, 2.5]}}')
            [reading] = await anext(readings)
            assert reading.values == {"power": 2.5}
            await bus.publish("settled", b"")  # the broker has what was acknowledged
            await asyncio.to_thread(broker.restart)
            with pytest.raises(DeviceSilent):
                await anext(readings)
            await driver.close()
        await eventually(lambda: _true(bus.connected), DEADLINE, "connected again")
        again = make(device)
        await again.connect()  # the retained word is there
        with broker.client() as lamp:
            readings = again.readings()
            [reading] = await anext(readings)
            assert reading.values == {"power": 2.5}  # was not acknowledged
            await asyncio.to_thread(lamp.publish, "lamp/lwt", "offline", retain=True)
            with pytest.raises(DeviceSilent, match="offline"):
                await anext(readings)
        await again.close()


async def test_a_cancellation_that_comes_with_the_answer_is_not_lost(broker: Mosquitto) -> None:
    async with edge(broker) as (bus, _):
        for _ in range(30):
            task = asyncio.ensure_future(bus.publish("some/where", b"x"))
            await asyncio.sleep(0)
            connection = bus._connection
            while not task.done() and connection and not connection.wire._pending_publishes:
                await asyncio.sleep(0)
            for confirmation in list(connection.wire._pending_publishes.values()) if connection else ():
                confirmation.set()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
