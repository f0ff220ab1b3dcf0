"""Reports that the cloud has not taken yet: the newest per object and action, kept across restarts.

Owns: revisions, which never repeat; the bound on events; and that reports still go up while the disk is full, for
that is when the node's status matters most. Before it: the features put. After it: `edgecore.link.drain` sends.
"""

import asyncio
import contextlib
import hashlib
import itertools
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from edgecore.store import seal
from edgecore.store.changes import Changes
from edgecore.store.database import Database, Statement
from edgecore.store.errors import StoreFull
from edgelink.objects import Action, ObjectKey, Report, Uid

log = logging.getLogger(__name__)

EVENT_LIMIT: Final = 1000
_BLOCK: Final = 100_000
"""Revisions reserved on disk at a time, so that a put does not have to write a counter."""

_CHUNK: Final = 500

_Slot = tuple[ObjectKey, Action]

_HEAD: Final = ("id", "kind", "namespace", "name", "action", "uid", "revision")
_MARKS: Final = ("?1", "?2", "?3", "?4", "?5", "?6", "?7")
_PUT: Final = (
    f"INSERT OR REPLACE INTO outbox ({', '.join(_HEAD)}, body, seal)"
    f" VALUES ({', '.join(_MARKS)}, ?8, {seal.expression(*_MARKS, body='?8')})"
)
_FORGET: Final = "DELETE FROM outbox WHERE id = ? AND revision = ?"
_DROP: Final = "DELETE FROM outbox WHERE id = ?"
_INDEX: Final = (
    f"SELECT id, kind, namespace, name, action, revision, seal IS {seal.expression(*_HEAD)}"
    " FROM outbox ORDER BY revision"
)
_READ: Final = (
    f"SELECT kind, namespace, name, action, uid, revision, body, seal IS {seal.expression(*_HEAD)} FROM outbox"
)
_RESERVED: Final = "SELECT value FROM counters WHERE name = 'revision'"
_RESERVE: Final = "INSERT OR REPLACE INTO counters (name, value) VALUES ('revision', ?)"


def _id(slot: _Slot) -> int:
    """63 bits that stand for *slot*."""
    key, action = slot
    raw = hashlib.blake2b(f"{key} {action.value}".encode(), digest_size=8).digest()
    return int.from_bytes(raw, "big") >> 1


def _chunks(slots: Iterator[_Slot]) -> Iterator[list[_Slot]]:
    """As many as one query may name."""
    while chunk := list(itertools.islice(slots, _CHUNK)):
        yield chunk


def _slot(report: Report) -> _Slot:
    return report.key, report.action


def _row(report: Report) -> tuple[object, ...]:
    key = report.key
    identity = _id(_slot(report))
    return (
        identity,
        key.kind,
        key.namespace,
        key.name,
        report.action.value,
        report.uid,
        report.revision,
        report.body,
    )


class Outbox:
    """Pending reports. Loads its index from the database when first used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._loading = asyncio.Lock()
        self._loaded = False
        self._newest: dict[_Slot, int] = {}
        self._held: dict[_Slot, tuple[Report, bool]] = {}
        """Reports that are not on disk yet, and whether they should be."""
        self._failed: set[_Slot] = set()
        """Those of them whose write failed."""
        self._last = self._reserved = 0
        self._dropped = 0
        self._changes: Changes[None] = Changes()
        self._taken: Changes[Report] = Changes()

    async def put(self, key: ObjectKey, uid: Uid, action: Action, body: bytes, *, durable: bool = True) -> int:
        """Report *body* on *key*; replaces a pending one of the same action. Returns its revision when it is kept.

        Not *durable* is for what a restart reports anew anyway: it costs no write. With the disk full a durable report
        is kept in memory, goes up all the same, and is written with the next one that can be.
        """
        await self._load()
        self._last += 1
        slot, report = (key, action), Report(key, uid, self._last, action, body)
        surplus = self._make_room(slot)
        self._newest.pop(slot, None)
        self._newest[slot] = report.revision
        self._held[slot] = (report, durable)
        if durable:
            await self._save(report, surplus)
        else:
            self._changes.send([None])
        return report.revision

    async def _save(self, report: Report, surplus: list[_Slot]) -> None:
        """Write *report* and those that could not be written earlier; with the disk full they stay in memory."""
        earlier = [held for slot in self._failed if (held := self._held[slot][0]) is not report]
        saving, self._failed = [report, *earlier], set()
        statements: list[Statement] = [(_PUT, [_row(each) for each in saving])]
        if surplus:
            statements.append((_DROP, [(_id(slot),) for slot in surplus]))
        if reserving := self._last > self._reserved:
            self._reserved = self._last + _BLOCK
            statements.append((_RESERVE, [(self._reserved,)]))
        try:
            await self._database.write(*statements, committed=lambda: self._saved(saving))
        except StoreFull:
            self._failed.update(slot for each in saving if self._newest.get(slot := _slot(each)) == each.revision)
            self._reserved = 0 if reserving else self._reserved
            self._changes.send([None])

    def _saved(self, reports: list[Report]) -> None:
        for report in reports:
            if self._held.get(_slot(report)) == (report, True):
                del self._held[_slot(report)]
        self._changes.send([None])

    def _make_room(self, slot: _Slot) -> list[_Slot]:
        """Events to drop so that one more fits."""
        if slot[1] is not Action.RECORDED or slot in self._newest:
            return []
        events = [known for known in self._newest if known[1] is Action.RECORDED]
        surplus = events[: max(0, len(events) + 1 - EVENT_LIMIT)]
        for old in surplus:
            self._withdraw(old)
        if surplus and not self._dropped:
            log.warning("more than %d events wait for the cloud; the oldest are dropped", EVENT_LIMIT)
        self._dropped += len(surplus)
        return surplus

    def _withdraw(self, slot: _Slot) -> None:
        del self._newest[slot]
        self._held.pop(slot, None)
        self._failed.discard(slot)

    async def pending(self, after: int = 0, limit: int | None = None) -> list[Report]:
        """Reports with a revision above *after*, oldest first, at most *limit*."""
        await self._load()
        # `_newest` is in order of revision: a put moves its slot to the end.
        due = itertools.islice((slot for slot, revision in self._newest.items() if revision > after), limit)
        found: list[Report] = []
        for slots in _chunks(due):
            # Looked at before the query: what is being written meanwhile must be in one of the two.
            held = {slot: self._held[slot][0] for slot in slots if slot in self._held}
            stored = await self._stored([slot for slot in slots if slot not in held])
            found += [report for slot in slots if (report := held.get(slot) or stored.get(slot)) is not None]
        return found

    async def _stored(self, slots: Sequence[_Slot]) -> dict[_Slot, Report]:
        if not slots:
            return {}
        sql = f"{_READ} WHERE id IN ({','.join('?' * len(slots))})"
        found: dict[_Slot, Report] = {}
        for kind, namespace, name, action, uid, revision, body, intact in await self._database.fetch(
            sql, [_id(slot) for slot in slots]
        ):
            slot = (ObjectKey(kind, namespace, name), Action(action)) if intact else None
            if slot is not None and self._newest.get(slot) == revision:
                found[slot] = Report(slot[0], Uid(uid), revision, slot[1], body)
        return found

    async def forget(self, report: Report) -> None:
        """The cloud has *report*; a newer revision stays. May be repeated."""
        await self._load()
        slot = (report.key, report.action)
        if self._newest.get(slot) != report.revision:
            return
        _, durable = self._held.get(slot, (report, True))
        self._withdraw(slot)
        self._taken.send([report])
        if durable:
            with contextlib.suppress(StoreFull):  # at worst it goes up once more after a restart
                await self._database.write((_FORGET, [(_id(slot), report.revision)]))

    async def count(self) -> int:
        """How many reports wait."""
        await self._load()
        return len(self._newest)

    @property
    def dropped(self) -> int:
        """Events dropped for want of room since the start."""
        return self._dropped

    async def changes(self) -> AsyncIterator[None]:
        """Yields at once and then whenever something was put; what comes meanwhile coalesces."""
        with self._changes.listen() as listener:
            yield
            while True:
                await listener.next()
                yield

    async def taken(self, kind: str) -> AsyncIterator[Report]:
        """Reports on objects of *kind* that the cloud has answered, from now on."""
        with self._taken.listen() as listener:
            while True:
                if (report := await listener.next()).key.kind == kind:
                    yield report

    async def _load(self) -> None:
        if self._loaded:
            return
        async with self._loading:
            if self._loaded:
                return
            for row in await self._database.fetch(_RESERVED):
                self._last = self._reserved = max(0, int(row[0]))
            for slot, revision in self._sound(await self._database.fetch(_INDEX)):
                self._newest[slot] = revision
                self._last = max(self._last, revision)
            self._loaded = True

    def _sound(self, rows: list[tuple[int, str, str, str, int, int, int]]) -> Iterator[tuple[_Slot, int]]:
        for identity, kind, namespace, name, action, revision, intact in rows:
            if intact:
                yield (ObjectKey(kind, namespace, name), Action(action)), revision
            else:
                self._database.skip(f"report {identity} on {kind}/{namespace}/{name}")
