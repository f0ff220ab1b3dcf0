"""Reads stored samples: a stream's rows lie among those of all others, so reading is a scan from a known row on."""

from collections.abc import AsyncIterator
from typing import Final

from edgecore.store import telemetry_blocks as sql
from edgecore.store.database import Database
from edgecore.store.telemetry_blocks import Block
from edgecore.store.telemetry_books import Books
from edgecore.store.telemetry_stream import Stream
from edgecore.store.telemetry_values import DAMAGED, Batch, Numbered

_WINDOW: Final = 10_000
"""Rows that one query may look at: a commit waits no longer than that."""
_BLOCKS: Final = 100
_EARLIEST: Final = -(1 << 62)
_LATEST: Final = 1 << 62


class Reader:
    """Samples of one stream, in order."""

    def __init__(self, database: Database, books: Books) -> None:
        self._database, self._books = database, books

    async def after(self, device: str, seq: int, limit: int, names: frozenset[str] | None) -> Batch:
        """Up to *limit* samples after *seq*; numbers that turn out to be missing are entered in the books as lost."""
        stream = self._books.streams.get(device)
        if stream is None:
            return Batch((), seq)
        seq, upto, found = max(seq, stream.base), stream.written, list[Numbered]()
        if seq >= upto:
            return Batch((), seq)
        expected, row = seq + 1, 0
        async for block in self._blocks(stream, seq):
            if block.first > expected:
                stream.lose(expected, block.first - 1, DAMAGED)
            expected, row = block.first + block.count, block.row
            found += block.numbered(self._books.names.texts, names, seq)
            if len(found) >= limit:
                found = found[:limit]
                upto = found[-1].seq
                stream.remember_place(upto, row)
                return Batch(tuple(found), upto)
            if expected > upto:
                break
        stream.lose(expected, upto, DAMAGED)
        return Batch(tuple(found), max(upto, expected - 1))

    async def read(
        self,
        device: str,
        *,
        after: int = 0,
        since: int | None = None,
        until: int | None = None,
        names: frozenset[str] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Numbered]:
        """Samples after number *after*, measured in [since, until)."""
        stream = self._books.streams.get(device)
        if stream is None:
            return
        low = _EARLIEST if since is None else since
        high = _LATEST if until is None else until
        left = _LATEST if limit is None else limit
        after = max(after, stream.base)
        async for block in self._blocks(stream, after, low, high):
            for numbered in block.numbered(self._books.names.texts, names, after):
                if low <= numbered.sample.at < high:
                    if left <= 0:
                        return
                    left -= 1
                    yield numbered

    async def _blocks(
        self, stream: Stream, seq: int, low: int = _EARLIEST, high: int = _LATEST
    ) -> AsyncIterator[Block]:
        """Intact blocks that hold numbers after *seq* and times in [low, high)."""
        row = stream.row_of(seq)
        while row <= self._books.row:
            end = row + _WINDOW
            parameters = (row, end, stream.number, seq + 1, high, low, _BLOCKS)
            rows = await self._database.fetch(sql.SCAN, parameters)
            for number, first, count, start, body, intact in rows:
                if intact:
                    yield Block(number, first, count, start, body)
                else:
                    self._database.skip(f"telemetry block {number}")
            row = rows[-1][0] + 1 if len(rows) == _BLOCKS else end
