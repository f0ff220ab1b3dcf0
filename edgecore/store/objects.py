"""What the cloud wants on this node, exactly as last acknowledged. Bodies are opaque bytes.

Before it: `edgecore.link.intake` writes. After it: the features follow ``changed``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

from edgecore.store import seal
from edgecore.store.changes import Changes
from edgecore.store.database import Database, Row, Statement
from edgecore.store.errors import StoreFull
from edgelink.objects import DesiredObject, Identity, ObjectKey, Uid, Version

Objects = list[DesiredObject]

_SEAL: Final = seal.expression("kind", "namespace", "name", "uid", "version")
_PUT: Final = (
    "INSERT INTO objects (kind, namespace, name, uid, version, body, seal)"
    f" VALUES (?1, ?2, ?3, ?4, ?5, ?6, {seal.expression('?1', '?2', '?3', '?4', '?5', body='?6')})"
    " ON CONFLICT (kind, namespace, name)"
    " DO UPDATE SET uid = excluded.uid, version = excluded.version, body = excluded.body, seal = excluded.seal"
)
_FORGET: Final = "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ? AND uid = ?"
_KEYS: Final = "SELECT kind, namespace, name FROM objects"
_READ: Final = f"SELECT kind, namespace, name, uid, version, body, seal IS {_SEAL} FROM objects"
_WHOLE: Final = "SELECT 1 FROM counters WHERE name = 'whole'"
_MARK_WHOLE: Final = "INSERT OR IGNORE INTO counters (name, value) VALUES ('whole', 1)"
_INVENTORY: Final = f"SELECT kind, namespace, name, uid, version, seal IS {_SEAL} FROM objects"


class ObjectStore:
    """Desired objects by key. A damaged record is skipped, listed in ``unreadable`` and missing in the inventory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._changes: Changes[ObjectKey] = Changes()
        self._unreadable: set[ObjectKey] = set()
        self._whole = asyncio.Event()

    async def apply(self, wanted: Sequence[DesiredObject], gone: Sequence[tuple[ObjectKey, Uid]] = ()) -> None:
        """Store *wanted* and forget *gone* in one transaction, then announce them. Raises StoreFull.

        An object is forgotten only if its uid is still the given one.
        """
        if not wanted and not gone:
            return
        keys = [obj.key for obj in wanted] + [key for key, _ in gone]
        statements: list[Statement] = []
        if wanted:
            statements.append((_PUT, [(*_columns(o.key), o.uid, o.version, o.body) for o in wanted]))
        if gone:
            statements.append((_FORGET, [(*_columns(key), uid) for key, uid in gone]))
        await self._database.write(*statements, committed=lambda: self._committed(keys))

    async def put_many(self, objects: Sequence[DesiredObject]) -> None:
        """Store *objects*; see `apply`."""
        await self.apply(objects)

    async def forget_many(self, gone: Sequence[tuple[ObjectKey, Uid]]) -> None:
        """Forget *gone*; see `apply`."""
        await self.apply((), gone)

    def _committed(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            self._unreadable.discard(key)
            self._database.readable_again(str(key))
        self._changes.send(keys)

    async def get(self, key: ObjectKey) -> DesiredObject | None:
        """The object, None if it is absent or unreadable."""
        sql = f"{_READ} WHERE kind = ? AND namespace = ? AND name = ?"
        return next(iter(self._readable(await self._database.fetch(sql, _columns(key)))), None)

    async def list(self, kind: str) -> Objects:
        """Every readable object of *kind*, by namespace and name."""
        sql = f"{_READ} WHERE kind = ? ORDER BY namespace, name"
        return self._readable(await self._database.fetch(sql, (kind,)))

    async def inventory(self) -> Mapping[ObjectKey, Identity]:
        """What is here and readable; whatever is not comes again from the cloud."""
        have: dict[ObjectKey, Identity] = {}
        for kind, namespace, name, uid, version, intact in await self._database.fetch(_INVENTORY):
            if self._intact(key := ObjectKey(kind, namespace, name), intact):
                have[key] = Identity(Uid(uid), Version(version))
        return have

    @property
    def unreadable(self) -> frozenset[ObjectKey]:
        """Keys found damaged so far. They are wanted here, only nobody can say what they were: do not clean up."""
        return frozenset(self._unreadable)

    async def mark_whole(self) -> None:
        """The cloud has told all: from now on, and after every start, what is not here is not wanted."""
        if not self._whole.is_set():
            self._whole.set()
            if not await self._database.fetch(_WHOLE):
                with contextlib.suppress(StoreFull):  # then the next session says it again
                    await self._database.write((_MARK_WHOLE, [()]))

    async def wait_whole(self) -> None:
        """Until that is so. A file that is new, or was salvaged, misses objects that are wanted all the same."""
        if await self._database.fetch(_WHOLE):
            self._whole.set()
        await self._whole.wait()

    async def changed(self, kinds: Iterable[str] | None = None) -> AsyncIterator[ObjectKey]:
        """Keys of *kinds* (None: all) whose object may have changed or gone: first all present, then as committed."""
        wanted = None if kinds is None else frozenset(kinds)
        with self._changes.listen() as listener:
            listener.add([ObjectKey(*row) for row in await self._database.fetch(_KEYS)])
            while True:
                key = await listener.next()
                if wanted is None or key.kind in wanted:
                    yield key

    def _readable(self, rows: Iterable[Row]) -> Objects:
        objects: Objects = []
        for kind, namespace, name, uid, version, body, intact in rows:
            if self._intact(key := ObjectKey(kind, namespace, name), intact):
                objects.append(DesiredObject(key, Uid(uid), Version(version), body))
        return objects

    def _intact(self, key: ObjectKey, intact: int) -> bool:
        if not intact:
            self._unreadable.add(key)
            self._database.skip(str(key))
        return bool(intact)


def _columns(key: ObjectKey) -> tuple[str, str, str]:
    return key.kind, key.namespace, key.name
