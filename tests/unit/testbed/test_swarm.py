"""A simulated node against CloudCore's own listener: it must do on the channel what a real edge does."""

import asyncio
import contextlib
import datetime
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from cloudcore.enroll.authority import Authority, new_authority
from cloudcore.hub.listener import Door, Listener, TlsFiles
from cloudcore.hub.roster import Attached, Attachment, Roster
from edgelink.aio.clock import SystemClock
from edgelink.events import InventoryArrived, ReportArrived
from edgelink.objects import Action, DesiredObject, Identity, Kind, NodeName, ObjectKey, Uid, Version, digest
from testbed.process import eventually
from testbed.swarm import identities
from testbed.swarm.node import SimulatedNode, Tally
from testbed.swarm.swarm import Log

POD = ObjectKey(Kind.POD, "plant", "boiler")
NAME = identities.node_name(7)
NOW = datetime.datetime.now(datetime.UTC)


class Cloud:
    """The hub, and a test that plays everything behind it."""

    def __init__(self, roster: Roster, port: int) -> None:
        self.roster, self.port = roster, port
        self.attached = roster.subscribe(Attached)
        self.reports = roster.subscribe(ReportArrived)
        self.inventories = roster.subscribe(InventoryArrived)

    async def next_attached(self) -> Attachment:
        return (await anext(aiter(self.attached)))[0]

    async def next_report(self) -> ReportArrived:
        attachment, news = await anext(aiter(self.reports))
        assert isinstance(news, ReportArrived)
        attachment.session.acknowledge(news.report)
        attachment.link.kick()
        return news

    async def next_inventory(self) -> InventoryArrived:
        _, news = await anext(aiter(self.inventories))
        assert isinstance(news, InventoryArrived)
        return news


@contextlib.asynccontextmanager
async def world(directory: Path) -> AsyncIterator[tuple[Cloud, SimulatedNode]]:
    """A listener and one node that dials it."""
    pair = new_authority(NOW)
    identities.make({"tls.crt": pair.certificate, "tls.key": pair.key}, directory, range(7, 8), NOW)
    server = Authority(pair).new_server(NOW, datetime.timedelta(days=1))
    roster, clock = Roster(), SystemClock()

    async def nobody(request: bytes, address: str) -> bytes:
        raise AssertionError("a simulated node never enrols")

    listener = Listener(
        Door(host="127.0.0.1", port=0, grpc=False),
        TlsFiles(pair.certificate, server.certificate, server.key),
        roster,
        revoked=lambda node, issued: False,
        enroll=nobody,
        clock=clock,
    )
    up = asyncio.Event()
    node = SimulatedNode(NAME, directory, Tally(), clock, asyncio.Semaphore(1))
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        listening = group.create_task(listener.run(up.set))
        await up.wait()
        cloud = Cloud(roster, listener.port)
        running = group.create_task(node.run("127.0.0.1", listener.port, "127.0.1.1", 0.0))
        yield cloud, node
        running.cancel()
        listening.cancel()


def told(node: SimulatedNode, field: str, value: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return bool(getattr(node.tally, field) == value)

    return look


def boiler(body: bytes = b"{}", version: str = "1") -> DesiredObject:
    return DesiredObject(POD, Uid("u1"), Version(version), body)


async def test_it_attaches_and_registers_its_node(tmp_path: Path) -> None:
    async with world(tmp_path) as (cloud, node):
        attachment = await cloud.next_attached()
        assert (attachment.node, attachment.digest) == (NAME, digest(()))
        attachment.session.welcome(in_sync=True)
        attachment.link.kick()
        report = (await cloud.next_report()).report
        assert (report.key, report.action) == (ObjectKey(Kind.NODE, "", NAME), Action.STATUS)
        assert 2000 < len(report.body) < 5000
        assert json.loads(report.body)["status"]["nodeInfo"]["architecture"]
        await eventually(told(node, "registered", 1), 5.0, "the report is taken")
        assert (node.tally.attached, node.tally.in_sync, node.tally.errors) == (1, 1, {})


@pytest.mark.slow
async def test_it_keeps_what_it_is_given_runs_the_pod_and_says_so_after_a_cut(tmp_path: Path) -> None:
    async with world(tmp_path) as (cloud, node):
        first = await cloud.next_attached()
        first.session.welcome(in_sync=False)
        first.link.kick()
        assert (await cloud.next_inventory()).have == {}
        first.session.want(boiler())
        first.session.synced()
        first.link.kick()
        seen = {(await cloud.next_report()).report.key for _ in range(2)}
        assert seen == {POD, ObjectKey(Kind.NODE, "", NAME)}
        await eventually(told(node, "pods", 1), 5.0, "the status of the pod is taken")
        assert node.tally.in_sync == 1

        first.link.close("go away for a moment")
        second = await cloud.next_attached()
        assert second.digest == digest([(POD, Identity(Uid("u1"), Version("1")))])
        assert (node.tally.reconnects, node.tally.in_sync) == (1, 0)
        assert node.tally.errors == {"go away for a moment": 1}

        second.session.welcome(in_sync=True)
        second.session.want(boiler(b'{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}', "2"))
        second.link.kick()
        assert (await cloud.next_report()).report.action is Action.REMOVED
        second.session.gone(POD, Uid("u1"))
        second.link.kick()

        async def forgotten() -> bool:
            return not node.have

        await eventually(forgotten, 5.0, "the pod is forgotten")


@pytest.mark.slow
async def test_a_report_that_was_not_taken_is_sent_again(tmp_path: Path) -> None:
    async with world(tmp_path) as (cloud, _):
        first = await cloud.next_attached()
        first.session.welcome(in_sync=True)
        first.link.kick()
        _, news = await anext(aiter(cloud.reports))
        first.link.close("before it was acknowledged")
        second = await cloud.next_attached()
        second.session.welcome(in_sync=True)
        second.link.kick()
        assert isinstance(news, ReportArrived)
        assert (await cloud.next_report()).report.key == news.report.key


async def test_one_that_is_refused_knows_it(tmp_path: Path) -> None:
    async with world(tmp_path) as (cloud, node):
        attachment = await cloud.next_attached()
        attachment.link.close("this node was revoked", refused=True)
        await eventually(told(node, "refused", 1), 5.0, "the refusal is counted")


def test_names_fit_a_certificate_and_sort() -> None:
    names = [identities.node_name(number) for number in (0, 9, 10, 9999)]
    assert names == sorted(names)
    assert all(len(name) < 52 for name in names)
    assert names[0] == NodeName("sim-00000")


def test_the_newest_whole_line_counts(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"at": 1.5, "tally": {"attached": 3}}\n{"at": 2.5, "ta')
    log = Log(path)
    assert (log.newest(), log.at) == ({"attached": 3}, 1.5)
    with path.open("ab") as file:
        file.write(b'lly": {"attached": 4}}\n')
    assert (log.newest(), log.at) == ({"attached": 4}, 2.5)


def test_a_process_that_complains_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("Traceback: no such file\n")
    with pytest.raises(RuntimeError, match="no such file"):
        Log(path).newest()
