"""Keeps the telemetry file within its budget of bytes and age: the oldest rows of all devices go first.

Age is counted on the store's own clock (`telemetry_books.Age`), which follows the order of rows, so that a wall clock
that jumps expires nothing.
"""

import logging
from collections.abc import Iterable
from typing import Final

from edgecore.store import telemetry_blocks as sql
from edgecore.store.database import Database, Row, Statement
from edgecore.store.errors import StoreFull
from edgecore.store.telemetry_blocks import Block
from edgecore.store.telemetry_books import Books
from edgecore.store.telemetry_stream import Stream
from edgecore.store.telemetry_values import AGE, BUDGET

log = logging.getLogger(__name__)

_SLICE: Final = 64
"""A look is worth it when this fraction of the budget was written; then twice as much is freed."""
_AGE_EVERY: Final = 600
"""Seconds between looks at the age of the oldest."""
_ROWS: Final = 500


class Limits:
    """*budget* in bytes, *age* in seconds."""

    def __init__(self, database: Database, books: Books, budget: int, age: float) -> None:
        self._database, self._books, self._budget, self._age = database, books, budget, age
        self._written = budget
        self._looked = 0
        self._warned = False

    def wrote(self, size: int) -> None:
        """About *size* bytes were added."""
        self._written += size

    async def enforce(self) -> None:
        """Delete what is too much or too old; with the disk full, later. Not beside a flush."""
        try:
            if self._written >= self._budget // _SLICE:
                await self._within_budget()
                self._written = 0
            if self._books.age.lived() >= self._looked:
                self._looked = self._books.age.lived() + min(_AGE_EVERY, int(self._age / 10) + 1)
                while await self._delete(AGE, oldest=self._books.age.lived() - self._age):
                    pass
        except StoreFull:
            log.warning("old telemetry cannot be deleted while the disk takes no writes")

    async def _within_budget(self) -> None:
        [(used,)] = await self._database.fetch(sql.USED)
        if used <= self._budget:
            return
        excess = used - self._budget + 2 * self._budget // _SLICE
        while excess > 0 and (freed := await self._delete(BUDGET, excess=excess)):
            excess -= freed

    async def _delete(self, reason: str, *, excess: int = 0, oldest: float = 0.0) -> int:
        """Delete the first rows, *excess* bytes of them or those older than *oldest*; how many bytes that freed."""
        rows: list[Row] = []
        freed = 0
        for columns in await self._database.fetch(sql.OLDEST, (_ROWS,)):
            if columns[0] >= self._books.row or (columns[5] >= oldest if reason == AGE else freed >= excess):
                break  # the last row keeps the store's clock
            rows.append(columns)
            freed += columns[6] + 40
        if not rows:
            return 0
        last = rows[-1][0]
        touched = self._settle(rows, reason)
        await self._write(last, touched)
        return freed

    def _settle(self, rows: Iterable[Row], reason: str) -> list[Stream]:
        """Enter in the books what goes, and who did not get it."""
        ends: dict[Stream, tuple[int, int]] = {}
        for row, number, first, count, low, _, _, body, intact in rows:
            stream = self._books.by_number.get(number)
            if stream is None or (not intact and not first + count - 1 <= stream.written):
                continue
            block = Block(row, first, count, low, body) if intact else None
            if (lost := self._lost(stream, block, reason)) and not self._warned:
                self._warned = True
                log.warning(
                    "telemetry that was not delivered yet is dropped (%s), %d samples of %s to begin with; the ledger"
                    " counts them",
                    reason,
                    lost,
                    stream.device,
                )
            ends[stream] = (row, first + count - 1)
        for stream, (row, end) in ends.items():
            stream.deleted(row, end)
        return list(ends)

    def _lost(self, stream: Stream, block: Block | None, reason: str) -> int:
        """Count the samples of *block* that somebody still wants."""
        if block is None or block.first + block.count - 1 <= stream.frontier:
            return 0
        lost = 0
        for numbered in block.numbered(self._books.names.texts, after=stream.frontier):
            wants = stream.wanted_after(numbered.seq)
            if any(names is None or numbered.sample.name in names for names in wants):
                lost += stream.lose(numbered.seq, numbered.seq, reason)
        return lost

    async def _write(self, last: int, touched: list[Stream]) -> None:
        books = self._books
        statements: list[Statement] = [(sql.DELETE_UPTO, [(last,)])]
        books.unsaved.update(dict.fromkeys(stream.number for stream in touched))
        names, writing = books.names.unwritten()
        row = books.row

        def done() -> None:
            books.names.written(names)
            books.checkpointed(row)

        await self._database.write(*writing, *books.checkpoint(), *statements, committed=done)
