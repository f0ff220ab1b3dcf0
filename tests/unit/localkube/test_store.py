"""Storage: revisions, durability, history, watches."""

import pathlib
import sqlite3

import pytest

from localkube.storage.journal import Journal, StoreBroken
from localkube.storage.store import Store
from localkube.values import Json


def obj(name: str, value: int = 0) -> Json:
    return {"metadata": {"name": name, "namespace": "n", "uid": f"uid-{name}"}, "value": value}


def opened(path: pathlib.Path, window: int = 100) -> Store:
    store = Store(Journal(path / "state.db"), window)
    store.load()
    store.start()
    return store


async def test_what_was_acknowledged_is_there_again(tmp_path: pathlib.Path) -> None:
    store = opened(tmp_path)
    await store.write("things", obj("a"))
    await store.write("things", obj("b"))
    await store.write("things", obj("a", 1))
    await store.write("things", obj("b"), gone=True)
    store.close()
    again = opened(tmp_path)
    assert [(e.name, e.rev, e.decoded()["value"]) for e in again.entries("things")] == [("a", 3, 1)]
    assert again.revision == 4
    watcher = again.watch("things", 1)
    assert watcher is not None
    assert [(event.rev, event.entry.name, event.gone) for event in watcher.take()] == [
        (2, "b", False),
        (3, "a", False),
        (4, "b", True),
    ]
    again.close()


async def test_nobody_sees_what_is_not_durable_yet(tmp_path: pathlib.Path) -> None:
    store = opened(tmp_path)
    entry, durable = store.submit("things", obj("a"))
    assert store.get("things", "n", "a") is None
    assert store.latest("things", "n", "a") == entry
    await durable
    assert store.get("things", "n", "a") == entry
    store.close()


async def test_the_past_can_be_listed_while_the_window_holds_it(tmp_path: pathlib.Path) -> None:
    store = opened(tmp_path)
    await store.write("things", obj("a"))
    await store.write("things", obj("b"))
    await store.write("things", obj("a"), gone=True)
    past = store.list_at("things", "n", 2)
    assert past is not None
    assert [entry.name for entry in past] == ["a", "b"]
    store.close()


async def test_beyond_the_window_there_is_no_history_and_no_disk_is_used(tmp_path: pathlib.Path) -> None:
    store = opened(tmp_path, window=5)
    for value in range(20):
        await store.write("things", obj("a", value))
    assert store.watch("things", 3) is None
    assert store.list_at("things", None, 3) is None
    store.compact()
    store.close()
    kept = sqlite3.connect(tmp_path / "state.db").execute("SELECT count(*), max(rev) FROM history").fetchone()
    assert kept == (5, 20)
    again = opened(tmp_path, window=5)
    assert again.watch("things", 3) is None
    assert again.watch("things", 16) is not None
    assert again.entries("things")[0].decoded()["value"] == 19
    again.close()


async def test_a_slow_watcher_is_cut_off(tmp_path: pathlib.Path) -> None:
    store = opened(tmp_path)
    watcher = store.watch("things", None, limit=2)
    assert watcher is not None
    for value in range(4):
        await store.write("things", obj("a", value))
    assert watcher.lost
    store.close()


async def test_revisions_are_never_given_twice(tmp_path: pathlib.Path) -> None:
    store = opened(tmp_path, window=2)
    for _ in range(5):
        await store.write("things", obj("a"))
        await store.write("things", obj("a"), gone=True)
    store.compact()
    store.close()
    again = opened(tmp_path)
    assert (await again.write("things", obj("b"))).rev == 11
    again.close()


def test_a_newer_file_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "state.db"
    Journal(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreBroken, match="schema 99"):
        Journal(path)
    assert path.stat().st_mode & 0o777 == 0o600
