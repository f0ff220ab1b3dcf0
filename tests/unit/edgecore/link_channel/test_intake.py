"""Acknowledge after commit, and what a commit does to the order of things."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecore.link.intake import Intake, _batches
from edgecore.store.errors import StoreFull
from edgelink.events import ObjectGone, ObjectWanted
from edgelink.native import window
from edgelink.objects import DesiredObject, ObjectKey, Uid
from tests.unit.edgecore.link_channel.gateway import Gateway, obj, running


async def stored(gateway: Gateway, name: str) -> DesiredObject:
    """Wait until an object of this name is in the store."""
    async for key in gateway.objects.changed():
        if key == obj(name).key and (found := await gateway.objects.get(key)):
            return found
    raise AssertionError


class Gate:
    """Between intake and store: lets commits through when told, or fails them."""

    def __init__(self, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = asyncio.Event()
        self.failures: list[StoreFull] = []
        self.commits: list[int] = []
        self.waiting = asyncio.Event()
        apply = gateway.objects.apply

        async def gated(wanted: list[DesiredObject], gone: list[tuple[ObjectKey, Uid]]) -> None:
            self.waiting.set()
            await self.open.wait()
            if self.failures:
                raise self.failures.pop()
            await apply(wanted, gone)
            self.commits.append(len(wanted) + len(gone))

        monkeypatch.setattr(gateway.objects, "apply", gated)


async def acknowledged(cloud_unacknowledged: object) -> None:
    assert callable(cloud_unacknowledged)
    while cloud_unacknowledged():
        await asyncio.sleep(0.001)


async def test_nothing_is_acknowledged_before_it_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as gateway:
        gate = Gate(gateway, monkeypatch)
        async with gateway.session() as cloud:
            cloud.want(obj("boiler"))
            await gate.waiting.wait()
            await asyncio.sleep(0.01)
            assert cloud.unacknowledged == 1
            gate.open.set()
            await acknowledged(lambda: cloud.unacknowledged)
            assert await gateway.objects.get(obj("boiler").key) == obj("boiler")


async def test_a_full_disk_is_tried_again_and_acknowledged_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path) as gateway:
        gate = Gate(gateway, monkeypatch)
        gate.failures = [StoreFull("disk full"), StoreFull("disk full")]
        gate.open.set()
        async with gateway.session() as cloud:
            cloud.want(obj("boiler"))
            for _ in range(2):
                assert await gateway.clock.until_asleep() == 5.0
                assert cloud.unacknowledged == 1
                gateway.clock.wake()
            await stored(gateway, "boiler")
            await acknowledged(lambda: cloud.unacknowledged)
    assert "cannot store what the cloud sent, will try again: disk full" in caplog.text


async def test_what_arrives_during_a_commit_shares_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(tmp_path) as gateway:
        gate = Gate(gateway, monkeypatch)
        async with gateway.session() as cloud:
            cloud.want(obj("first"))
            await gate.waiting.wait()
            cloud.want(*(obj(f"p{number}") for number in range(20)))
            await asyncio.sleep(0.01)
            gate.open.set()
            await stored(gateway, "p19")
            await acknowledged(lambda: cloud.unacknowledged)
            assert gate.commits == [1, 20]


async def test_more_than_a_window_arrives_in_full_and_in_order(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session() as cloud:
        many = [obj(f"p{number:04}") for number in range(3 * window.FRAMES + 1)]
        cloud.want(*many)
        await stored(gateway, many[-1].key.name)
        assert await gateway.objects.list("pods") == many


async def test_a_pod_made_anew_and_deleted_while_the_link_stalled_is_gone(tmp_path: Path) -> None:
    async with running(tmp_path) as gateway, gateway.session() as cloud:
        cloud.want(obj("boiler", uid="u1"))
        await stored(gateway, "boiler")
        session = cloud.link.session
        session.gone(obj("boiler").key, Uid("u1"))
        session.want(obj("boiler", uid="u2"))
        session.gone(obj("boiler").key, Uid("u2"))
        cloud.want(obj("after"))
        await stored(gateway, "after")
        assert await gateway.objects.get(obj("boiler").key) is None


keys = st.sampled_from(["a", "b"])
uids = st.sampled_from(["u1", "u2"])
arrivals = st.lists(
    st.one_of(
        st.builds(
            lambda name, uid, version: ObjectWanted(0, obj(name, version, uid)), keys, uids, st.sampled_from("12")
        ),
        st.builds(lambda name, uid: ObjectGone(0, obj(name).key, Uid(uid)), keys, st.one_of(uids, st.just(""))),
    ),
    max_size=12,
)


class Memory:
    """The store's contract: puts, then removals whose uid fits."""

    def __init__(self) -> None:
        self.have: dict[ObjectKey, DesiredObject] = {}

    async def get(self, key: ObjectKey) -> DesiredObject | None:
        return self.have.get(key)

    async def apply(self, wanted: list[DesiredObject], gone: list[tuple[ObjectKey, Uid]]) -> None:
        self.have.update({each.key: each for each in wanted})
        for key, uid in gone:
            if key in self.have and self.have[key].uid == uid:
                del self.have[key]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrivals)
async def test_batches_come_to_the_same_as_one_by_one(script: list[ObjectWanted | ObjectGone]) -> None:
    expected: dict[ObjectKey, DesiredObject] = {}
    for event in script:
        if isinstance(event, ObjectWanted):
            expected[event.object.key] = event.object
        elif event.key in expected and event.uid in ("", expected[event.key].uid):
            del expected[event.key]
    memory = Memory()
    intake = Intake(memory, None, None)  # type: ignore[arg-type]
    for batch in _batches(list(script)):
        await intake._commit(batch)
    assert memory.have == expected
