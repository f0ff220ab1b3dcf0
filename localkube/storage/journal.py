"""The SQLite file and its one writer thread; only here is SQL spoken.

Layout: ``history`` holds every version by revision until compaction, ``objects`` points at the current one.
Group commit: whatever was appended while a transaction was being synced goes into the next one together.
"""

import os
import pathlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator

import msgspec

_SCHEMA = """
CREATE TABLE IF NOT EXISTS history (
    rev INTEGER PRIMARY KEY, resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    previous INTEGER NOT NULL, gone INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS objects (
    resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, rev INTEGER NOT NULL,
    PRIMARY KEY (resource, namespace, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_VERSION = 1


class StoreBroken(Exception):
    """The database cannot be opened or written; the server must not go on acknowledging."""


class Record(msgspec.Struct, frozen=True):
    """One version of one object, as it lies in the history."""

    rev: int
    resource: str
    namespace: str
    name: str
    previous: int
    """Revision of the version before, 0 for a new object."""
    gone: bool
    body: bytes


class Commit(msgspec.Struct):
    """What the writer thread hands back: these records are on disk, or *error* says why not."""

    records: list[Record]
    error: str | None


class Journal:
    """Appends records durably, many per transaction; reports each batch through *committed*, from its own thread."""

    def __init__(self, path: pathlib.Path) -> None:
        self._queue: queue.SimpleQueue[Record | Callable[[sqlite3.Connection], None] | None] = queue.SimpleQueue()
        self._db = _open(path)
        self._thread: threading.Thread | None = None

    def start(self, committed: Callable[[Commit], None]) -> None:
        self._thread = threading.Thread(target=self._run, args=(committed,), name="localkube journal", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> None:
        self._queue.put(record)

    def forget_before(self, floors: dict[str, int]) -> None:
        """Compact: drop every version up to its resource's floor that is not the current one."""
        self._queue.put(lambda db: _compact(db, floors))

    def close(self) -> None:
        """Finish what was appended, then close the file."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
        self._db.close()

    def current(self) -> Iterator[Record]:
        """Every living object in key order; only before start()."""
        rows = self._db.execute(
            "SELECT h.rev, h.resource, h.namespace, h.name, h.previous, h.gone, h.body FROM objects o "
            "JOIN history h ON h.rev = o.rev ORDER BY o.resource, o.namespace, o.name"
        )
        return (Record(*row) for row in rows)

    def history(self) -> Iterator[Record]:
        """Every kept version in the order of revisions; only before start()."""
        rows = self._db.execute("SELECT rev, resource, namespace, name, previous, gone, body FROM history ORDER BY rev")
        return (Record(*row) for row in rows)

    def revision(self) -> int:
        """The newest revision ever given out."""
        newest = self._db.execute("SELECT max(rev) FROM history").fetchone()[0] or 0
        return max(int(newest), self._fact("revision"))

    def floors(self) -> dict[str, int]:
        """Per resource: history up to this revision is no longer complete."""
        rows = self._db.execute("SELECT name, value FROM facts WHERE name LIKE 'floor:%'")
        return {name.removeprefix("floor:"): value for name, value in rows}

    def _fact(self, name: str) -> int:
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def _run(self, committed: Callable[[Commit], None]) -> None:
        while True:
            item = self._queue.get()
            batch: list[Record] = []
            chores: list[Callable[[sqlite3.Connection], None]] = []
            stop = False
            while True:
                if item is None:
                    stop = True
                elif isinstance(item, Record):
                    batch.append(item)
                else:
                    chores.append(item)
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            error = _write(self._db, batch, chores)
            if batch:
                committed(Commit(batch, error))
            if stop:
                return


def _open(path: pathlib.Path) -> sqlite3.Connection:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA busy_timeout = 5000")
        db.execute("PRAGMA journal_size_limit = 8388608")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise StoreBroken(f"cannot open {path}: schema {version}, this localkube knows {_VERSION}; use a newer one")
        db.executescript(_SCHEMA)
        db.execute(f"PRAGMA user_version = {_VERSION}")
    except (sqlite3.Error, OSError) as cause:
        raise StoreBroken(f"cannot open {path}: {cause}; free the disk or restore a backup") from cause
    return db


def _write(
    db: sqlite3.Connection, batch: list[Record], chores: list[Callable[[sqlite3.Connection], None]]
) -> str | None:
    """One transaction; returns what went wrong, if anything."""
    try:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(r.rev, r.resource, r.namespace, r.name, r.previous, r.gone, r.body) for r in batch],
        )
        for record in batch:
            key = (record.resource, record.namespace, record.name)
            if record.gone:
                db.execute("DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?", key)
            else:
                db.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (*key, record.rev))
        for chore in chores:
            chore(db)
        db.execute("COMMIT")
    except sqlite3.Error as cause:
        if db.in_transaction:
            db.execute("ROLLBACK")
        return str(cause)
    return None


def _compact(db: sqlite3.Connection, floors: dict[str, int]) -> None:
    newest = db.execute("SELECT max(rev) FROM history").fetchone()[0] or 0
    facts = [("revision", newest)] + [(f"floor:{resource}", floor) for resource, floor in floors.items()]
    db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts)
    for resource, floor in floors.items():
        db.execute(
            "DELETE FROM history WHERE resource = ? AND rev <= ? AND NOT EXISTS (SELECT 1 FROM objects o "
            "WHERE o.resource = history.resource AND o.namespace = history.namespace AND o.name = history.name "
            "AND o.rev = history.rev)",
            (resource, floor),
        )
