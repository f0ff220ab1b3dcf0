"""Tells listeners in this process that something changed; what arrives while one is busy coalesces.

Owns no data: a listener that hears of a change looks at the store again. Memory is bounded by the number of distinct
items, not by the number of changes.
"""

import asyncio
import contextlib
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Listener(Generic[T]):
    """One reader of a `Changes`."""

    def __init__(self) -> None:
        self._waiting: dict[T, None] = {}
        self._some = asyncio.Event()

    def add(self, items: Iterable[T]) -> None:
        """Remember *items*, each once, in order of arrival."""
        self._waiting.update(dict.fromkeys(items))
        if self._waiting:
            self._some.set()

    async def next(self) -> T:
        """The item that has waited longest."""
        await self._some.wait()
        item = next(iter(self._waiting))
        del self._waiting[item]
        if not self._waiting:
            self._some.clear()
        return item


class Changes(Generic[T]):
    """Where changes are announced."""

    def __init__(self) -> None:
        self._listeners: set[Listener[T]] = set()

    def send(self, items: Iterable[T]) -> None:
        """Announce *items* to everybody who listens."""
        known = tuple(items)
        for listener in self._listeners:
            listener.add(known)

    @contextlib.contextmanager
    def listen(self) -> Iterator[Listener[T]]:
        """Hear everything sent from now on until the block ends."""
        listener = Listener[T]()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
