"""Covers edgecore.store.schema."""

import sqlite3

import pytest

from edgecore.store.errors import StoreTooNew
from edgecore.store.schema import RECORD_TABLES, STEPS, upgrade, version_of

FIRST = ("CREATE TABLE a (x)",)
SECOND = ("ALTER TABLE a ADD COLUMN y", "UPDATE a SET y = x + 1")
BROKEN = ("CREATE TABLE b (x)", "INSERT INTO nowhere VALUES (1)")


@pytest.fixture
def raw() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def test_each_step_runs_once_and_keeps_what_is_there(raw: sqlite3.Connection) -> None:
    upgrade(raw, "f", [FIRST])
    raw.execute("INSERT INTO a VALUES (1)")
    upgrade(raw, "f", [FIRST, SECOND])
    upgrade(raw, "f", [FIRST, SECOND])
    assert raw.execute("SELECT * FROM a").fetchall() == [(1, 2)]
    assert version_of(raw) == 2


def test_a_failing_step_leaves_nothing_half_done(raw: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError):
        upgrade(raw, "f", [FIRST, BROKEN])
    assert version_of(raw) == 1
    assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]


def test_a_newer_file_is_left_alone(raw: sqlite3.Connection) -> None:
    upgrade(raw, "f", [FIRST, SECOND])
    with pytest.raises(StoreTooNew, match=r"schema is 2, this edgecore knows 1.*edgecore reset"):
        upgrade(raw, "f", [FIRST])


def test_every_table_is_known_to_the_salvage(raw: sqlite3.Connection) -> None:
    upgrade(raw, "f", STEPS)
    names = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert names == set(RECORD_TABLES)
