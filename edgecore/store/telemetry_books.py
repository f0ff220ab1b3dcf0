"""What is known of all streams and how it is found again after a restart: names, books, the clock that ages samples."""

import datetime
import json
import logging
from collections.abc import Iterator
from typing import Final

from edgecore.store import telemetry_blocks as sql
from edgecore.store.database import Database, Row, Statement
from edgecore.store.telemetry_stream import Stream
from edgelink.aio.clock import Clock

log = logging.getLogger(__name__)

_REPLAYED_AT_ONCE: Final = 2000
_CREDIT: Final = 86400
"""Seconds that a time without us may add to the age of what is stored: a clock years ahead must not expire it."""


class Names:
    """Texts by number, so that a block need not repeat them."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.ids: dict[str, int] = {}
        self._highest = sql.NOTE
        self._fresh: dict[int, str] = {}

    def id_of(self, text: str) -> int:
        if (known := self.ids.get(text)) is not None:
            return known
        self._highest += 1
        self._fresh[self._highest] = text
        self._know(self._highest, text)
        return self._highest

    def _know(self, number: int, text: str) -> None:
        self.texts[number], self.ids[text] = text, number

    def unwritten(self) -> tuple[list[int], list[Statement]]:
        """New names, and how to write them; `written` when that is done."""
        rows = [(number, text.encode("utf-8", "surrogatepass")) for number, text in self._fresh.items()]
        return list(self._fresh), [(sql.PUT_NAME, rows)] if rows else []

    def written(self, numbers: list[int]) -> None:
        for number in numbers:
            self._fresh.pop(number, None)

    async def load(self, database: Database) -> None:
        for number, text, intact in await database.fetch(sql.NAMES):
            self._highest = max(self._highest, number)
            if intact:
                self._know(number, text.decode("utf-8", "surrogatepass"))
            else:
                database.skip(f"telemetry name {number}")


class Age:
    """Seconds that the store has lived: by the monotonic clock while we run, by the wall clock, capped, in between."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._start, self._before = clock, clock.now(), 0.0

    def resume(self, lived: int, written: int) -> None:
        """The last block was written when the store had lived *lived* seconds, at wall time *written* (ms)."""
        self._before = max(self._before, lived + min(max(0.0, self.wall() / 1000 - written / 1000), _CREDIT))

    def lived(self) -> int:
        return int(self._before + self._clock.now() - self._start)

    def wall(self) -> int:
        """Milliseconds since 1970."""
        return _milliseconds(self._clock.utc())


def _milliseconds(moment: datetime.datetime) -> int:
    return int(moment.timestamp() * 1000)


class Books:
    """All streams, by device."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self.age = Age(clock)
        self.names = Names()
        self.streams: dict[str, Stream] = {}
        self.by_number: dict[int, Stream] = {}
        self.row = 0
        """The last row written."""
        self.saved_row = 0
        """Rows up to this one are reflected in ``states``."""
        self.unsaved: dict[int, None] = {}
        """Streams that changed since then."""

    def stream(self, device: str) -> Stream:
        """The books of *device*, opened if need be."""
        if (known := self.streams.get(device)) is None:
            known = self.put(Stream(self.names.id_of(device), device))
        return known

    def put(self, stream: Stream) -> Stream:
        self.streams[stream.device] = self.by_number[stream.number] = stream
        return stream

    def state(self, stream: Stream) -> tuple[int, bytes]:
        """The row of ``states`` for *stream*."""
        return stream.number, _json(stream.dump(self.names.ids))

    def note(self, streams: list[Stream]) -> bytes:
        """The body of a note on *streams*."""
        return _json({str(stream.number): stream.note(self.names.ids) for stream in streams})

    def checkpoint(self) -> list[Statement]:
        """How to write the books as they are; `checkpointed` when that is done."""
        states = [self.state(self.by_number[number]) for number in self.unsaved if number in self.by_number]
        statements: list[Statement] = [(sql.PUT_CHECKPOINT, [(self.row,)])]
        if states:
            statements.append((sql.PUT_STATE, states))
        return statements

    def checkpointed(self, row: int) -> None:
        self.saved_row = row
        self.unsaved.clear()

    async def load(self) -> None:
        """Find everything again."""
        await self.names.load(self._database)
        for [value] in await self._database.fetch(sql.CHECKPOINT):
            self.saved_row = self.row = int(value)
        sound = True
        for number, body, intact in await self._database.fetch(sql.STATES):
            if not intact:
                self._database.skip(f"books of telemetry stream {number}")
                sound = False
            elif stream := self._numbered(number):
                stream.restore(json.loads(body), self.names.texts)
        if not sound:  # all blocks tell which numbers were given
            self.saved_row = self.row = 0
        while rows := await self._database.fetch(sql.REPLAY, (self.row, _REPLAYED_AT_ONCE)):
            for row in rows:
                self._replay(row)

    def _replay(self, columns: Row) -> None:
        row, number, first, count, written, lived, ids, note, intact = columns
        self.row = row
        if not intact:
            self._database.skip(f"telemetry block {row}")
            self._guess(row, number, first, count)
            return
        self.age.resume(lived, written)
        if number == sql.NOTE:
            for text, kept in json.loads(note).items():
                if stream := self._numbered(int(text)):
                    stream.restore(kept, self.names.texts)
                    self.unsaved[stream.number] = None
        elif stream := self._numbered(number):
            if first + count - 1 > stream.base:
                stream.gone = False
            stream.wrote(row, first, count, ids)
            self.unsaved[number] = None

    def _guess(self, row: int, number: object, first: object, count: object) -> None:
        """A damaged row most likely is so in its body: its numbers, if they make sense, are not given again."""
        stream = self.by_number.get(number) if isinstance(number, int) else None
        if stream and first == stream.written + 1 and isinstance(count, int) and 0 < count < 1_000_000:
            stream.wrote(row, stream.written + 1, count, b"")
            self.unsaved[stream.number] = None

    def _numbered(self, number: int) -> Stream | None:
        if (known := self.by_number.get(number)) is None and number in self.names.texts:
            known = self.put(Stream(number, self.names.texts[number]))
        return known

    def living(self) -> Iterator[Stream]:
        """Streams of devices that are here."""
        return (stream for stream in self.streams.values() if not stream.gone)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
