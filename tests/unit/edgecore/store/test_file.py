"""Covers edgecore.store.file and salvage: damaged files are moved aside and what is readable is kept."""

# ruff: noqa: ASYNC240 - small local files, and nothing else runs in these loops

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from edgecore.store.database import Database
from edgecore.store.errors import StoreBroken, StoreError, StoreFull
from edgecore.store.file import prepare, translated
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgelink.objects import Action, DesiredObject, ObjectKey, Uid, Version

PAGE = 4096


def pod(number: int) -> DesiredObject:
    return DesiredObject(ObjectKey("pods", "plant", f"p{number:03}"), Uid("u"), Version("1"), bytes([number]) * 1500)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store with 200 objects and two reports."""
    path = tmp_path / "edgecore.db"
    async with Database.open(path) as database:
        await ObjectStore(database).put_many([pod(number) for number in range(200)])
        await Outbox(database).put(pod(1).key, Uid("u"), Action.STATUS, b"one")
        await Outbox(database).put(pod(2).key, Uid("u"), Action.STATUS, b"two")
    return path


def page_of(path: Path, needle: bytes) -> int:
    """Which page holds *needle*."""
    return path.read_bytes().index(needle) // PAGE


def spoil(path: Path, page: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[page * PAGE : (page + 1) * PAGE] = b"\xa5" * PAGE
    path.write_bytes(raw)


async def test_a_damaged_page_costs_only_what_lay_on_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoil(path, page_of(path, b"\x64" * 1500))
    async with Database.open(path) as database:
        saved = await ObjectStore(database).list("pods")
        assert 190 <= len(saved) < 200
        assert all(obj == pod(obj.body[0]) for obj in saved)
        assert [r.body for r in await Outbox(database).pending()] == [b"one", b"two"]
        await ObjectStore(database).put_many([pod(100)])
    assert path.with_name("edgecore.db.damaged").exists()
    assert path.stat().st_mode & 0o777 == 0o600
    [line] = [r.getMessage() for r in caplog.records if "damaged" in r.getMessage()]
    assert "records were salvaged" in line
    async with Database.open(path) as database:
        assert len(await ObjectStore(database).list("pods")) == len(saved) + 1


@pytest.mark.parametrize("content", [b"not a database " * 1000, b"SQLite format 3\x00" + bytes(9000)])
async def test_a_file_beyond_salvage_is_replaced_by_an_empty_one(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    async with Database.open(path) as database:
        assert await ObjectStore(database).list("pods") == []
        await ObjectStore(database).put_many([pod(1)])
    assert path.with_name("edgecore.db.damaged").read_bytes() == content


async def test_a_truncated_file_gives_what_is_left(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2 // PAGE * PAGE])
    async with Database.open(path) as database:
        assert 50 < len(await ObjectStore(database).list("pods")) < 200


async def test_damage_is_salvaged_together_with_what_only_the_log_holds(path: Path, tmp_path: Path) -> None:
    async with Database.open(path) as database:
        await ObjectStore(database).put_many([pod(201)])
        copy = tmp_path / "copy.db"
        copy.write_bytes(path.read_bytes())
        copy.with_name("copy.db-wal").write_bytes(path.with_name("edgecore.db-wal").read_bytes())
    spoil(copy, page_of(copy, b"\x10" * 1500))
    async with Database.open(copy) as database:
        assert await ObjectStore(database).get(pod(201).key) == pod(201)


async def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "edgecore.db").touch()
    async with Database.open(tmp_path / "edgecore.db") as database:
        assert await ObjectStore(database).inventory() == {}


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="check the data directory"):
        prepare(tmp_path / "file" / "store" / "edgecore.db")


def test_space_of_many_deleted_records_is_given_back_at_start(tmp_path: Path) -> None:
    path = tmp_path / "edgecore.db"
    prepare(path)
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("INSERT INTO counters VALUES ('x', zeroblob(4000000))")
        raw.commit()
        raw.execute("DELETE FROM counters")
        raw.commit()
    before = path.stat().st_size
    prepare(path)
    assert path.stat().st_size < before / 10


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreFull),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StoreFull),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreBroken),
        (sqlite3.SQLITE_NOTADB, StoreBroken),
        (sqlite3.SQLITE_CONSTRAINT, sqlite3.OperationalError),
    ],
)
def test_each_failure_means_what_the_caller_can_do(code: int, meaning: type[Exception]) -> None:
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = code
    assert type(translated(error, "write")) is meaning


async def whole(path: Path) -> bool:
    """Whether a store opened now says that it has everything."""
    async with Database.open(path) as database:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await ObjectStore(database).wait_whole()
                return True
    return False


async def test_only_the_cloud_makes_a_new_or_salvaged_store_whole(path: Path) -> None:
    assert not await whole(path)
    async with Database.open(path) as database:
        await ObjectStore(database).mark_whole()
    assert await whole(path)
    spoil(path, page_of(path, b"\x64" * 1500))
    assert not await whole(path)
    assert not await whole(path)
