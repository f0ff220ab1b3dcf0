"""Covers edgecore.node.heartbeat: with a real store, a runtime in memory and a clock that the test moves."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edgecore.node import heartbeat
from edgecore.node.heartbeat import Heartbeat, LinkNews, NodeTools
from edgecore.node.view import Offer
from edgecore.store.database import Database
from edgecore.store.outbox import Outbox
from edgelink.objects import Action, ObjectKey, Report, Uid
from tests.fakes.clock import FakeClock
from tests.fakes.runtime import FakeRuntime


@dataclasses.dataclass
class Node:
    beat: Heartbeat
    runtime: FakeRuntime
    clock: FakeClock
    link: LinkNews
    outbox: Outbox
    database: Database
    revision: int = 0

    async def reported(self) -> Any:  # noqa: ANN401
        """The report that came since the last call, or None."""
        news: list[Report] = await self.outbox.pending(self.revision)
        if not news:
            return None
        [report] = news
        self.revision = report.revision
        assert (report.key, report.uid, report.action) == (ObjectKey("nodes", "", "press-03"), "", Action.STATUS)
        return json.loads(report.body)

    async def wait_pause(self) -> None:
        """Until the heartbeat sleeps."""
        async with asyncio.timeout(5):
            while not self.clock._sleepers:
                await asyncio.sleep(0)

    async def wait_reported(self) -> Any:  # noqa: ANN401
        async with asyncio.timeout(5):
            async for _ in self.outbox.changes():
                if (report := await self.reported()) is not None:
                    return report


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with Database.open(tmp_path / "store" / "edgecore.db") as database:
        clock, link, outbox = FakeClock(), LinkNews(), Outbox(database)
        runtime = FakeRuntime(local=["busybox:1.36"])
        tools = NodeTools(runtime, database, outbox, link, clock)
        yield Node(Heartbeat(Offer("press-03"), tools, data=tmp_path), runtime, clock, link, outbox, database)
        await runtime.close()


def condition(report: Any, name: str) -> tuple[str, str]:  # noqa: ANN401
    [found] = [c for c in report["status"]["conditions"] if c["type"] == name]
    return found["status"], found["reason"]


async def test_nothing_is_reported_twice_until_five_minutes_are_over(node: Node) -> None:
    await node.beat.look()
    first = await node.reported()
    assert condition(first, "Ready") == ("True", "EdgeCoreReady")
    assert len(first["status"]["images"]) == 1
    assert node.beat.ready
    for _ in range(29):
        await node.clock.advance(10)
        await node.beat.look()
    assert await node.reported() is None
    await node.clock.advance(10)
    await node.beat.look()
    assert await node.reported() is not None


async def test_a_runtime_that_goes_and_comes_is_reported_each_time(node: Node) -> None:
    await node.beat.look()
    await node.reported()
    node.runtime.go()
    await node.beat.look()
    assert condition(await node.reported(), "Ready") == ("False", "RuntimeNotReady")
    assert not node.beat.ready
    node.runtime.come_back()
    await node.beat.look()
    assert condition(await node.reported(), "Ready") == ("True", "EdgeCoreReady")


async def test_no_report_is_written_to_disk(node: Node) -> None:
    await node.beat.look()
    [(rows,)] = await node.database.fetch("SELECT count(*) FROM outbox")
    assert rows == 0


@contextlib.asynccontextmanager
async def running(beat: Heartbeat) -> AsyncIterator[None]:
    up = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(beat.run(up.set))
        await up.wait()
        yield
        task.cancel()


async def test_it_looks_every_ten_seconds_and_is_ready_after_the_first_look(node: Node) -> None:
    async with running(node.beat):
        assert condition(await node.wait_reported(), "Ready") == ("True", "EdgeCoreReady")
        node.runtime.network_problem = "cni config uninitialized"
        await node.wait_pause()
        await node.clock.advance(heartbeat.LOOK - 1)
        assert await node.reported() is None
        await node.clock.advance(1)
        assert condition(await node.wait_reported(), "Ready") == ("False", "NetworkNotReady")


async def test_a_store_that_fills_up_is_told_at_once_although_nothing_can_be_written(node: Node) -> None:
    async with running(node.beat):
        await node.wait_reported()
        await node.database.fetch("PRAGMA query_only = ON")
        await node.outbox.put(ObjectKey("events", "plant", "e"), Uid(""), Action.RECORDED, b"{}")
        node.revision += 1
        report = await node.wait_reported()
        assert condition(report, "StoreWritable") == ("False", "StoreNotWritable")
        await node.database.fetch("PRAGMA query_only = OFF")


async def test_a_new_session_brings_a_report_with_the_clocks_difference(node: Node) -> None:
    async with running(node.beat):
        assert condition(await node.wait_reported(), "ClockSkew") == ("Unknown", "NoSession")
        node.link.opened(skew=100.0)
        assert condition(await node.wait_reported(), "ClockSkew") == ("True", "ClockOff")
        node.link.closed("cut")
        assert (node.link.attached, node.link.reason) == (False, "cut")
        node.link.opened(skew=100.0)
        assert await node.wait_reported() is not None


async def test_a_full_disk_does_not_flap(node: Node) -> None:
    """Small writes that still fit clear the trouble for a moment; people must not see it come and go."""
    node.database._note("the disk is full")
    await node.beat.look()
    assert condition(await node.reported(), "StoreWritable")[0] == "False"
    node.database._note("")
    await node.clock.advance(heartbeat.LOOK)
    await node.beat.look()
    assert await node.reported() is None
    await node.clock.advance(heartbeat.LOOK)
    await node.beat.look()
    assert condition(await node.reported(), "StoreWritable")[0] == "True"
