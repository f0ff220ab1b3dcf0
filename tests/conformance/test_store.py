"""What every store promises, tried on one that stays open and on one that is closed and opened again at each step."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import EVENT_LIMIT, Outbox
from edgecore.store.pod_records import PodRecords
from edgecore.store.tokens import TokenKey, TokenStore
from edgelink.objects import Action, DesiredObject, Identity, ObjectKey, Report, Uid, Version

T = TypeVar("T")
BOILER = ObjectKey("pods", "plant", "boiler")
RECIPE = ObjectKey("configmaps", "plant", "recipe")


class Stores:
    """Every store over one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.objects, self.outbox = ObjectStore(database), Outbox(database)
        self.records, self.tokens = PodRecords(database), TokenStore(database)


Step = Callable[[Callable[[Stores], Awaitable[T]]], Awaitable[T]]


@pytest.fixture(params=["stays open", "opened again"])
async def step(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Step[object]]:
    path = tmp_path / "store" / "edgecore.db"

    async def again(work: Callable[[Stores], Awaitable[T]]) -> T:
        async with Database.open(path) as database:
            return await work(Stores(database))

    if request.param == "opened again":
        yield again
        return
    async with contextlib.AsyncExitStack() as stack:
        stores = Stores(await stack.enter_async_context(Database.open(path)))

        async def same(work: Callable[[Stores], Awaitable[T]]) -> T:
            return await work(stores)

        yield same


def wanted(key: ObjectKey, version: str = "1", uid: str = "u1", body: bytes = b"{}") -> DesiredObject:
    return DesiredObject(key, Uid(uid), Version(version), body)


async def test_an_object_comes_back_as_it_was_put(step: Step[object]) -> None:
    boiler = wanted(BOILER, body='{"name": "Kessel ß \\u0000"}'.encode() + bytes(range(256)))
    await step(lambda s: s.objects.put_many([boiler, wanted(RECIPE)]))
    assert await step(lambda s: s.objects.get(BOILER)) == boiler
    assert await step(lambda s: s.objects.list("pods")) == [boiler]
    assert await step(lambda s: s.objects.inventory()) == {
        BOILER: Identity(Uid("u1"), Version("1")),
        RECIPE: Identity(Uid("u1"), Version("1")),
    }


async def test_a_newer_version_replaces_the_older(step: Step[object]) -> None:
    await step(lambda s: s.objects.put_many([wanted(BOILER, "1")]))
    await step(lambda s: s.objects.put_many([wanted(BOILER, "2", uid="u2")]))
    assert await step(lambda s: s.objects.list("pods")) == [wanted(BOILER, "2", uid="u2")]


async def test_only_the_named_uid_is_forgotten(step: Step[object]) -> None:
    await step(lambda s: s.objects.put_many([wanted(BOILER, uid="new")]))
    await step(lambda s: s.objects.forget_many([(BOILER, Uid("old"))]))
    assert await step(lambda s: s.objects.get(BOILER)) is not None
    await step(lambda s: s.objects.apply([wanted(RECIPE)], [(BOILER, Uid("new"))]))
    assert await step(lambda s: s.objects.get(BOILER)) is None
    assert set(await step(lambda s: s.objects.inventory())) == {RECIPE}


async def test_applying_nothing_is_allowed(step: Step[object]) -> None:
    await step(lambda s: s.objects.apply([], []))
    assert await step(lambda s: s.objects.inventory()) == {}


async def test_the_newest_report_per_object_and_action_is_pending(step: Step[object]) -> None:
    first = await step(lambda s: s.outbox.put(BOILER, Uid("u1"), Action.STATUS, b"starting"))
    removed = await step(lambda s: s.outbox.put(BOILER, Uid("u1"), Action.REMOVED, b""))
    second = await step(lambda s: s.outbox.put(BOILER, Uid("u1"), Action.STATUS, b"running"))
    assert first < removed < second
    assert await step(lambda s: s.outbox.pending()) == [
        Report(BOILER, Uid("u1"), removed, Action.REMOVED, b""),
        Report(BOILER, Uid("u1"), second, Action.STATUS, b"running"),
    ]
    assert [r.revision for r in await step(lambda s: s.outbox.pending(removed))] == [second]
    assert [r.revision for r in await step(lambda s: s.outbox.pending(limit=1))] == [removed]
    assert await step(lambda s: s.outbox.count()) == 2


async def test_an_acknowledged_revision_is_forgotten_unless_a_newer_one_waits(step: Step[object]) -> None:
    await step(lambda s: s.outbox.put(BOILER, Uid("u1"), Action.STATUS, b"starting"))
    [sent] = await step(lambda s: s.outbox.pending())
    await step(lambda s: s.outbox.put(BOILER, Uid("u1"), Action.STATUS, b"running"))
    await step(lambda s: s.outbox.forget(sent))
    [waiting] = await step(lambda s: s.outbox.pending())
    assert waiting.body == b"running"
    await step(lambda s: s.outbox.forget(waiting))
    await step(lambda s: s.outbox.forget(waiting))
    assert await step(lambda s: s.outbox.pending()) == []
    assert await step(lambda s: s.outbox.count()) == 0


async def test_revisions_never_repeat_although_nothing_is_pending(step: Step[object]) -> None:
    seen = []
    for _ in range(4):
        seen.append(await step(lambda s: s.outbox.put(BOILER, Uid("u1"), Action.STATUS, b"")))
        for report in await step(lambda s: s.outbox.pending()):
            await step(lambda s, r=report: s.outbox.forget(r))
    assert seen == sorted(set(seen))


async def test_pod_records_come_and_go(step: Step[object]) -> None:
    await step(lambda s: s.records.put("u1", b"one"))
    await step(lambda s: s.records.put("u2", b"two"))
    await step(lambda s: s.records.put("u1", b"newer"))
    assert await step(lambda s: s.records.all()) == {"u1": b"newer", "u2": b"two"}
    await step(lambda s: s.records.forget("u1"))
    await step(lambda s: s.records.forget("u1"))
    assert await step(lambda s: s.records.get("u1")) is None
    assert await step(lambda s: s.records.get("u2")) == b"two"


async def test_tokens_are_kept_per_pod_and_audience(step: Step[object]) -> None:
    default = TokenKey("plant", "default", "u1", (), 3600)
    vault = TokenKey("plant", "default", "u1", ("vault",), 3600)
    other = TokenKey("plant", "default", "u2", (), 3600)
    for key, body in ((default, b"a"), (vault, b"b"), (other, b"c"), (default, b"d")):
        await step(lambda s, k=key, b=body: s.tokens.put(k, b))
    assert [await step(lambda s, k=key: s.tokens.get(k)) for key in (default, vault, other)] == [b"d", b"b", b"c"]
    await step(lambda s: s.tokens.forget_pod("u1"))
    assert [await step(lambda s, k=key: s.tokens.get(k)) for key in (default, vault, other)] == [None, None, b"c"]


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[Stores]:
    async with Database.open(tmp_path / "edgecore.db") as database:
        yield Stores(database)


async def test_a_listener_first_hears_of_everything_present_then_of_each_commit(stores: Stores) -> None:
    await stores.objects.put_many([wanted(BOILER), wanted(RECIPE)])
    changed = stores.objects.changed({"pods"})
    assert await anext(changed) == BOILER
    await stores.objects.put_many([wanted(BOILER, "2")])
    await stores.objects.put_many([wanted(BOILER, "3"), wanted(RECIPE, "2")])
    await stores.objects.forget_many([(ObjectKey("pods", "plant", "pump"), Uid("u9"))])
    assert await anext(changed) == BOILER
    assert (await stores.objects.get(BOILER) or wanted(RECIPE)).version == "3"
    assert (await anext(changed)).name == "pump"
    await changed.aclose()  # type: ignore[attr-defined]


async def test_a_commit_is_announced_even_if_the_writer_was_cancelled(stores: Stores) -> None:
    changed = stores.objects.changed()
    async with asyncio.TaskGroup() as group:
        writer = group.create_task(stores.objects.put_many([wanted(BOILER)]))
        await asyncio.sleep(0)
        writer.cancel()
    assert await asyncio.wait_for(anext(changed), 5) == BOILER
    assert await stores.objects.get(BOILER) is not None
    await changed.aclose()  # type: ignore[attr-defined]


async def test_the_outbox_signals_each_put_once_however_many_came(stores: Stores) -> None:
    changes = stores.outbox.changes()
    await anext(changes)
    for _ in range(3):
        await stores.outbox.put(BOILER, Uid("u1"), Action.STATUS, b"")
    await asyncio.wait_for(anext(changes), 5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(changes), 0.01)


async def test_a_report_that_need_not_survive_is_sent_but_never_written(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "edgecore.db") as database:
        outbox = Outbox(database)
        await outbox.put(BOILER, Uid("u1"), Action.STATUS, b"now", durable=False)
        assert [r.body for r in await outbox.pending()] == [b"now"]
        assert await outbox.count() == 1
    async with Database.open(tmp_path / "edgecore.db") as database:
        assert await Outbox(database).pending() == []


async def test_the_oldest_events_make_room_for_the_newest(stores: Stores) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(EVENT_LIMIT + 3):
            key = ObjectKey("events", "plant", f"e{number}")
            group.create_task(stores.outbox.put(key, Uid(""), Action.RECORDED, b"{}"))
    await stores.outbox.put(BOILER, Uid("u1"), Action.STATUS, b"")
    pending = await stores.outbox.pending()
    assert (len(pending), stores.outbox.dropped) == (EVENT_LIMIT + 1, 3)
    assert pending[0].key.name == "e3"
    assert await Outbox(stores.database).pending() == pending


async def test_a_report_is_never_missed_while_it_is_being_written(stores: Stores) -> None:
    keys = [ObjectKey("pods", "plant", f"p{number}") for number in range(20)]
    cursor, seen = 0, set()
    async with asyncio.TaskGroup() as group:
        for key in keys:
            group.create_task(stores.outbox.put(key, Uid("u"), Action.STATUS, b"x"))
        async with asyncio.timeout(5):
            while len(seen) < len(keys):
                for report in await stores.outbox.pending(cursor):
                    cursor = report.revision
                    seen.add(report.key)
                await asyncio.sleep(0)
    assert seen == set(keys)
