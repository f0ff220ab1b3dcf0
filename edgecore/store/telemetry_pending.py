"""Pure: what is numbered and not on the disk yet, by stream, in order of arrival."""

import asyncio
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Final

from edgecore.store import telemetry_blocks as sql
from edgecore.store.telemetry_stream import Stream
from edgecore.store.telemetry_values import Sample

_PART: Final = 256
"""Samples that are lost together, if it comes to that."""
_BLOCK: Final = 1024
"""Samples of one row at most."""
_OVERHEAD: Final = 88
"""Bytes that one sample takes besides its text: a number, its time, and three places in a list."""


@dataclasses.dataclass(slots=True)
class Part:
    """Samples that arrived together: ``name, value, time, name, …``."""

    order: int
    flat: list[Any]
    size: int
    done: asyncio.Future[None] | None = None
    """Who waits for it to be on the disk."""
    digest: bytes = b""

    @property
    def count(self) -> int:
        return len(self.flat) // 3


Taken = list[tuple[Stream, list[Part]]]


class Pending:
    """Bounded by *limit* bytes, roughly, as long as `trim` is called after each failure."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: dict[Stream, list[Part]] = {}
        self._size = self._order = 0

    def __bool__(self) -> bool:
        return bool(self._parts)

    def flatten(self, samples: Sequence[Sample], ids: Any) -> tuple[list[Any], int]:  # noqa: ANN401 - a function of one text
        """*samples* as they are kept, and about how much memory they take."""
        flat: list[Any] = []
        size = 0
        for sample in samples:
            value = sample.value
            if isinstance(value, str | bytes):
                size += len(value)
                value = sql.packed(value)  # type: ignore[assignment]
            flat += (ids(sample.name), value, sample.at)
        return flat, size + _OVERHEAD * len(samples)

    def add(self, stream: Stream, flat: list[Any], size: int) -> None:
        """Keep samples that nobody waits for."""
        parts = self._parts.get(stream)
        if parts and (last := parts[-1]).done is None and last.count < _PART:
            last.flat += flat
            last.size += size
            self._size += size
        else:
            self._append(stream, Part(self._next(), flat, size))

    def add_waiting(
        self, stream: Stream, flat: list[Any], size: int, done: asyncio.Future[None], digest: bytes
    ) -> None:
        """Keep samples that somebody waits for."""
        self._append(stream, Part(self._next(), flat, size, done, digest))

    def _next(self) -> int:
        self._order += 1
        return self._order

    def _append(self, stream: Stream, part: Part) -> None:
        self._parts.setdefault(stream, []).append(part)
        self._size += part.size

    def take(self, streams: Iterable[Stream] | None = None) -> Taken:
        """What *streams* (None: all) have."""
        chosen = list(self._parts) if streams is None else [stream for stream in streams if stream in self._parts]
        taken = [(stream, self._parts.pop(stream)) for stream in chosen]
        self._size -= sum(part.size for _, parts in taken for part in parts)
        return taken

    def put_back(self, taken: Taken) -> None:
        """Writing failed: what nobody waits for is kept, before what came meanwhile."""
        for stream, parts in taken:
            kept = [part for part in parts if part.done is None]
            if kept:
                self._parts[stream] = kept + self._parts.get(stream, [])
                self._size += sum(part.size for part in kept)

    def trim(self) -> list[tuple[Stream, int]]:
        """Let go of the oldest until it fits: how many samples of which stream."""
        lost: list[tuple[Stream, int]] = []
        while self._size > self._limit:
            free = [(parts[0].order, stream) for stream, parts in self._parts.items() if parts[0].done is None]
            if not free:
                break
            _, stream = min(free, key=lambda pair: pair[0])
            part = self._parts[stream].pop(0)
            if not self._parts[stream]:
                del self._parts[stream]
            self._size -= part.size
            lost.append((stream, part.count))
        return lost

    def drop(self, stream: Stream) -> list[Part]:
        """Forget what *stream* has."""
        return next((parts for _, parts in self.take([stream])), [])


def blocks(parts: Sequence[Part]) -> list[tuple[list[Any], bytes]]:
    """Samples and ids of each row that *parts* make."""
    rows: list[tuple[list[Any], bytes]] = []
    flat: list[Any] = []
    ids = b""
    for part in parts:
        if flat and len(flat) + len(part.flat) > 3 * _BLOCK:
            rows.append((flat, ids))
            flat, ids = [], b""
        flat, ids = flat + part.flat if flat else part.flat, ids + part.digest
    rows.append((flat, ids))
    return rows
