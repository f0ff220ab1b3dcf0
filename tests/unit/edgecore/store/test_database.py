"""Covers edgecore.store.database: grouped commits, failures of the disk, reading beside a daemon, sudden death."""

# ruff: noqa: ASYNC220, ASYNC240 - small local files, and nothing else runs in these loops

import asyncio
import contextlib
import logging
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from edgecore.store.database import Database
from edgecore.store.errors import StoreBroken, StoreError, StoreFull, StoreTooNew
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgecore.store.pod_records import PodRecords
from edgecore.store.tokens import TokenKey, TokenStore
from edgelink.objects import Action, DesiredObject, ObjectKey, Uid, Version

BOILER = ObjectKey("pods", "plant", "boiler")


def wanted(name: str, version: str = "1", body: bytes = b"{}") -> DesiredObject:
    return DesiredObject(ObjectKey("pods", "plant", name), Uid("u1"), Version(version), body)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "edgecore.db"


async def test_writers_of_one_turn_share_a_commit(path: Path) -> None:
    async with Database.open(path) as database:
        commits = 0

        def count(statement: str) -> None:
            nonlocal commits
            commits += statement == "COMMIT"

        await database._connection.set_trace_callback(count)
        records = PodRecords(database)
        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(records.put(f"u{number}", b"x"))
        assert len(await records.all()) == 50
        assert commits == 1


async def test_the_file_is_for_its_owner_only(path: Path) -> None:
    previous = os.umask(0)
    try:
        async with Database.open(path) as database:
            await PodRecords(database).put("u1", b"x")
            modes = {entry.name: entry.stat().st_mode & 0o777 for entry in path.parent.iterdir()}
    finally:
        os.umask(previous)
    assert modes == {f"edgecore.db{ending}": 0o600 for ending in ("", "-wal", "-shm", "-reserve")}
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_file_that_was_open_to_others_is_closed_to_them(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o644)
    async with Database.open(path):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_the_cli_reads_while_the_daemon_writes_and_after_it_ended(path: Path) -> None:
    async with Database.open(path) as database:
        await ObjectStore(database).put_many([wanted("boiler")])
        async with Database.read_only(path) as reader:
            assert await ObjectStore(reader).get(BOILER) == wanted("boiler")
            await ObjectStore(database).put_many([wanted("boiler", "2")])
            assert await ObjectStore(reader).get(BOILER) == wanted("boiler", "2")
    async with Database.read_only(path) as reader:
        assert await ObjectStore(reader).get(BOILER) == wanted("boiler", "2")


async def test_reading_a_store_that_does_not_exist_says_what_to_do(path: Path) -> None:
    with pytest.raises(StoreError, match="edgecore join"):
        async with Database.read_only(path):
            pass
    assert not path.parent.exists()


@pytest.mark.parametrize("way", [Database.open, Database.read_only])
async def test_a_store_of_a_newer_edgecore_is_refused(path: Path, way: object) -> None:
    async with Database.open(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTooNew, match="schema is 99"):
        async with way(path):  # type: ignore[operator]
            pass


async def test_one_damaged_record_never_hides_the_others(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Database.open(path) as database:
        await ObjectStore(database).put_many([wanted("boiler"), wanted("pump"), wanted("valve")])
        await PodRecords(database).put("u1", b"one")
        await PodRecords(database).put("u2", b"two")
        await Outbox(database).put(BOILER, Uid("u1"), Action.STATUS, b"s")
        await TokenStore(database).put(TokenKey("plant", "a", "u1", (), 60), b"t")
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE objects SET body = X'7b7c' WHERE name = 'pump'")
        raw.execute("UPDATE objects SET version = CAST(X'ff80' AS TEXT) WHERE name = 'valve'")
        raw.execute("UPDATE pod_records SET body = 'text' WHERE uid = 'u1'")
        raw.execute("UPDATE outbox SET revision = revision + 1")
        raw.execute("UPDATE tokens SET body = X''")
        raw.commit()
    async with Database.open(path) as database:
        objects = ObjectStore(database)
        for _ in range(2):
            assert await objects.list("pods") == [wanted("boiler")]
            assert set(await objects.inventory()) == {BOILER}
        assert await objects.get(wanted("pump").key) is None
        assert {key.name for key in objects.unreadable} == {"pump", "valve"}
        assert await PodRecords(database).all() == {"u2": b"two"}
        assert await Outbox(database).pending() == []
        assert await TokenStore(database).get(TokenKey("plant", "a", "u1", (), 60)) is None
        assert sum("'pods/plant/pump'" in record.getMessage() for record in caplog.records) == 1
        await objects.put_many([wanted("pump", "2")])
        assert (await objects.get(wanted("pump").key), {key.name for key in objects.unreadable}) == (
            wanted("pump", "2"),
            {"valve"},
        )
        assert not any("pump" in record for record in database.unreadable)


async def test_a_full_disk_is_survived(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with Database.open(path) as database:
        objects, outbox = ObjectStore(database), Outbox(database)
        await objects.put_many([wanted("boiler")])
        troubles = database.troubles()
        assert await anext(troubles) == ""
        [(pages,)] = await database.fetch("PRAGMA page_count")
        await database.fetch(f"PRAGMA max_page_count = {pages}")
        for _ in range(2):
            with pytest.raises(StoreFull, match="free disk space"):
                await objects.put_many([wanted("pump", body=bytes(100_000))])
        assert "full" in await anext(troubles)
        assert await objects.list("pods") == [wanted("boiler")]
        await outbox.put(BOILER, Uid("u1"), Action.STATUS, bytes(100_000))
        assert [len(r.body) for r in await outbox.pending()] == [100_000]
        await database.fetch("PRAGMA max_page_count = 100000")
        await outbox.put(BOILER, Uid("u1"), Action.REMOVED, b"")
        assert await anext(troubles) == database.trouble == ""
        await objects.put_many([wanted("pump")])
    said = [r.levelname for r in caplog.records if r.name == "edgecore.store.database"]
    assert said == ["ERROR", "INFO"]
    async with Database.open(path) as database:
        assert await ObjectStore(database).list("pods") == [wanted("boiler"), wanted("pump")]
        assert [r.action for r in await Outbox(database).pending()] == [Action.STATUS, Action.REMOVED]


async def test_a_report_forgotten_on_a_full_disk_is_not_sent_again(path: Path) -> None:
    async with Database.open(path) as database:
        outbox = Outbox(database)
        await outbox.put(BOILER, Uid("u1"), Action.STATUS, b"x")
        [report] = await outbox.pending()
        await database.fetch("PRAGMA query_only = ON")
        await outbox.forget(report)
        assert (await outbox.pending(), await outbox.count()) == ([], 0)
        assert "readonly" in database.trouble


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid():
        pytest.skip("needs root to mount a small file system")
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", mount], check=True)


async def fill(objects: ObjectStore) -> AsyncIterator[str]:
    """Put objects until the disk is full."""
    for number in range(5000):
        try:
            await objects.put_many([wanted(f"p{number:04}", body=bytes(5000))])
        except StoreFull:
            return
        yield f"p{number:04}"
    raise AssertionError("the disk does not fill up")


def fill_up(disk: Path) -> Path:
    """Take every byte that is left; remove the file to free them."""
    ballast = disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return ballast


async def test_a_log_that_cannot_grow_is_folded_into_the_file(small_disk: Path) -> None:
    path = small_disk / "store" / "edgecore.db"
    async with Database.open(path) as database:
        await ObjectStore(database).put_many([wanted("boiler", body=bytes(2000))])
    async with Database.open(path) as database:
        objects = ObjectStore(database)
        await objects.put_many([wanted("boiler", "0", body=bytes(2000))])
        fill_up(small_disk)
        for version in range(1, 30):
            await objects.put_many([wanted("boiler", str(version), body=bytes(2000))])
        assert (await objects.list("pods"))[0].version == "29"
        assert database.trouble == ""


async def test_a_real_disk_that_fills_up_and_empties_again(small_disk: Path) -> None:
    path = small_disk / "store" / "edgecore.db"
    async with Database.open(path) as database:
        objects, outbox = ObjectStore(database), Outbox(database)
        await objects.put_many([wanted("boiler")])
        ballast = fill_up(small_disk)
        stored = [name async for name in fill(objects)]
        assert [obj.key.name for obj in await objects.list("pods")] == ["boiler", *stored]
        await outbox.put(BOILER, Uid("u1"), Action.STATUS, bytes(100_000))
        assert len(await outbox.pending()) == 1
        assert "disk is full" in database.trouble
        ballast.unlink()
        await outbox.put(BOILER, Uid("u1"), Action.STATUS, b"better")
        await objects.forget_many([(wanted(name).key, Uid("u1")) for name in stored])
        await objects.put_many([wanted("pump", body=bytes(100_000))])
        assert database.trouble == ""
    async with Database.open(path) as database:
        assert [obj.key.name for obj in await ObjectStore(database).list("pods")] == ["boiler", "pump"]
        assert [r.body for r in await Outbox(database).pending()] == [b"better"]


async def test_a_node_boots_with_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "store" / "edgecore.db"
    async with Database.open(path) as database:
        await ObjectStore(database).put_many([wanted("boiler")])
    fill_up(small_disk)
    async with Database.open(path) as database:
        assert await ObjectStore(database).list("pods") == [wanted("boiler")]
        await Outbox(database).put(BOILER, Uid("u1"), Action.STATUS, b"the disk is full")


async def test_a_page_that_goes_bad_while_running_is_told_apart_from_a_full_disk(path: Path) -> None:
    async with Database.open(path) as database:
        await ObjectStore(database).put_many([wanted(f"p{n}", body=bytes(3000)) for n in range(50)])
    async with Database.open(path) as database:
        raw = bytearray(path.read_bytes())
        raw[4096 * 2 :] = b"\xa5" * (len(raw) - 4096 * 2)
        path.write_bytes(raw)
        with pytest.raises(StoreBroken, match="salvages"):
            await ObjectStore(database).list("pods")


_WRITER = """
import asyncio, sys
from pathlib import Path
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgelink.objects import Action, DesiredObject, ObjectKey, Uid, Version

async def write(objects, outbox, lane, start):
    for number in range(start, start + 100000):
        key = ObjectKey("pods", lane, str(number % 7))
        await objects.put_many([DesiredObject(key, Uid("u"), Version(str(number)), bytes(number % 9000))])
        revision = await outbox.put(key, Uid("u"), Action.STATUS, str(number).encode())
        print(lane, number, revision, flush=True)

async def main():
    async with Database.open(Path(sys.argv[1])) as database:
        objects, outbox = ObjectStore(database), Outbox(database)
        await asyncio.gather(*(write(objects, outbox, lane, int(sys.argv[2])) for lane in "abc"))

asyncio.run(main())
"""


@pytest.mark.slow
async def test_kill_at_random_moments_loses_nothing_acknowledged(path: Path) -> None:
    dice = random.Random(4)
    acknowledged: dict[str, int] = {}
    revisions = 0
    for attempt in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path), str(attempt * 100_000)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(dice.randrange(1, 200)):
            line = writer.stdout.readline()
            _note_acknowledged(line, acknowledged)
        writer.kill()
        for line in writer.communicate()[0].splitlines(keepends=True):
            _note_acknowledged(line, acknowledged)
        async with Database.open(path) as database:
            have = await ObjectStore(database).inventory()
            pending = await Outbox(database).pending()
            assert not database.unreadable
        assert not path.with_name("edgecore.db.damaged").exists()
        for lane in "abc":
            newest = max(int(found.version) for key, found in have.items() if key.namespace == lane)
            assert newest >= acknowledged[lane]
            assert max(int(r.body) for r in pending if r.key.namespace == lane) >= acknowledged[lane]
        assert max(r.revision for r in pending) > revisions
        revisions = max(r.revision for r in pending)


def _note_acknowledged(line: str, acknowledged: dict[str, int]) -> None:
    if line.endswith("\n"):
        lane, number, _revision = line.split()
        acknowledged[lane] = max(int(number), acknowledged.get(lane, 0))
