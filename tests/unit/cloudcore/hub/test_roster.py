"""Who is attached, who hears of it, and what happens when somebody does not listen."""

import asyncio

import pytest

from cloudcore.hub import roster as roster_module
from cloudcore.hub.roster import Attached, Attachment, Detached, Roster
from edgelink.events import Asked, Ended, InventoryArrived, ReportArrived
from edgelink.native.cloud import NativeCloud
from edgelink.objects import Action, Kind, NodeName, ObjectKey, Report, Uid
from edgelink.pump import Link
from tests.fakes.clock import FakeClock
from tests.fakes.wire import wire
from tests.unit.cloudcore.cell import ISSUED

NODE, OTHER = NodeName("press-03"), NodeName("press-04")
REPORT = ReportArrived(Report(ObjectKey(Kind.NODE, "", NODE), Uid(""), 1, Action.STATUS, b"{}"))


def attachment(node: NodeName = NODE) -> Attachment:
    session = NativeCloud(software="cloud", utc=0.0, now=0.0)
    return Attachment(node, Link(session, wire()[0], FakeClock()), b"", "edge", ISSUED, 0.0)


async def test_a_node_is_found_while_it_is_attached() -> None:
    roster = Roster()
    one, two = attachment(), attachment(OTHER)
    await roster.attach(one)
    await roster.attach(two)
    assert roster.get(NODE) is one
    assert roster.is_current(one)
    assert (list(roster), len(roster)) == ([one, two], 2)
    await roster.detach(one)
    assert roster.get(NODE) is None
    assert not roster.is_current(one)
    assert len(roster) == 1


async def test_the_newest_session_wins_and_the_older_leaves_no_trace() -> None:
    roster = Roster()
    news = roster.subscribe(Attached, Detached)
    older, newer = attachment(), attachment()
    for each in (older, newer):
        await roster.attach(each)
    assert older.session.ended
    assert not newer.session.ended
    await roster.detach(older)
    assert roster.get(NODE) is newer
    await roster.detach(newer)
    heard = [await anext(aiter(news)) for _ in range(3)]
    assert heard == [(older, Attached()), (newer, Attached()), (newer, Detached())]
    assert roster.depth == 0


async def test_each_subscriber_hears_what_it_asked_for() -> None:
    roster, one = Roster(), attachment()
    inventories, tokens = roster.subscribe(InventoryArrived), roster.subscribe(Asked, topic="token")
    assert await roster.dispatch(one, InventoryArrived({}))
    assert await roster.dispatch(one, Asked(1, "token", b""))
    assert not await roster.dispatch(one, Asked(2, "weather", b""))
    assert not await roster.dispatch(one, Ended("gone"))
    assert (inventories.depth, tokens.depth, roster.depth) == (1, 1, 2)
    assert await anext(aiter(tokens)) == (one, Asked(1, "token", b""))


async def test_a_subscriber_that_falls_behind_slows_the_speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster_module, "BACKLOG", 2)
    roster, one = Roster(), attachment()
    reports = roster.subscribe(ReportArrived)
    for _ in range(2):
        await roster.dispatch(one, REPORT)
    async with asyncio.TaskGroup() as group:
        third = group.create_task(roster.dispatch(one, REPORT))
        await asyncio.sleep(0)
        assert not third.done()
        await anext(aiter(reports))
    assert reports.depth == 2
