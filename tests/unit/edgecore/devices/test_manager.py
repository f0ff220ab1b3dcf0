"""Devices and models in any order, and what makes a driver connect anew."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from device_models.twin import End
from edgecore.devices.book import Book
from edgecore.devices.manager import DeviceManager
from edgecore.devices.registry import Registry
from edgecore.devices.reporter import Reporter
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgecore.store.recorder import Recorder
from edgecore.store.telemetry import Telemetry
from edgelink.aio.clock import SystemClock
from edgelink.objects import DesiredObject, Kind, ObjectKey, Uid, Version
from tests.fakes.driver import Script

DEVICE, MODEL = ObjectKey(Kind.DEVICE, "plant", "meter"), ObjectKey(Kind.DEVICE_MODEL, "plant", "m")


class House:
    """A node's devices over real stores."""

    def __init__(self, objects: ObjectStore, manager: DeviceManager, book: Book, script: Script) -> None:
        self.objects, self.manager, self.book, self.script = objects, manager, book, script
        self._version = 0

    async def put(self, key: ObjectKey, uid: str = "u1", **spec: Any) -> None:  # noqa: ANN401 - JSON
        self._version += 1
        body = {"metadata": {"name": key.name, "namespace": key.namespace}, "spec": spec}
        await self.objects.put_many(
            [DesiredObject(key, Uid(uid), Version(str(self._version)), json.dumps(body).encode())]
        )

    async def model(self, type: str = "FLOAT", access: str = "ReadWrite") -> None:
        await self.put(MODEL, properties=[{"name": "t", "type": type, "accessMode": access}], protocol="scripted")

    async def device(self, value: str = "", uid: str = "u1") -> None:
        own = {"name": "t", "reportToCloud": True, "collectCycle": 20, "visitors": {"protocolName": "scripted"}}
        if value:
            own["desired"] = {"value": value}
        await self.put(
            DEVICE, uid, deviceModelRef={"name": "m"}, protocol={"protocolName": "scripted"}, properties=[own]
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    def reason(self) -> str:
        return self.book.entry("plant/meter").ready.reason if self.book.devices() else "gone"


Houses = Callable[[], contextlib.AbstractAsyncContextManager[House]]


@pytest.fixture
def script() -> Script:
    return Script(t=20.0)


@pytest.fixture
def houses(tmp_path: Path, script: Script) -> Houses:
    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[House]:
        clock = SystemClock()
        async with (
            Database.open(tmp_path / "o.db") as database,
            Telemetry.open(tmp_path / "t.db", clock, flush=0.01) as telemetry,
        ):
            objects, outbox, book = ObjectStore(database), Outbox(database), Book(telemetry, clock)
            manager = DeviceManager(
                objects,
                book,
                Reporter(book, telemetry, outbox, clock, node="edge-1", interval=0.05, rate=100.0),
                Recorder(outbox, clock, "edge-1"),
                clock,
                registry=lambda _: Registry({"scripted": script}),
            )
            up = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                task = group.create_task(manager.run(up.set))
                await up.wait()
                yield House(objects, manager, book, script)
                task.cancel()

    return opened


async def test_the_numbers_of_a_scrape(houses: Houses) -> None:
    async with houses() as house:
        assert house.manager.numbers().devices == {}
        await house.model()
        await house.device("22")
        await house.until(lambda: house.manager.numbers().reports > 0 and house.manager.numbers().produced > 0)
        numbers = house.manager.numbers()
        assert (dict(numbers.devices), dict(numbers.dropped), numbers.due) == ({"Connected": 1}, {}, 0)


async def test_the_order_of_model_and_device_does_not_matter(houses: Houses, script: Script) -> None:
    async with houses() as house:
        await house.device("22")
        await house.until(lambda: house.reason() == "ModelMissing")
        await house.model()
        await house.until(lambda: house.reason() == "Connected")
        await house.until(lambda: script.written == [("t", 22.0)])
        await house.objects.forget_many([(MODEL, Uid("u1"))])
        await house.until(lambda: house.reason() == "ModelMissing")
        await house.model()
        await house.until(lambda: house.reason() == "Connected")
        assert script.written == [("t", 22.0)], "a model that comes back replays nothing"


async def test_a_cold_boot_knows_its_twins_and_replays_nothing(houses: Houses, script: Script) -> None:
    async with houses() as house:
        await house.model()
        await house.device("22")
        await house.until(
            lambda: house.book.devices() != [] and house.book.twins("plant/meter")["t"].wish.end is End.APPLIED
        )
    async with houses() as house:
        assert house.book.twins("plant/meter")["t"].wish.end is End.APPLIED, "before anything else runs"
        await house.until(lambda: house.reason() == "Connected" and script.connected == 2)
        assert script.written == [("t", 22.0)]


async def test_only_desired_values_do_not_reconnect_and_a_type_does(houses: Houses, script: Script) -> None:
    async with houses() as house:
        await house.model()
        await house.device()
        await house.until(lambda: house.reason() == "Connected")
        await house.device("22")
        await house.until(lambda: script.written == [("t", 22.0)])
        assert script.connected == 1
        await house.model(type="STRING")
        await house.until(lambda: script.connected == 2)
        await house.until(lambda: house.book.twins("plant/meter")["t"].type == "string")


async def test_a_device_that_goes_and_one_of_the_same_name(houses: Houses, script: Script) -> None:
    async with houses() as house:
        await house.model()
        await house.device("22")
        await house.until(lambda: script.written == [("t", 22.0)])
        await house.device("22", uid="u2")
        await house.until(lambda: script.written == [("t", 22.0)] * 2)
        await house.objects.forget_many([(DEVICE, Uid("u2"))])
        await house.until(lambda: script.closed == 2)
        await house.until(lambda: house.book.devices() == [])
