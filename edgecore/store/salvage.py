"""Copies every readable row out of a damaged file: whatever SQLite can still reach."""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence


def _tolerant(connection: sqlite3.Connection, query: str, *parameters: object) -> Iterator[tuple[object, ...]]:
    """Rows of *query* up to the first one that cannot be read."""
    with contextlib.suppress(sqlite3.DatabaseError):
        yield from connection.execute(query, parameters)


def _rowids(connection: sqlite3.Connection, table: str) -> list[int]:
    """Row numbers found from both ends and through the key's index: a bad page hides only what lies on it."""
    found: set[int] = set()
    queries = [
        f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid",
        f"SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid DESC",
    ]
    for _, index, *_rest in _tolerant(connection, f"PRAGMA index_list({table})"):
        queries.append(f'SELECT rowid FROM {table} INDEXED BY "{index}"')
    for query in queries:
        found.update(row[0] for row in _tolerant(connection, query) if isinstance(row[0], int))
    return sorted(found)


def copy_readable(damaged: sqlite3.Connection, fresh: sqlite3.Connection, tables: Sequence[str]) -> int:
    """Copy what can be read of *tables* into *fresh*, whose tables exist and are empty; how many rows came over."""
    copied = 0
    fresh.execute("BEGIN IMMEDIATE")
    for table in tables:
        columns = [str(row[1]) for row in fresh.execute(f"PRAGMA table_info({table})")]
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        for rowid in _rowids(damaged, table):
            for row in _tolerant(damaged, f"SELECT {names} FROM {table} NOT INDEXED WHERE rowid = ?", rowid):
                copied += fresh.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", row).rowcount
    fresh.execute("COMMIT")
    return copied
