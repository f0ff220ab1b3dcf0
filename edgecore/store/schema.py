"""The tables, as numbered steps: each runs once, in its own transaction, and never backwards.

To change the schema, append a step; never edit one that was released. ``PRAGMA user_version`` counts the steps done.
Every table of records carries ``seal``, a checksum over its other columns (`edgecore.store.seal`), so that one
damaged row is recognised and skipped.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from edgecore.store.errors import StoreTooNew

Step = tuple[str, ...]
"""SQL statements of one step."""

_FIRST: Final[Step] = (
    # Updating a row in place rewrites one page: the key is not touched, so neither is its index.
    """CREATE TABLE objects (
        kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
        uid TEXT NOT NULL, version TEXT NOT NULL, body BLOB NOT NULL, seal INTEGER NOT NULL,
        UNIQUE (kind, namespace, name))""",
    # The id is a digest of (kind, namespace, name, action): reports come and go all day, and without a second index
    # each of them costs one page instead of two.
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, action INTEGER NOT NULL,
        uid TEXT NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL, seal INTEGER NOT NULL)""",
    """CREATE TABLE pod_records (
        uid TEXT NOT NULL UNIQUE, body BLOB NOT NULL, seal INTEGER NOT NULL)""",
    """CREATE TABLE tokens (
        pod_uid TEXT NOT NULL, namespace TEXT NOT NULL, account TEXT NOT NULL, audiences TEXT NOT NULL,
        seconds INTEGER NOT NULL, body BLOB NOT NULL, seal INTEGER NOT NULL,
        UNIQUE (pod_uid, namespace, account, audiences, seconds))""",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
)

STEPS: Final[tuple[Step, ...]] = (_FIRST,)

RECORD_TABLES: Final = ("objects", "outbox", "pod_records", "tokens", "counters")
"""What can be salvaged from a damaged file; the outbox keeps its order through ``revision``."""


def version_of(connection: sqlite3.Connection) -> int:
    """How many steps the file has seen."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def require_known(have: int, known: int, path: str) -> None:
    """Raise StoreTooNew if the file has seen more steps than we know."""
    if have > known:
        raise StoreTooNew(
            f"cannot open the node's store {path}: its schema is {have}, this edgecore knows {known};"
            " install the newer edgecore again, or remove this node's state with 'edgecore reset'"
        )


def upgrade(connection: sqlite3.Connection, path: str, steps: Sequence[Step] = STEPS) -> None:
    """Run the steps that are missing. The connection must be in autocommit mode: Python would commit each DDL."""
    have = version_of(connection)
    require_known(have, len(steps), path)
    for number, step in enumerate(steps[have:], start=have + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in step:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
