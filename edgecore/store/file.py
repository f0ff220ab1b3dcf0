"""Makes the database file fit for use before anybody opens it: modes, damage, schema.

Synchronous on purpose: it runs before the daemon has anything else to do, and needs no thread of its own.
"""

import contextlib
import dataclasses
import logging
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgecore.store import salvage, schema
from edgecore.store.errors import StoreBroken, StoreError, StoreFull

log = logging.getLogger(__name__)

DAMAGED_SUFFIX: Final = ".damaged"
_VACUUM_ABOVE: Final = 256
"""Free pages that are worth giving back to the file system, at start only."""
_RESERVE: Final = 256 * 1024

WITHOUT_SPACE: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
)
DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What is in a file, and how it is cared for."""

    steps: Sequence[schema.Step]
    tables: Sequence[str]
    """Those that can be salvaged from a damaged file."""
    salvaged: tuple[str, ...] = ()
    """SQL to run after a salvage."""
    remedy: str
    """What becomes of records that could not be salvaged, for people."""
    thorough: bool = True
    """Whether every start looks at every page; else only after damage was met (a big file would delay the start)."""
    cache_kib: int = 512
    """Pages kept in memory. What is only appended to needs few."""
    shrinks: bool = True
    """Whether free pages go back to the file system at a start. A file that is refilled for ever keeps them."""


MAIN: Final = Layout(
    steps=schema.STEPS,
    tables=schema.RECORD_TABLES,
    salvaged=("DELETE FROM counters WHERE name = 'whole'",),  # see ObjectStore.wait_whole
    remedy="what is missing comes again from the cloud",
)


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code, 0 if Python raised it by itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def translated(error: sqlite3.Error, doing: str) -> Exception:
    """What *error* means to a caller of the store; *error* itself when it is our own mistake."""
    code = code_of(error)
    if code in WITHOUT_SPACE:
        return StoreFull(f"cannot {doing}: {error}; free disk space or make the file system writable")
    if code in DAMAGE:
        return StoreBroken(f"cannot {doing}: {error}; restart edgecore, it salvages what is readable")
    return error


def prepare(path: Path, layout: Layout = MAIN) -> None:
    """Create, check, salvage and upgrade the file at *path*. Raises StoreError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as cause:
        raise StoreError(f"cannot open the node's store {path}: {cause.strerror}; check the data directory") from cause
    try:
        _check_with_reserve(path, layout)
    except sqlite3.Error as cause:
        raise translated(cause, f"open the node's store {path}") from cause


def _check_with_reserve(path: Path, layout: Layout) -> None:
    try:
        _check(path, layout)
    except sqlite3.Error as error:
        if not (code_of(error) in WITHOUT_SPACE and _release_reserve(path)):
            raise
        _check(path, layout)
    else:
        _keep_reserve(path)


def _check(path: Path, layout: Layout) -> None:
    if complaint := _damage(path, thorough=layout.thorough or _suspicion(path).exists()):
        _start_over(path, layout, complaint)
    with contextlib.suppress(OSError):
        _suspicion(path).unlink()
    with contextlib.closing(_connect(path)) as connection:
        _settle(connection, path, layout)


def _suspicion(path: Path) -> Path:
    return path.with_name(path.name + "-suspect")


def suspect(path: Path) -> None:
    """Damage was met: the next start looks at every page."""
    with contextlib.suppress(OSError):
        _suspicion(path).touch(0o600)


def _reserve(path: Path) -> Path:
    return path.with_name(path.name + "-reserve")


def _keep_reserve(path: Path) -> None:
    """Keep space aside for opening on a full disk: SQLite needs some merely to read."""
    reserve = _reserve(path)
    with contextlib.suppress(OSError):
        if reserve.exists() and reserve.stat().st_size == _RESERVE:
            return
        reserve.write_bytes(bytes(_RESERVE))
        reserve.chmod(0o600)


def _release_reserve(path: Path) -> bool:
    """Give the space to SQLite; False if there was none."""
    with contextlib.suppress(OSError):
        held = _reserve(path).stat().st_size
        _reserve(path).write_bytes(b"")
        return held > 0
    return False


def existing(path: Path) -> str:
    """The URI of the file at *path*. Raises StoreError if there is none."""
    if not path.exists():
        raise StoreError(f"there is no node store at {path}; has this node joined ('edgecore join')?")
    return path.absolute().as_uri()


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=5)


def _settle(connection: sqlite3.Connection, path: Path, layout: Layout) -> None:
    """Settings that live in the file, then the schema."""
    if layout.shrinks:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # takes effect only before the first table
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    schema.upgrade(connection, str(path), layout.steps)
    if layout.shrinks and connection.execute("PRAGMA freelist_count").fetchone()[0] > _VACUUM_ABOVE:
        # A script, because it gives a row without columns per page, and the module stops a statement at the first.
        connection.executescript("PRAGMA incremental_vacuum")


def _damage(path: Path, *, thorough: bool) -> str:
    """What is wrong with the file, empty if nothing."""
    try:
        with contextlib.closing(_connect(path)) as connection:
            if not thorough:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                return ""
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if code_of(error) not in DAMAGE:
            raise
        return str(error)
    return "" if verdict == "ok" else verdict.replace("\n", " ")


def _start_over(path: Path, layout: Layout, complaint: str) -> None:
    """Move the damaged file aside (the newest one is kept for people) and fill a new one with what is readable."""
    aside = path.with_name(path.name + DAMAGED_SUFFIX)
    for ending in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{aside}{ending}").unlink()
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{ending}").replace(f"{aside}{ending}")
    Path(f"{path}-shm").unlink(missing_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with contextlib.closing(_connect(path)) as fresh, contextlib.closing(_connect(aside)) as damaged:
        damaged.execute("PRAGMA writable_schema = ON")  # reads on although the header disagrees with the file's size
        _settle(fresh, path, layout)
        copied = salvage.copy_readable(damaged, fresh, layout.tables)
        for statement in layout.salvaged:
            fresh.execute(statement)
    log.error(
        "the node's store %s was damaged (%s); %d records were salvaged into a new file, the damaged one is %s; %s",
        path.name,
        complaint,
        copied,
        aside,
        layout.remedy,
    )
