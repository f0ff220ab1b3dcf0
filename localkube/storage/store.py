"""All objects in memory as encoded JSON, every acknowledged version on disk, and watches on what changes.

The event loop decides, the journal makes it durable. A write is checked against the newest version, committed or not
(``latest``), gets its revision at once and is acknowledged when the journal has synced it. Readers and watchers see
committed versions only: nobody is ever shown a state that a power cut could take back.

A body is the JSON of the object without ``kind`` and ``apiVersion``: the same bytes serve every API version.
"""

import asyncio
import bisect
import collections
from collections.abc import Callable, Iterable

import msgspec

from localkube.storage.journal import Commit, Journal, Record, StoreBroken
from localkube.values import Json

Key = tuple[str, str]
"""(namespace, name)"""

DEFAULT_WINDOW = 10_000
"""Versions kept per resource for watches that resume; beyond it they get 410 and list again."""

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class _Head(msgspec.Struct):
    uid: str = ""
    labels: dict[str, str] | None = None


class _Peek(msgspec.Struct):
    metadata: _Head


_peek = msgspec.json.Decoder(_Peek).decode
_NO_LABELS: dict[str, str] = {}


class Entry(msgspec.Struct, frozen=True):
    """One committed or pending version of an object."""

    namespace: str
    name: str
    rev: int
    uid: str
    labels: dict[str, str]
    body: bytes

    def decoded(self) -> Json:
        """A fresh copy that the caller may change."""
        obj: Json = decode(self.body)
        return obj


class Event:
    """One committed change. *line* caches its encodings, so that a thousand watchers share one."""

    __slots__ = ("entry", "gone", "lines", "previous", "rev")

    def __init__(self, rev: int, entry: Entry, previous: Entry | None, gone: bool) -> None:
        self.rev, self.entry, self.previous, self.gone = rev, entry, previous, gone
        self.lines: dict[tuple[str, bytes], bytes] = {}


class Watcher:
    """One subscription: a bounded queue of events. Too slow a reader is marked *lost* and must resume."""

    def __init__(self, limit: int) -> None:
        self._events: collections.deque[Event] = collections.deque()
        self._limit = limit
        self._wake = asyncio.Event()
        self.lost = False

    def offer(self, event: Event) -> None:
        if len(self._events) >= self._limit:
            self.lost = True
        else:
            self._events.append(event)
        self._wake.set()

    def cut(self) -> None:
        self.lost = True
        self._wake.set()

    async def wait(self, timeout: float) -> bool:
        """Until there is something to take or to notice; False after *timeout* seconds without."""
        try:
            async with asyncio.timeout(timeout):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> list[Event]:
        events = list(self._events)
        self._events.clear()
        self._wake.clear()
        return events


class _Shelf:
    """One resource: its objects by namespace, its recent events, its watchers."""

    def __init__(self, floor: int) -> None:
        self.objects: dict[str, dict[str, Entry]] = {}
        self.events: collections.deque[Event] = collections.deque()
        self.floor = floor
        self.watchers: set[Watcher] = set()

    def get(self, key: Key) -> Entry | None:
        return self.objects.get(key[0], {}).get(key[1])

    def put(self, event: Event) -> None:
        entry = event.entry
        if event.gone:
            inside = self.objects.get(entry.namespace, {})
            inside.pop(entry.name, None)
            if not inside:
                self.objects.pop(entry.namespace, None)
        else:
            self.objects.setdefault(entry.namespace, {})[entry.name] = entry
        self.events.append(event)


class Store:
    """The objects of one server. Use from one event loop only; load() may run before the loop exists."""

    def __init__(self, journal: Journal, window: int = DEFAULT_WINDOW) -> None:
        self._journal, self._window = journal, window
        self._shelves: dict[str, _Shelf] = {}
        self._pending: dict[tuple[str, Key], tuple[Entry, bool]] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._taps: list[Callable[[str, Event], None]] = []
        self._dropped = 0
        self._next = self.revision = 0
        self.broken: str | None = None

    def load(self) -> None:
        """Fill memory from disk."""
        self._floors = self._journal.floors()
        versions: dict[int, Entry] = {}
        for record in self._journal.history():
            entry = versions[record.rev] = _entry(record)
            shelf = self._shelf(record.resource)
            event = Event(record.rev, entry, versions.get(record.previous), record.gone)
            if record.rev > shelf.floor:
                shelf.put(event)
            else:
                shelf.objects.setdefault(entry.namespace, {})[entry.name] = entry
        self._next = self.revision = self._journal.revision()

    def start(self) -> None:
        loop = asyncio.get_running_loop()

        def committed(commit: Commit) -> None:
            loop.call_soon_threadsafe(self._committed, commit)

        self._journal.start(committed)

    def close(self) -> None:
        self._journal.close()

    def get(self, resource: str, namespace: str, name: str) -> Entry | None:
        """The newest committed version."""
        shelf = self._shelves.get(resource)
        return shelf.get((namespace, name)) if shelf else None

    def latest(self, resource: str, namespace: str, name: str) -> Entry | None:
        """The newest version, possibly not yet durable; what a write must be checked against."""
        pending = self._pending.get((resource, (namespace, name)))
        if pending is not None:
            return None if pending[1] else pending[0]
        return self.get(resource, namespace, name)

    def entries(self, resource: str, namespace: str | None = None) -> list[Entry]:
        """Committed objects in key order; *namespace* None means all."""
        shelf = self._shelves.get(resource)
        if shelf is None:
            return []
        spaces = sorted(shelf.objects) if namespace is None else [namespace]
        return [inside[name] for space in spaces if (inside := shelf.objects.get(space)) for name in sorted(inside)]

    def list_at(self, resource: str, namespace: str | None, rev: int) -> list[Entry] | None:
        """The list as it was at *rev*, or None when the history no longer reaches back that far."""
        shelf = self._shelf(resource)
        if rev < shelf.floor:
            return None
        entries = {(entry.namespace, entry.name): entry for entry in self.entries(resource, namespace)}
        for event in reversed(shelf.events):
            if event.rev <= rev:
                break
            key = (event.entry.namespace, event.entry.name)
            if namespace is not None and key[0] != namespace:
                continue
            if event.previous is None:
                entries.pop(key, None)
            else:
                entries[key] = event.previous
        return [entries[key] for key in sorted(entries)]

    def resources(self) -> Iterable[str]:
        return list(self._shelves)

    def watch(self, resource: str, since: int | None, limit: int = 10_000) -> Watcher | None:
        """Events after *since* (None: from now on); None when they are no longer all there."""
        shelf = self._shelf(resource)
        watcher = Watcher(limit + len(shelf.events))
        if since is not None:
            if since < shelf.floor:
                return None
            start = bisect.bisect_right(shelf.events, since, key=lambda event: event.rev)
            for index in range(start, len(shelf.events)):
                watcher.offer(shelf.events[index])
        shelf.watchers.add(watcher)
        return watcher

    def tap(self, follow: Callable[[str, Event], None]) -> None:
        """Call *follow* with every committed change of every resource."""
        self._taps.append(follow)

    def unwatch(self, resource: str, watcher: Watcher) -> None:
        self._shelf(resource).watchers.discard(watcher)

    def watchers(self, resource: str) -> frozenset[Watcher]:
        """Who watches *resource* now."""
        return frozenset(self._shelf(resource).watchers)

    def end_watches(self) -> None:
        """Let every watch end now, as if its reader had been too slow; the client resumes with the next server."""
        for shelf in self._shelves.values():
            for watcher in shelf.watchers:
                watcher.cut()

    def floor(self, resource: str) -> int:
        return self._shelf(resource).floor

    def submit(self, resource: str, obj: Json, *, gone: bool = False) -> tuple[Entry, asyncio.Future[None]]:
        """Take *obj* as the next version of itself. Await the future before telling anybody about it."""
        if self.broken is not None:
            raise StoreBroken(self.broken)
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        before = self.latest(resource, *key)
        self._next += 1
        meta["resourceVersion"] = str(self._next)
        body = encode({field: value for field, value in obj.items() if field not in ("kind", "apiVersion")})
        entry = Entry(*key, self._next, meta["uid"], meta.get("labels") or _NO_LABELS, body)
        self._pending[resource, key] = (entry, gone)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = future
        self._journal.append(Record(self._next, resource, *key, before.rev if before else 0, gone, body))
        return entry, future

    async def write(self, resource: str, obj: Json, *, gone: bool = False) -> Entry:
        """submit() and wait until it is durable."""
        entry, durable = self.submit(resource, obj, gone=gone)
        await durable
        return entry

    def _committed(self, commit: Commit) -> None:
        for record in commit.records:
            future = self._waiting.pop(record.rev, None)
            if commit.error is not None:
                self.broken = f"cannot write the object store: {commit.error}"
                if future is not None and not future.done():
                    future.set_exception(StoreBroken(self.broken))
                continue
            self._apply(record)
            if future is not None and not future.done():
                future.set_result(None)
        if commit.error is not None:
            self._pending.clear()

    def _apply(self, record: Record) -> None:
        key = (record.namespace, record.name)
        pending = self._pending.get((record.resource, key))
        if pending is not None and pending[0].rev == record.rev:
            del self._pending[record.resource, key]
            entry = pending[0]
        else:
            entry = _entry(record)
        shelf = self._shelf(record.resource)
        event = Event(record.rev, entry, shelf.get(key), record.gone)
        shelf.put(event)
        self.revision = record.rev
        for watcher in shelf.watchers:
            watcher.offer(event)
        for tap in self._taps:
            tap(record.resource, event)
        if len(shelf.events) > self._window:
            shelf.floor = shelf.events.popleft().rev
            self._dropped += 1
            if self._dropped >= self._window:
                self.compact()

    def compact(self) -> None:
        """Take from disk what memory has let go."""
        self._dropped = 0
        self._journal.forget_before({name: shelf.floor for name, shelf in self._shelves.items() if shelf.floor})

    def _shelf(self, resource: str) -> _Shelf:
        shelf = self._shelves.get(resource)
        if shelf is None:
            shelf = self._shelves[resource] = _Shelf(getattr(self, "_floors", {}).get(resource, 0))
        return shelf


def _entry(record: Record) -> Entry:
    head = _peek(record.body).metadata
    return Entry(record.namespace, record.name, record.rev, head.uid, head.labels or _NO_LABELS, record.body)
