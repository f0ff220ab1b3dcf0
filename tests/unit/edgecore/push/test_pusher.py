"""Covers edgecore.push from objects in the store to real servers: order, completeness, outages, refusals."""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgecore.push import lane
from edgecore.push.client import HttpFailed, Origin
from edgecore.push.pusher import Pusher
from edgecore.push.settings import PushSettings
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.telemetry import Sample, Telemetry
from edgelink.aio.clock import SystemClock
from edgelink.objects import DesiredObject, ObjectKey, Uid, Version
from testbed.mosquitto import Mosquitto, program
from tests.unit.edgecore.push.receiver import Receiver, receiving

BOILER = "plant/boiler"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "_FIRST", 0.01)
    monkeypatch.setattr(lane, "_CAP", 0.05)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver()) as receiver:
        yield receiver


class World:
    """A node's stores with a pusher on them."""

    def __init__(self, directory: Path, settings: PushSettings) -> None:
        self._directory, self._settings = directory, settings

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator["World"]:
        async with (
            Database.open(self._directory / "edgecore.db") as database,
            Telemetry.open(self._directory / "telemetry.db", SystemClock(), flush=0.01) as self.telemetry,
        ):
            self.objects = ObjectStore(database)
            self.pusher = Pusher(self.telemetry, self.objects, SystemClock(), self._settings)
            async with asyncio.TaskGroup() as group:
                task = group.create_task(self.pusher.run(lambda: None))
                yield self
                task.cancel()

    async def device(self, push: dict[str, Any] | None, properties: str = "t", **extra: Any) -> None:  # noqa: ANN401
        """Apply the boiler, all of whose *properties* push the same way, and wait until it is known."""
        listed = [{"name": name, **({"pushMethod": push} if push else {}), **extra} for name in properties]
        spec = {"deviceModelRef": {"name": "m"}, "protocol": {"protocolName": "x"}, "properties": listed}
        await self.put("devices", "boiler", {"kind": "Device", "spec": spec})
        await until(lambda: (BOILER in self.pusher._devices) == bool(push))

    async def model(self, type_: str, properties: str = "t") -> None:
        listed = [{"name": name, "type": type_} for name in properties]
        await self.put("devicemodels", "m", {"kind": "DeviceModel", "spec": {"properties": listed}})

    async def put(self, kind: str, name: str, body: dict[str, Any]) -> None:
        metadata = {"name": name, "namespace": "plant", "uid": "u"}
        whole = json.dumps({"apiVersion": "devices.kubeedge.io/v1beta1", "metadata": metadata, **body}).encode()
        key = ObjectKey(kind, "plant", name)
        await self.objects.put_many([DesiredObject(key, Uid("u"), Version("1"), whole)])

    async def settled(self) -> None:
        """Until nothing waits."""
        await until(lambda: self.telemetry.ledger(BOILER).waiting == 0 and self.telemetry.ledger(BOILER).produced > 0)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, PushSettings())


def http(receiver: Receiver, **extra: Any) -> dict[str, Any]:  # noqa: ANN401
    where = {"hostName": "http://127.0.0.1", "port": receiver.port, "requestPath": "/in%20put"}
    return {"http": {**where, **extra}}


def values(start: int, end: int, name: str = "t") -> list[Sample]:
    return [Sample(name, n, 1000 * n) for n in range(start, end)]


def seqs(receiver: Receiver) -> list[int]:
    return [json.loads(body)["seq"] for body in receiver.bodies]


async def test_every_sample_arrives_once_and_in_order_over_one_connection(world: World, receiver: Receiver) -> None:
    async with world.up():
        await world.model("INT")
        await world.device(http(receiver, format="json"))
        await world.telemetry.store(BOILER, values(0, 20))
        await world.settled()
        assert seqs(receiver) == list(range(1, 21))
        first = receiver.received[0]
        assert (first.path, first.headers["Content-Type"]) == ("/in%20put", "application/json")
        assert first.headers["Idempotency-Key"] == "plant/boiler/1"
        assert json.loads(first.body)["type"] == "int"
        assert receiver.connections == 1
        ledger = world.telemetry.ledger(BOILER)
        assert (ledger.sent, ledger.acknowledged, ledger.dropped) == (20, 20, 0)


async def test_samples_wait_for_a_sink_that_is_away_through_restarts(world: World) -> None:
    receiver = Receiver()
    with receiving(receiver):
        async with world.up():
            await world.device(http(receiver, format="json"))
            await world.telemetry.store(BOILER, values(0, 5))
            await world.settled()
    async with world.up():
        world.telemetry.add(BOILER, values(5, 10))
        await until(lambda: world.pusher.troubles)
        assert "127.0.0.1" in next(iter(world.pusher.troubles[BOILER].values()))
        assert world.telemetry.ledger(BOILER).waiting == 5
    async with world.up():
        await world.telemetry.store(BOILER, values(10, 15))
    with receiving(receiver):
        async with world.up():
            await world.settled()
            await until(lambda: not world.pusher.troubles)
    assert seqs(receiver) == list(range(1, 16))


async def test_temporary_refusals_are_retried_and_permanent_ones_are_counted(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [503, 200, 429, 408, 401, 200, 400, 200, 413, 422]
    async with world.up():
        await world.device(http(receiver, format="json"))
        await world.telemetry.store(BOILER, values(0, 8))
        await world.settled()
        assert seqs(receiver) == [1, 2, 4, 7, 8]
        ledger = world.telemetry.ledger(BOILER)
        assert (ledger.acknowledged, ledger.dropped) == (5, 3)
        assert ledger.because == {f"refused by 127.0.0.1: {status}": 1 for status in (400, 413, 422)}
        assert sum("dropped and counted" in record.message for record in caplog.records) == 2


async def test_a_slow_sink_delays_no_other(world: World, receiver: Receiver) -> None:
    with receiving(Receiver(pause=threading.Event())) as slow:
        async with world.up():
            push = http(receiver, format="json")
            await world.put(
                "devices",
                "boiler",
                {
                    "kind": "Device",
                    "spec": {
                        "properties": [
                            {"name": "t", "pushMethod": http(slow, format="json")},
                            {"name": "u", "pushMethod": push},
                        ]
                    },
                },
            )
            await until(lambda: BOILER in world.pusher._devices)
            await world.telemetry.store(BOILER, [*values(0, 3), *values(0, 3, "u")])
            await until(lambda: len(receiver.received) == 3)
            assert slow.received == []
            assert slow.pause is not None
            slow.pause.set()
            await until(lambda: len(slow.received) == 3)
            await world.settled()


async def test_kubeedge_form_gets_the_newest_of_each_report_cycle(world: World, receiver: Receiver) -> None:
    async with world.up():
        await world.device(http(receiver), reportCycle=300)
        await world.telemetry.store(BOILER, [Sample("t", n, 100 * n) for n in range(1, 10)])
        await until(lambda: len(receiver.received) == 3)
        assert [body.split(b"&")[0] for body in receiver.bodies] == [b"t=2", b"t=5", b"t=8"]
        assert receiver.received[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
        await world.settled()
        assert [body.split(b"&")[0] for body in receiver.bodies][3:] == [b"t=9"]


async def test_otel_points_that_are_no_numbers_are_dropped_from_their_batch(world: World, receiver: Receiver) -> None:
    async with world.up():
        await world.device({"otel": {"endpointURL": f"{receiver.url}/v1/metrics"}})
        await world.telemetry.store(BOILER, [Sample("t", value, 1) for value in ("1", "x", "2")])
        await world.settled()
        assert world.telemetry.ledger(BOILER).because == {"not a number": 1}
    points = [json.loads(body)["resourceMetrics"][0]["scopeMetrics"][0]["metrics"] for body in receiver.bodies]
    assert [metrics[0]["gauge"]["dataPoints"][0]["asDouble"] for metrics in points] == [1.0, 2.0]
    assert receiver.received[0].path == "/v1/metrics"


async def test_influx_gets_numbers_and_its_token_from_a_file(tmp_path: Path, receiver: Receiver) -> None:
    token = tmp_path / "token"
    world = World(tmp_path, PushSettings(influx_token_file=token))
    influx = {
        "influxdb2ClientConfig": {"url": receiver.url, "org": "o", "bucket": "b c"},
        "influxdb2DataConfig": {"measurement": "m", "fieldKey": "f", "tag": {"line": "1"}},
    }
    async with world.up():
        await world.model("FLOAT")
        await world.device({"dbMethod": {"influxdb2": influx}})
        await world.telemetry.store(BOILER, [Sample("t", 1.5, 10), Sample("t", 2.0, 20)])
        await until(lambda: world.pusher.troubles)
        assert "token" in str(world.pusher.troubles)
        token.write_text("secret\n")
        await world.settled()
    [sent] = receiver.received
    assert sent.path == "/api/v2/write?org=o&bucket=b+c&precision=ms"
    assert sent.headers["Authorization"] == "Token secret"
    assert sent.body == b"m,line=1 f=1.5 10\nm,line=1 f=2.0 20"


@pytest.mark.skipif(program() is None, reason="mosquitto is not installed")
async def test_mqtt_through_an_outage_of_the_broker(world: World, tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "mosquitto") as broker:
        address = f"tcp://127.0.0.1:{broker.port}"
        async with world.up():
            await world.device({"mqtt": {"address": address, "topic": "out/t", "qos": 1, "format": "json"}})
            with broker.client().subscribe("out/#") as client:
                await world.telemetry.store(BOILER, values(0, 5))
                seen = await asyncio.to_thread(client.wait, 5)
            await world.settled()
            broker.kill()
            await world.telemetry.store(BOILER, values(5, 10))
            await until(lambda: world.pusher.troubles)
            broker.start()
            with broker.client().subscribe("out/#") as client:
                seen += await asyncio.to_thread(client.wait, 5)
            await world.settled()
    found = [json.loads(payload)["seq"] for _, payload in seen]
    assert sorted(set(found)) == list(range(1, 11))


async def test_a_device_that_pushes_no_more_keeps_nothing_waiting(world: World, receiver: Receiver) -> None:
    receiver.answers = [503] * 10_000
    async with world.up():
        await world.device(http(receiver, format="json"))
        await world.telemetry.store(BOILER, values(0, 5))
        await until(lambda: world.pusher.troubles)
        await world.device(None)
        await world.settled()
        assert world.pusher.troubles == {}


@pytest.mark.parametrize(
    "spec", ["x", ["pushMethod"], {"deviceModelRef": "pushMethod"}, {"deviceModelRef": {"name": 1}}]
)
async def test_an_object_of_any_shape_harms_no_other(world: World, receiver: Receiver, spec: object) -> None:
    async with world.up():
        await world.put("devices", "odd", {"kind": "Device", "spec": spec, "pushMethod": 1})
        await world.device(http(receiver, format="json"))
        await world.telemetry.store(BOILER, values(0, 1))
        await world.settled()


async def test_a_model_that_comes_late_changes_the_type(world: World, receiver: Receiver) -> None:
    async with world.up():
        await world.device(http(receiver, format="json"))
        await world.telemetry.store(BOILER, values(0, 1))
        await world.settled()
        before = world.pusher._devices[BOILER]
        await world.model("INT")
        await until(lambda: world.pusher._devices[BOILER] is not before)
        await world.telemetry.store(BOILER, values(1, 2))
        await world.settled()
    assert [json.loads(body)["type"] for body in receiver.bodies] == ["string", "int"]


def test_a_node_without_push_methods_loads_no_sink() -> None:
    listing = "import sys, edgecore.push.pusher; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True).stdout.split()
    assert not {"edgecore.push.sinks", "edgecore.push.client", "aiomqtt", "device_models.load"} & set(loaded)


# --- the client


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_connection_that_the_server_closed_is_replaced(chunked: bool) -> None:
    with receiving(Receiver(chunked=chunked, close_after=True, body=b"{}")) as receiver:
        origin = Origin(receiver.url)
        for _ in range(3):
            assert await origin.post("/", {}, b"x", 5) == await origin.post("/", {}, b"x", 5)
        origin.close()
        assert len(receiver.received) == 6


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_answers_that_make_no_sense_count_as_none(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        origin = Origin(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(HttpFailed):
            await origin.post("/", {}, b"", 5)
        origin.close()


async def test_a_silent_server_costs_its_timeout() -> None:
    with receiving(Receiver(pause=threading.Event())) as receiver:
        origin = Origin(receiver.url)
        with pytest.raises(HttpFailed, match=r"within 0\.05 s"):
            await origin.post("/", {}, b"", 0.05)
        assert receiver.pause is not None
        receiver.pause.set()
