"""Durable, numbered telemetry: one stream per device in a file of its own, and a ledger that accounts for each sample.

Owns: that a number stands for one sample for ever. Numbers are given in order of arrival, and are seen outside
(`read`, `after`, `newest`, `Ledger.stored`) only once their samples are on the disk. What was numbered and not written
when the process died is gone, and its numbers, which nobody saw, are given anew: a crash leaves neither a gap nor a
number with two meanings. Whoever must not lose a sample calls `store`.

Before it: the devices' book adds. After it: `edgecore.push` reads and acknowledges. Inside: `telemetry_stream` keeps
the books of one stream, `telemetry_blocks` the format, `telemetry_limits` throws away the oldest.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from edgecore.store import telemetry_blocks as sql
from edgecore.store import telemetry_pending
from edgecore.store.changes import Changes
from edgecore.store.database import Database, Statement
from edgecore.store.errors import StoreError, StoreFull
from edgecore.store.telemetry_books import Books
from edgecore.store.telemetry_limits import Limits
from edgecore.store.telemetry_pending import Part, Pending, Taken
from edgecore.store.telemetry_reader import Reader
from edgecore.store.telemetry_stream import SeenIds, Stream
from edgecore.store.telemetry_values import Batch, Ledger, Numbered, Progress, Sample
from edgelink.aio.clock import Clock

__all__ = ["Batch", "Ledger", "Numbered", "Progress", "Sample", "Telemetry"]

log = logging.getLogger(__name__)

_BUFFER: Final = 8 << 20
"""Bytes that wait in memory for a full disk, about."""
_CHECKPOINT_ROWS: Final = 5000
"""Rows after which the books are written whole: a start reads no more than these."""

Twin = tuple[str, bytes, int]


@dataclasses.dataclass(slots=True)
class _Flight:
    """What one transaction carries."""

    taken: Taken
    twins: dict[str, Twin]
    noted: dict[Stream, None]
    names: list[int]
    statements: list[Statement]
    wrote: list[tuple[Stream, int, int, int, bytes]]
    size: int = 0


class Telemetry:
    """Samples of all devices. A device is named ``namespace/name``."""

    def __init__(self, database: Database, clock: Clock, flush: float, limits: Limits, books: Books) -> None:
        self._database, self._clock, self._flush_every = database, clock, flush
        self._limits, self._books = limits, books
        self._reader = Reader(database, books)
        self._pending = Pending(_BUFFER)
        self._twins: dict[str, Twin] = {}
        self._twins_done: dict[str, list[asyncio.Future[None]]] = {}
        self._noted: dict[Stream, None] = {}
        self._directed: set[Stream] = set()
        """Those whose note goes with their next sample: else a crash could leave samples that nobody seems to want."""
        self._ids_under_way: dict[tuple[str, bytes], asyncio.Future[None]] = {}
        self._turn = asyncio.Lock()
        self._some, self._urgent = asyncio.Event(), asyncio.Event()
        self._hurried: dict[Stream, None] = {}
        self._changes: Changes[str] = Changes()

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls, path: Path, clock: Clock, *, flush: float = 1.0, budget: int = 64 << 20, age: float = 7 * 86400.0
    ) -> AsyncIterator["Telemetry"]:
        """Ready to write; on leaving, everything is on the disk. Raises StoreError.

        *flush*: seconds that `add` may take to reach the disk. *budget* (bytes) and *age* (seconds) bound what is kept.
        """
        async with Database.open(path, sql.LAYOUT) as database:
            books = Books(database, clock)
            await books.load()
            telemetry = cls(database, clock, flush, Limits(database, books, budget, age), books)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(telemetry._flush_regularly(), name="telemetry flush"),
                    group.create_task(telemetry._flush_urgently(), name="telemetry stores"),
                ]
                try:
                    yield telemetry
                finally:
                    await telemetry._close(tasks)

    @classmethod
    @contextlib.asynccontextmanager
    async def read_only(cls, path: Path, clock: Clock) -> AsyncIterator["Telemetry"]:
        """For reading, whether or not a daemon has the file open. Raises StoreError."""
        async with Database.read_only(path, sql.LAYOUT) as database:
            books = Books(database, clock)
            await books.load()
            yield cls(database, clock, 0.0, Limits(database, books, 0, 0.0), books)

    # --- samples in

    def add(self, device: str, samples: Sequence[Sample]) -> None:
        """Number *samples* now, write them within ``flush`` seconds. Never waits, never raises.

        With the disk full they wait in memory; the oldest are dropped, and counted, when that is too much.
        """
        if samples:
            stream = self._number(device, len(samples))
            self._pending.add(stream, *self._pending.flatten(samples, self._books.names.id_of))
            self._some.set()

    async def store(self, device: str, samples: Sequence[Sample], id: str = "", twin: Twin | None = None) -> bool:
        """On the disk when it returns. False: *id* is among the last 1000 of this device, nothing was done.

        *twin* is what the device is with it, in the same transaction: an *id* that is known tells that all of a
        request was carried out. Raises StoreFull: nothing was kept, the source may send it again.
        """
        digest = SeenIds.digest(id) if id else b""
        if digest:
            if (under_way := self._ids_under_way.get((device, digest))) is not None:
                await asyncio.shield(under_way)
                return False
            if digest in self._books.stream(device).seen:
                return False
        if not samples and twin is None:
            return True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        stream = self._number(device, len(samples))
        self._pending.add_waiting(
            stream, *self._pending.flatten(samples, self._books.names.id_of), done=done, digest=digest
        )
        if twin is not None:
            self._twins[device] = twin
        if digest:
            self._ids_under_way[device, digest] = done
            done.add_done_callback(lambda _: self._ids_under_way.pop((device, digest), None))
        self._hurry(stream)
        # Shielded: whoever else has the same id waits for it too.
        await asyncio.shield(done)
        return True

    def _number(self, device: str, count: int) -> Stream:
        stream = self._books.stream(device)
        stream.last += count
        stream.gone = False
        return stream

    def _hurry(self, stream: Stream) -> None:
        self._hurried[stream] = None
        self._urgent.set()

    # --- samples out

    def last_seq(self, device: str) -> int:
        """The number given last, 0 if none. It may not be on the disk yet: not for outside."""
        stream = self._books.streams.get(device)
        return stream.last if stream else 0

    async def newest(self, device: str, after_seq: int = 0) -> Mapping[str, Numbered]:
        """The last stored sample of each property among those after *after_seq*."""
        found: dict[str, Numbered] = {}
        async for numbered in self._reader.read(device, after=after_seq):
            found[numbered.sample.name] = numbered
        return found

    def read(
        self,
        device: str,
        *,
        since: int | None = None,
        until: int | None = None,
        names: frozenset[str] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Numbered]:
        """Stored samples measured in [since, until) (ms), in the order of their numbers."""
        return self._reader.read(device, since=since, until=until, names=names, limit=limit)

    async def after(self, device: str, seq: int, limit: int = 500, names: frozenset[str] | None = None) -> Batch:
        """Up to *limit* stored samples after *seq*, of *names* only; what is missing is counted as lost."""
        return await self._reader.after(device, seq, limit, names)

    async def changed(self) -> AsyncIterator[str]:
        """Devices with new stored samples: first all that have any, then as they are written."""
        with self._changes.listen() as listener:
            listener.add([stream.device for stream in self._books.living() if stream.written > stream.base])
            while True:
                yield await listener.next()

    def devices(self) -> tuple[str, ...]:
        """Every device with a stream."""
        return tuple(sorted(stream.device for stream in self._books.living()))

    # --- destinations

    def destinations(self, device: str, names: Mapping[str, frozenset[str]], family: str = "cloud") -> None:
        """Who must get which properties from now on; replaces what was said before of the same *family*.

        A destination's family is its name up to the first colon. One that wants nothing is none. A new one starts with
        what comes, but with the first sample if the stream began in this run and nobody of its family was named before.
        What waited for one that is named no more counts as acknowledged.
        """
        stream = self._books.stream(device)
        if names:
            stream.gone = False
        if stream.direct(names, family):
            self._note(stream)
            self._directed.add(stream)

    def withdraw(self, device: str, family: str) -> None:
        """Nobody of *family* wants samples of *device* any more."""
        if device in self._books.streams:
            self.destinations(device, {}, family)

    def cursor(self, device: str, destination: str) -> int:
        """What *destination* has acknowledged; 0 if it is none."""
        stream = self._books.streams.get(device)
        return stream.cursors.get(destination, 0) if stream else 0

    def sent(self, device: str, destination: str, seq: int) -> None:
        """Everything up to *seq* was handed to *destination*. Kept in memory only."""
        if stream := self._books.streams.get(device):
            stream.sent(destination, seq)

    def acknowledge(self, device: str, destination: str, seq: int) -> None:
        """Everything up to *seq* is settled for *destination*; on the disk with the next flush.

        What is itself not on the disk yet is settled once it is. After a crash before that, it is to be sent once more.
        """
        stream = self._books.streams.get(device)
        if stream and stream.acknowledge(destination, seq):
            self._note(stream)

    def refuse(self, device: str, seqs: Iterable[int], reason: str) -> None:
        """Some destination will never take *seqs*: count them as dropped. `acknowledge` moves on."""
        if stream := self._books.streams.get(device):
            for seq in seqs:
                stream.lose(seq, seq, reason)
            self._note(stream)

    def ledger(self, device: str) -> Ledger:
        """What became of the samples of *device*."""
        stream = self._books.streams.get(device)
        return stream.ledger() if stream and not stream.gone else Ledger()

    async def forget(self, device: str) -> None:
        """Drop samples, books and twin of *device*. Should it come again, its numbers go on. Raises StoreFull."""
        async with self._turn:
            if (old := self._books.streams.get(device)) is None:
                return
            for part in self._pending.drop(old):
                _fail(part, StoreError(f"device {device} is gone"))
            self._twins.pop(device, None)
            for done in self._twins_done.pop(device, ()):
                if not done.done():
                    done.set_exception(StoreError(f"device {device} is gone"))
            self._noted.pop(old, None)
            self._directed.discard(old)
            stream = self._books.put(old.successor())
            self._note(stream)
            names, writing = self._books.names.unwritten()
            await self._database.write(
                *writing,
                (sql.FORGET_TWIN, [(device,)]),
                committed=lambda: self._books.names.written(names),
            )

    def _note(self, stream: Stream) -> None:
        for name in stream.cursors:
            self._books.names.id_of(name)
        self._noted[stream] = None
        self._some.set()

    # --- twins

    def save(self, device: str, uid: str, body: bytes, checkpoint: int) -> None:
        """Keep *body* as the twin of *device*, written with the next flush. *checkpoint*: last number in it."""
        self._twins[device] = (uid, body, checkpoint)
        self._some.set()

    async def save_now(self, device: str, uid: str, body: bytes, checkpoint: int) -> None:
        """The same, on the disk when it returns. Raises StoreFull, then it goes with the next flush that succeeds."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._twins[device] = (uid, body, checkpoint)
        self._twins_done.setdefault(device, []).append(done)
        self._hurry(self._books.stream(device))
        await done

    async def twins(self) -> dict[str, Twin]:
        """Every intact stored twin: (uid, body, checkpoint)."""
        found: dict[str, Twin] = {}
        for device, uid, checkpoint, body, intact in await self._database.fetch(sql.TWINS):
            if intact:
                found[device] = (uid, bytes(body), checkpoint)
            else:
                self._database.skip(f"twin of {device}")
        return found

    # --- to the disk

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Rows that were found damaged and skipped, for people."""
        return self._database.unreadable

    async def _flush_regularly(self) -> None:
        while True:
            await self._some.wait()
            await self._clock.sleep(self._flush_every)
            self._some.clear()
            async with self._turn:
                await self._flush(None)
                await self._limits.enforce()

    async def _flush_urgently(self) -> None:
        while True:
            await self._urgent.wait()
            await asyncio.sleep(0)  # what others store in this turn of the loop comes along
            async with self._turn:
                self._urgent.clear()
                hurried, self._hurried = list(self._hurried), {}
                await self._flush(hurried)

    async def _close(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        async with self._turn:  # not in the middle of a flush
            for task in tasks:
                task.cancel()
            try:
                await self._flush(None)
                await self._checkpoint()
            except StoreError as error:
                log.warning("telemetry of the last moments could not be written: %s", error)

    async def _flush(self, streams: Sequence[Stream] | None) -> None:
        """Write what *streams* (None: all) have in one transaction."""
        flight = self._loaded(streams)
        if not flight.statements:
            return
        try:
            await self._database.write(*flight.statements, committed=lambda: self._committed(flight))
        except StoreFull as full:
            self._failed(flight, full)
            return
        if self._books.row - self._books.saved_row >= _CHECKPOINT_ROWS:
            await self._checkpoint()

    def _loaded(self, streams: Sequence[Stream] | None) -> _Flight:
        taken = self._pending.take(streams)
        devices = list(self._twins) if streams is None else [stream.device for stream in streams]
        twins = {device: self._twins.pop(device) for device in devices if device in self._twins}
        noted = dict(self._noted) if streams is None else {s: None for s in streams if s in self._directed}
        for stream in noted:
            self._noted.pop(stream, None)
            self._directed.discard(stream)
        names, statements = self._books.names.unwritten()
        flight = _Flight(taken, twins, noted, names, statements, [])
        if rows := self._rows(flight):
            statements.append((sql.PUT_BLOCK, rows))
        if twins:
            statements.append((sql.PUT_TWIN, self._twin_rows(flight)))
        return flight

    def _twin_rows(self, flight: _Flight) -> list[tuple[object, ...]]:
        """A checkpoint must not be ahead of the samples that are on the disk with it."""
        ends = {stream.device: first + count - 1 for stream, _, first, count, _ in flight.wrote}
        return [
            (device, uid, min(checkpoint, ends.get(device, self._books.stream(device).written)), body)
            for device, (uid, body, checkpoint) in flight.twins.items()
        ]

    def _rows(self, flight: _Flight) -> list[tuple[object, ...]]:
        """The rows of ``blocks``: the note first."""
        lived, wall, row = self._books.age.lived(), self._books.age.wall(), self._books.row
        rows: list[tuple[object, ...]] = []
        if flight.noted:
            row += 1
            rows.append((row, sql.NOTE, 0, 0, wall, lived, 0, 0, b"", self._books.note(list(flight.noted))))
        for stream, parts in flight.taken:
            first = stream.written + 1
            for flat, ids in telemetry_pending.blocks(parts):
                row, count = row + 1, len(flat) // 3
                low, span, body = sql.encoded(flat)
                rows.append((row, stream.number, first, count, wall, lived, low, span, ids, body))
                flight.wrote.append((stream, row, first, count, ids))
                flight.size += len(body)
                first += count
        return rows

    def _committed(self, flight: _Flight) -> None:
        books = self._books
        books.names.written(flight.names)
        books.row += len(flight.wrote) + bool(flight.noted)
        for stream, row, first, count, ids in flight.wrote:
            if stream.wrote(row, first, count, ids):
                self._note(stream)
            books.unsaved[stream.number] = None
        books.unsaved.update(dict.fromkeys(stream.number for stream in flight.noted))
        self._limits.wrote(flight.size)
        for _, parts in flight.taken:
            for part in parts:
                if part.done and not part.done.done():
                    part.done.set_result(None)
        for device in flight.twins:
            for done in self._twins_done.pop(device, ()):
                if not done.done():
                    done.set_result(None)
        self._changes.send(stream.device for stream, _ in flight.taken)

    def _failed(self, flight: _Flight, failure: StoreFull) -> None:
        """Nothing was written: those who wait are told, the rest is kept for the next time."""
        for stream, parts in flight.taken:
            refused = sum(part.count for part in parts if part.done)
            if refused:
                stream.refused(refused)
            for part in parts:
                _fail(part, failure)
            for twins in (flight.twins, self._twins):
                if refused and (twin := twins.get(stream.device)):
                    uid, body, checkpoint = twin
                    twins[stream.device] = (uid, body, max(0, checkpoint - refused))
        self._pending.put_back(flight.taken)
        for stream, count in self._pending.trim():
            stream.not_written(count)
            self._noted[stream] = None
        self._noted.update(flight.noted)
        self._directed.update(flight.noted)
        self._twins = {**flight.twins, **self._twins}
        for device in flight.twins:
            for done in self._twins_done.pop(device, ()):
                if not done.done():
                    done.set_exception(failure)
        self._some.set()

    async def _checkpoint(self) -> None:
        """Write all books, so that a start need not replay what was written before."""
        names, writing = self._books.names.unwritten()
        row = self._books.row
        statements = self._books.checkpoint()

        def done() -> None:
            self._books.names.written(names)
            self._books.checkpointed(row)

        with contextlib.suppress(StoreFull):  # then later
            await self._database.write(*writing, *statements, committed=done)


def _fail(part: Part, failure: Exception) -> None:
    if part.done and not part.done.done():
        part.done.set_exception(failure)
