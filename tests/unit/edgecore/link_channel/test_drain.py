"""The outbox over the link: within the window, newest revision, again after a cut."""

import asyncio
from pathlib import Path

import pytest

from edgelink.events import ReportArrived
from edgelink.native import window
from edgelink.native.half import Limits
from edgelink.objects import Action, ObjectKey, Report, Uid
from tests.unit.edgecore.link_channel.gateway import Cloud, Gateway, running

UID = Uid("u1")


def key(name: str) -> ObjectKey:
    return ObjectKey("pods", "plant", name)


async def put(gateway: Gateway, name: str, body: bytes = b"{}") -> int:
    return await gateway.outbox.put(key(name), UID, Action.STATUS, body)


async def reports(cloud: Cloud, count: int) -> list[Report]:
    return [event.report for event in await cloud.until(ReportArrived, count) if isinstance(event, ReportArrived)]


def take(cloud: Cloud, *taken: Report) -> None:
    for report in taken:
        cloud.link.session.acknowledge(report)
    cloud.link.kick()


async def pending(gateway: Gateway, count: int) -> None:
    while await gateway.outbox.count() != count:
        await asyncio.sleep(0.001)


async def test_what_waits_goes_up_when_the_session_opens_and_what_comes_later_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        first = await put(gateway, "boiler", b"1")
        async with gateway.session() as cloud:
            [report] = await reports(cloud, 1)
            assert report == Report(key("boiler"), UID, first, Action.STATUS, b"1")
            second = await put(gateway, "boiler", b"2")
            _, newer = await reports(cloud, 2)
            assert (newer.revision, newer.body) == (second, b"2")
            # The answer to the older one does not make the edge forget the newer.
            take(cloud, report)
            await asyncio.sleep(0.01)
            assert await gateway.outbox.count() == 1
            take(cloud, newer)
            await pending(gateway, 0)


async def test_only_the_newest_of_what_waited_goes_up(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        for body in (b"1", b"2", b"3"):
            await put(gateway, "boiler", body)
        async with gateway.session() as cloud:
            [report] = await reports(cloud, 1)
            assert report.body == b"3"


async def test_no_more_than_a_window_is_out_and_each_goes_once(tmp_path: Path) -> None:
    many = 2 * window.FRAMES + 5
    async with running(tmp_path) as gateway:
        for number in range(many):
            await put(gateway, f"p{number}")
        async with gateway.session() as cloud:
            first = await reports(cloud, window.FRAMES)
            await asyncio.sleep(0.01)
            assert len(await reports(cloud, 1)) == window.FRAMES
            take(cloud, *first)
            second = (await reports(cloud, 2 * window.FRAMES))[window.FRAMES :]
            take(cloud, *second)
            everything = await reports(cloud, many)
            take(cloud, *everything[2 * window.FRAMES :])
            await pending(gateway, 0)
            assert [report.key for report in everything] == [key(f"p{number}") for number in range(many)]


async def test_what_was_not_answered_goes_up_again_after_a_cut(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway:
        for name in ("a", "b"):
            await put(gateway, name)
        async with gateway.session() as cloud:
            one, two = await reports(cloud, 2)
            take(cloud, one)
            await pending(gateway, 1)
            cloud.pipe.cut()
        await gateway.clock.until_asleep()
        later = await put(gateway, "c")
        gateway.clock.wake()
        async with gateway.session() as cloud:
            assert [report.revision for report in await reports(cloud, 2)] == [two.revision, later]


async def test_a_refused_report_is_said_and_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(tmp_path) as gateway:
        await put(gateway, "boiler")
        async with gateway.session() as cloud:
            [report] = await reports(cloud, 1)
            cloud.link.session.refuse(report, "not yours\n")
            cloud.link.kick()
            await pending(gateway, 0)
    assert "the cloud refused a report on pods/plant/boiler: not yours\\n" in caplog.text


async def test_a_report_too_big_for_a_frame_is_dropped_and_the_others_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, limits=Limits(frame=8192)) as gateway:
        await put(gateway, "huge", b"x" * 8000)
        await put(gateway, "boiler")
        async with gateway.session() as cloud:
            [report] = await reports(cloud, 1)
            assert report.key == key("boiler")
            await pending(gateway, 1)
    assert "a report is too big to be sent and is dropped: pods/plant/huge has 8000 bytes" in caplog.text


async def test_nothing_goes_up_before_the_welcome(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session(welcome=False) as cloud:
        await put(gateway, "boiler")
        await asyncio.sleep(0.01)
        assert cloud.seen == []
        cloud.welcome()
        await reports(cloud, 1)
