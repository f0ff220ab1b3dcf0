"""DMI with the real twins: from a desired value in the Device to the mapper, and its report back, over restarts."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from device_models.twin import End, Twin
from edgecore.devices.book import Book
from edgecore.devices.dmi.server import DmiServer
from edgecore.devices.manager import DeviceManager
from edgecore.devices.registry import Registry
from edgecore.devices.reporter import Reporter
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgecore.store.recorder import Recorder
from edgecore.store.telemetry import Telemetry
from edgelink.aio.clock import SystemClock
from tests.unit.edgecore.devices.dmi.site import MapperProcess, Site, device, model

pytestmark = pytest.mark.slow


class Whole(Site):
    """A node whose devices feature is all real."""

    book: Book
    outbox: Outbox

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Whole"]:
        """From a start of edgecore to its end."""
        clock = SystemClock()
        async with Telemetry.open(self.directory / "telemetry.db", clock) as telemetry:
            self.book = Book(telemetry, clock)
            self.server = DmiServer(self.settings, self.objects, self.book, clock)
            reporter = Reporter(self.book, telemetry, self.outbox, clock, node="edge-1", interval=1.0, rate=50.0)
            manager = DeviceManager(
                self.objects,
                self.book,
                reporter,
                Recorder(self.outbox, clock, "edge-1"),
                clock,
                registry=lambda _: Registry({}, lambda: ()),
                mappers=self.server.drivers,
            )
            ready = asyncio.Event()
            tasks = [asyncio.create_task(manager.run(ready.set))]
            await ready.wait()
            tasks.append(asyncio.create_task(self.server.run(lambda: None)))
            try:
                yield self
            finally:
                for task in reversed(tasks):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    def twin(self, name: str) -> Twin:
        return self.book.twins("plant/g1").get(name, Twin())


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Whole]:
    async with Database.open(tmp_path / "edgecore.db") as database:
        objects = ObjectStore(database)
        await objects.mark_whole()
        whole = Whole(tmp_path, objects)
        whole.outbox = Outbox(database)
        yield whole


def body(value: str, **metadata: str) -> dict[str, Any]:
    wish = {"value": value, "metadata": metadata}
    return device(level={"reportToCloud": True, "collectCycle": 50, "desired": wish}, speed={"reportToCloud": True})


async def test_a_wish_reaches_the_mapper_and_its_report_confirms_it(node: Whole) -> None:
    await node.put(model(level={}, speed={}), body("7"))
    async with node.running():
        mapper = MapperProcess(node)
        with mapper.daemon:
            await mapper.until(lambda: node.twin("level").wish.end is End.APPLIED, what="applied")
            assert [x["value"] for x in mapper.said("set")] == ["7"]
            assert mapper.calls() == []
            assert node.twin("level").actual.value == "7"  # type: ignore[union-attr]
            assert node.twin("level").type == "int"
            await node.put(body("8"))
            await mapper.until(lambda: node.twin("level").wish.end is End.APPLIED, what="applied again")
            await mapper.until(lambda: node.twin("level").actual.value == "8", what="reported")  # type: ignore[union-attr]
            assert [x["value"] for x in mapper.said("set")] == ["7", "8"]
            assert mapper.calls() == ["UpdateDevice g1"]
            assert node.book.standing("plant/g1").state == "online"


async def test_a_wish_from_before_a_restart_is_not_replayed(node: Whole) -> None:
    await node.put(model(level={}, speed={}), body("7"))
    mapper = MapperProcess(node)
    with mapper.daemon:
        async with node.running():
            await mapper.until(lambda: node.twin("level").wish.end is End.APPLIED, what="applied")
        async with node.running():
            before = len(mapper.said("report", status="OK"))
            await mapper.heard("report", before + 3, status="OK")
            assert node.twin("level").wish.end is End.APPLIED
        assert mapper.calls() == []
        assert json.dumps(mapper.said("set")).count('"7"') == 1
