"""One SQLite file, one connection, one writer that groups commits. Only here (and in `file`) is SQLite spoken.

Owns: durability (a write that returned survives a power cut), the translation of SQLite's failures, and the knowledge
whether the disk takes writes. Knows no table. Read next: `objects`, `outbox`, `pod_records`, `tokens`.
"""

import asyncio
import contextlib
import dataclasses
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import aiosqlite

from edgecore.store import schema, seal
from edgecore.store.changes import Changes
from edgecore.store.errors import StoreBroken, StoreError, StoreFull
from edgecore.store.file import MAIN, Layout, existing, prepare, suspect, translated

log = logging.getLogger(__name__)

Row = tuple[Any, ...]
Statement = tuple[str, Sequence[Sequence[Any]]]
"""SQL and the parameter rows to run it with."""

_PRAGMAS: Final = (
    "synchronous = FULL",
    "wal_autocheckpoint = 1000",
    "journal_size_limit = 4194304",
    "mmap_size = 0",
    "temp_store = MEMORY",
    "busy_timeout = 5000",
    "cell_size_check = ON",
    "trusted_schema = OFF",
)


def _nothing() -> None:
    return None


@dataclasses.dataclass(frozen=True, slots=True)
class _Write:
    statements: tuple[Statement, ...]
    committed: Callable[[], None]
    done: asyncio.Future[None]


def _merged(writes: Iterable[_Write]) -> list[Statement]:
    """All statements in order, neighbours with the same SQL as one."""
    merged: list[tuple[str, list[Sequence[Any]]]] = []
    for write in writes:
        for sql, rows in write.statements:
            if not merged or merged[-1][0] != sql:
                merged.append((sql, []))
            merged[-1][1].extend(rows)
    return list(merged)


def _lenient(raw: bytes) -> str:
    """Damaged text must not fail the query that also returns sound rows; the seal tells them apart."""
    return raw.decode("utf-8", "replace")


class Database:
    """The node's store. Open it with ``async with Database.open(path)``, or ``read_only`` beside a running daemon."""

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection, self._path = connection, path
        self._turn = asyncio.Lock()
        self._writes: list[_Write] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._trouble = ""
        self._troubles: Changes[None] = Changes()
        self._unreadable: dict[str, None] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, path: Path, layout: Layout = MAIN) -> AsyncIterator["Database"]:
        """Check, salvage if need be, upgrade and open. Raises StoreError; after that a body's exception is grouped."""
        prepare(path, layout)
        async with aiosqlite.connect(path, isolation_level="IMMEDIATE") as connection:
            database = cls(connection, path)
            await database._set_up((*_PRAGMAS, f"cache_size = -{layout.cache_kib}"))
            async with asyncio.TaskGroup() as group:
                group.create_task(database._commit_groups(), name="store writer")
                yield database
                database._closing = True
                database._wake.set()

    @classmethod
    @contextlib.asynccontextmanager
    async def read_only(cls, path: Path, layout: Layout = MAIN) -> AsyncIterator["Database"]:
        """Open for reading, whether or not a daemon has the file open. Raises StoreError."""
        uri = existing(path)
        doing = f"read the node's store {path}"
        try:
            async with aiosqlite.connect(f"{uri}?mode=ro", uri=True) as connection:
                database = cls(connection, path)
                await database._set_up(("query_only = ON", "busy_timeout = 5000"))
                [(have,)] = await database.fetch("PRAGMA user_version")
                schema.require_known(have, len(layout.steps), str(path))
                if have < len(layout.steps):
                    raise StoreError(f"cannot {doing}: an older edgecore wrote it; start edgecore once to upgrade it")
                yield database
        except sqlite3.Error as cause:
            raise translated(cause, doing) from cause

    async def _set_up(self, pragmas: Iterable[str]) -> None:
        self._connection.text_factory = _lenient
        await self._connection.create_function(seal.FUNCTION, 2, seal.seal, deterministic=True)
        for pragma in pragmas:
            await self.fetch(f"PRAGMA {pragma}")

    @property
    def trouble(self) -> str:
        """Why the last write failed; empty while the disk takes writes."""
        return self._trouble

    async def troubles(self) -> AsyncIterator[str]:
        """`trouble` now, and again whenever it comes or goes."""
        with self._troubles.listen() as listener:
            yield self._trouble
            while True:
                await listener.next()
                yield self._trouble

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Records that were found damaged and skipped, for people."""
        return tuple(self._unreadable)

    def skip(self, record: str) -> None:
        """Remember that *record* cannot be read; says so in the log once."""
        if record not in self._unreadable:
            self._unreadable[record] = None
            log.error("stored record %r is damaged and skipped; it comes again from its source", record)

    def readable_again(self, record: str) -> None:
        """*record* was replaced or removed."""
        self._unreadable.pop(record, None)

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of one query, never those of a transaction that may still fail. Raises StoreError."""
        async with self._turn:
            try:
                return [tuple(row) for row in await self._connection.execute_fetchall(sql, parameters)]
            except sqlite3.Error as cause:
                raise self._failure(cause, "read") from cause

    async def write(self, *statements: Statement, committed: Callable[[], None] = _nothing) -> None:
        """Run *statements* in one transaction, shared with whoever else writes now; returns when it is on the disk.

        *committed* is called right after the commit, even if the caller has gone meanwhile. Raises StoreFull, then
        nothing of it was written.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writes.append(_Write(statements, committed, done))
        self._wake.set()
        await done

    async def _commit_groups(self) -> None:
        while not (self._closing and not self._writes):
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(0)  # writers of this turn of the loop come along
            group, self._writes = self._writes, []
            if group:
                await self._commit(group)

    async def _commit(self, group: list[_Write]) -> None:
        try:
            async with self._turn:
                await self._transact_or_shrink(_merged(group))
        except sqlite3.Error as error:
            failure = self._failure(error, "write")
            self._note(str(failure) if isinstance(failure, StoreFull) else self._trouble)
            for write in group:
                if not write.done.done():
                    write.done.set_exception(failure)
            return
        self._note("")
        for write in group:
            write.committed()
            if not write.done.done():
                write.done.set_result(None)

    def _failure(self, error: sqlite3.Error, doing: str) -> Exception:
        failure = translated(error, f"{doing} the node's store {self._path}")
        if isinstance(failure, StoreBroken):
            suspect(self._path)
        return failure

    async def _transact_or_shrink(self, statements: Sequence[Statement]) -> None:
        try:
            await self._transact(statements)
        except sqlite3.Error as error:
            if not isinstance(translated(error, "write"), StoreFull):
                raise
            # The log may hold pages that have their place in the main file already: once they are copied there, the log
            # starts over in the space it has.
            await self._connection.execute_fetchall("PRAGMA wal_checkpoint(RESTART)")
            await self._transact(statements)

    async def _transact(self, statements: Sequence[Statement]) -> None:
        try:
            for sql, rows in statements:
                await self._connection.executemany(sql, rows)
            await self._connection.commit()
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                await self._connection.rollback()
            raise

    def _note(self, trouble: str) -> None:
        if bool(trouble) != bool(self._trouble):
            if trouble:
                log.error("%s", trouble)
            else:
                log.info("the node's store takes writes again")
        changed, self._trouble = trouble != self._trouble, trouble
        if changed:
            self._troubles.send([None])
