"""The endless stream: what it yields when the API lists, expires, cuts and refuses."""

import asyncio
import collections
import contextlib
import datetime
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from cloudcore.kube.contract import Changed, Selector
from cloudcore.kube.errors import Forbidden, Gone, NotFound, ServerFailed, Throttled, Unreachable
from cloudcore.kube.kinds import CONFIG_MAPS
from cloudcore.kube.watch import Listed, follow
from tests.fakes.kube import FakeKube


class Clock:
    """Sleeps take no time and are counted."""

    def __init__(self) -> None:
        self.slept: collections.deque[float] = collections.deque()
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def utc(self) -> datetime.datetime:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


Stream = AsyncGenerator[Listed | Changed]


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def stream(kube: FakeKube, clock: Clock) -> AsyncIterator[Stream]:
    async with contextlib.aclosing(
        follow(kube, CONFIG_MAPS, Selector("default"), clock=clock, roll=lambda: 0.5, chunk=2)
    ) as stream:
        yield stream


def put(kube: FakeKube, name: str, **data: str) -> str:
    version: str = kube.put(CONFIG_MAPS, "default", {"metadata": {"name": name}, "data": data})["metadata"][
        "resourceVersion"
    ]
    return version


async def listed(stream: Stream) -> list[str]:
    """The next whole list."""
    names: list[str] = []
    async with asyncio.timeout(5):
        async for event in stream:
            assert isinstance(event, Listed)
            names = [*([] if event.first else names), *(item.metadata.name for item in event.items)]
            if event.complete:
                break
    return names


async def changed(stream: Stream) -> tuple[str, str]:
    async with asyncio.timeout(5):
        event = await anext(stream)
    assert isinstance(event, Changed)
    return event.change.value, event.item.metadata.name


async def test_pages_then_changes(kube: FakeKube, stream: Stream) -> None:
    for name in "abc":
        put(kube, name)
    assert await listed(stream) == ["a", "b", "c"]
    put(kube, "d")
    await kube.delete(CONFIG_MAPS, "default", "a")
    assert await changed(stream) == ("ADDED", "d")
    assert await changed(stream) == ("DELETED", "a")


async def test_an_empty_list_is_still_told(stream: Stream) -> None:
    event = await anext(stream)
    assert isinstance(event, Listed)
    assert (event.items, event.first, event.complete) == ([], True, True)


async def test_a_cut_watch_resumes_without_a_new_list(kube: FakeKube, stream: Stream) -> None:
    assert await listed(stream) == []
    put(kube, "a")
    assert await changed(stream) == ("ADDED", "a")
    kube.cut_watches()
    put(kube, "b")
    assert await changed(stream) == ("ADDED", "b")
    assert kube.calls["list", "configmaps"] == 1


async def test_an_expired_version_leads_to_a_new_list(kube: FakeKube, stream: Stream, clock: Clock) -> None:
    assert await listed(stream) == []
    put(kube, "a")
    kube.forget_history()
    assert await listed(stream) == ["a"]
    assert not clock.slept
    put(kube, "b")
    assert await changed(stream) == ("ADDED", "b")


async def test_expiring_again_and_again_is_waited_out(kube: FakeKube, stream: Stream, clock: Clock) -> None:
    kube.fail("watch", "configmaps", *[Gone("old")] * 4)
    for _ in range(5):
        assert await listed(stream) == []
    put(kube, "a")
    assert await changed(stream) == ("ADDED", "a")
    assert list(clock.slept) == [1.5, 3.0, 6.0]


async def test_a_list_that_breaks_off_starts_over(kube: FakeKube, stream: Stream) -> None:
    for name in "abc":
        put(kube, name)
    first = await anext(stream)
    assert isinstance(first, Listed)
    assert (first.first, first.complete) == (True, False)
    kube.fail("list", "configmaps", Gone("continue token expired"))
    assert await listed(stream) == ["a", "b", "c"]


async def test_failures_back_off_and_recover(kube: FakeKube, stream: Stream, clock: Clock) -> None:
    kube.fail("list", "configmaps", Unreachable("down"), ServerFailed("bad"), Forbidden("no"), Throttled("slow", 60))
    assert await listed(stream) == []
    assert list(clock.slept) == [0.75, 1.5, 3.0, 60]


async def test_trouble_is_logged_once_and_so_is_its_end(
    kube: FakeKube, stream: Stream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    kube.fail("list", "configmaps", *[Unreachable("down")] * 5)
    assert await listed(stream) == []
    put(kube, "a")
    await changed(stream)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_watch_that_ends_at_once_does_not_spin(kube: FakeKube, stream: Stream, clock: Clock) -> None:
    class Ending(FakeKube):
        async def watch(self, *args: object, **kwargs: object) -> AsyncGenerator[Changed]:
            self.calls["watch", "configmaps"] += 1
            if self.calls["watch", "configmaps"] > 3:
                raise Gone("enough")
            return
            yield

    kube = Ending()
    stream = follow(kube, CONFIG_MAPS, clock=clock, roll=lambda: 0.0)
    assert await listed(stream) == []
    assert await listed(stream) == []
    assert list(clock.slept) == [0.5, 1.0, 2.0, 4.0]
    await stream.aclose()


async def test_a_resource_type_that_does_not_exist_has_no_objects_until_it_does(
    kube: FakeKube, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    missing = [NotFound("cannot list /apis/x: not found") for _ in range(4)]
    kube.fail("list", "configmaps", *missing)
    async with contextlib.aclosing(follow(kube, CONFIG_MAPS, clock=clock, remedy="apply the manifests")) as stream:
        for _ in missing:
            assert await anext(stream) == Listed([], "", first=True, complete=True)
        put(kube, "a")
        listed = await anext(stream)
    assert isinstance(listed, Listed)
    assert [item.metadata.name for item in listed.items] == ["a"]
    assert caplog.text.count("apply the manifests") == 1


async def test_a_resource_type_that_goes_takes_its_objects_along(kube: FakeKube, clock: Clock) -> None:
    put(kube, "a")
    async with contextlib.aclosing(follow(kube, CONFIG_MAPS, clock=clock, remedy="apply the manifests")) as stream:
        first = await anext(stream)
        kube.fail("watch", "configmaps", NotFound("cannot watch /apis/x: not found"))
        assert isinstance(first, Listed)
        assert len(first.items) == 1
        assert await anext(stream) == Listed([], "", first=True, complete=True)


async def test_a_lack_of_rights_is_not_taken_for_absence(
    kube: FakeKube, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    kube.fail("list", "configmaps", Forbidden("cannot list: not permitted"))
    put(kube, "a")
    async with contextlib.aclosing(follow(kube, CONFIG_MAPS, clock=clock, remedy="apply the manifests")) as stream:
        listed = await anext(stream)
    assert isinstance(listed, Listed)
    assert len(listed.items) == 1
    assert "apply the manifests" in caplog.text
