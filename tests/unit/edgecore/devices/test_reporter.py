"""What the cloud is told of devices, and how often."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgecore.devices.book import CLOUD, Book
from edgecore.devices.reporter import REFRESH, Reporter
from edgecore.store.database import Database
from edgecore.store.outbox import Outbox
from edgecore.store.telemetry import Telemetry
from edgelink.objects import Action, ObjectKey, Uid
from tests.fakes.clock import FakeClock
from tests.fakes.driver import device, prop


class Recording(Outbox):
    """The real one, and what was put into it."""

    bodies: list[dict[str, Any]]

    async def put(self, key: ObjectKey, uid: Uid, action: Action, body: bytes, *, durable: bool = True) -> int:
        self.bodies.append({"name": key.name, "uid": uid, **json.loads(body)["status"]})
        return await super().put(key, uid, action, body, durable=durable)


class Desk:
    def __init__(self, book: Book, outbox: Recording, reporter: Reporter, telemetry: Telemetry) -> None:
        self.book, self.outbox, self.reporter, self.telemetry = book, outbox, reporter, telemetry

    async def settled(self) -> None:
        """Everybody who could run did."""
        for _ in range(30):
            await asyncio.sleep(0)

    def values(self) -> list[str]:
        return [body["twins"][0]["reported"]["value"] for body in self.outbox.bodies if body["twins"]]


@pytest.fixture
async def desk(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Desk]:
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(tmp_path / "o.db"))
        telemetry = await stack.enter_async_context(Telemetry.open(tmp_path / "t.db", clock))
        outbox, book = Recording(database), Book(telemetry, clock)
        outbox.bodies = []
        await outbox.count()
        reporter = Reporter(book, telemetry, outbox, clock, node="edge-1", interval=0.05, rate=1000.0)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(reporter.run())
            made = Desk(book, outbox, reporter, telemetry)
            await made.settled()
            yield made
            task.cancel()


async def test_changes_within_the_interval_are_one_report_and_the_newest_wins(desk: Desk, clock: FakeClock) -> None:
    entry = await desk.book.admit(device(prop()), ())
    desk.book.report(entry, {"t": 0.0})
    await desk.settled()
    assert desk.values() == ["0"], "the first value at once"
    for number in range(1, 50):
        desk.book.report(entry, {"t": float(number)})
        await desk.settled()
    assert desk.values() == ["0"]
    await clock.advance(0.06)
    async with asyncio.timeout(5):
        while len(desk.values()) < 2:
            await asyncio.sleep(0.005)
    assert desk.values() == ["0", "49"]


async def test_nothing_new_is_not_reported_but_the_refresh_is(desk: Desk, clock: FakeClock) -> None:
    entry = await desk.book.admit(device(prop()), ())
    desk.book.report(entry, {"t": 1.0})
    await desk.settled()
    made = desk.reporter.made
    await clock.advance(1)
    await desk.book.admit(device(prop()), ())
    await desk.settled()
    assert desk.reporter.made == made
    await clock.advance(REFRESH)
    await desk.settled()
    assert desk.reporter.made == made + 1


async def test_all_devices_get_their_turn(desk: Desk, clock: FakeClock) -> None:
    for number in range(30):
        await desk.book.admit(device(prop(), name=f"d{number}"), ())
    async with asyncio.timeout(5):
        while len({body["name"] for body in desk.outbox.bodies}) < 30:
            await clock.advance(0.01)
    assert desk.reporter.waiting == 0


async def test_a_device_of_the_same_name_is_reported_with_its_own_uid(desk: Desk, clock: FakeClock) -> None:
    await desk.book.admit(device(prop()), ())
    await desk.settled()
    await desk.book.dismiss("plant/meter")
    desk.reporter.forget("plant/meter")
    await desk.book.admit(device(prop(), uid="u2"), ())
    await clock.advance(1)
    await desk.settled()
    assert [body["uid"] for body in desk.outbox.bodies] == ["u1", "u2"]


async def test_samples_are_settled_when_the_cloud_has_the_report_after_them(desk: Desk, clock: FakeClock) -> None:
    entry = await desk.book.admit(device(prop()), ())
    desk.book.report(entry, {"t": 1.0})
    await desk.settled()
    assert desk.telemetry.cursor("plant/meter", CLOUD) == 0
    await clock.advance(2)
    async with asyncio.timeout(5):
        while desk.telemetry.ledger("plant/meter").stored < 1:
            await asyncio.sleep(0.005)
        for report in await desk.outbox.pending():
            await desk.outbox.forget(report)  # the cloud has it
        while desk.telemetry.cursor("plant/meter", CLOUD) < 1:
            await asyncio.sleep(0.005)
    assert desk.telemetry.ledger("plant/meter").acknowledged == 1


async def test_samples_that_repeat_a_value_are_settled_without_a_report(desk: Desk, clock: FakeClock) -> None:
    entry = await desk.book.admit(device(prop(only_changes=False)), ())
    desk.book.report(entry, {"t": 1.0})
    await desk.settled()
    [report] = await desk.outbox.pending()
    await desk.outbox.forget(report)
    for _ in range(5):
        desk.book.report(entry, {"t": 1.0})
    await clock.advance(2.0)
    async with asyncio.timeout(5):
        while desk.telemetry.ledger("plant/meter").acknowledged < 6:
            desk.book.report(entry, {"t": 1.0})
            await clock.advance(2.0)
            await asyncio.sleep(0.005)
    assert desk.values() == ["1"]
