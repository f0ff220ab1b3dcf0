"""Who hears of changes: streams out of the book. What comes while a listener is busy coalesces per device, in order."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from device_models.model import Device
from device_models.twin import Twin
from edgecore.devices.contract import Changed, Membership
from edgecore.store.changes import Changes


class _Merged:
    """Changes one listener has not taken yet: at most one per device."""

    def __init__(self) -> None:
        self._waiting: dict[str, Changed] = {}
        self._some = asyncio.Event()

    def add(self, change: Changed) -> None:
        older = self._waiting.get(change.device)
        self._waiting[change.device] = _merge(older, change) if older else change
        self._some.set()

    async def next(self) -> Changed:
        await self._some.wait()
        change = self._waiting.pop(next(iter(self._waiting)))
        if not self._waiting:
            self._some.clear()
        return change


def _merge(older: Changed, newer: Changed) -> Changed:
    before: dict[str, Twin | None] = {**newer.before, **older.before}
    return Changed(newer.device, before, {**older.after, **newer.after})


class _Members:
    """Comings and goings one listener has not taken yet: the last word on each device."""

    def __init__(self, present: Iterable[Device]) -> None:
        self._added: dict[str, Device] = {device.id: device for device in present}
        self._removed: dict[str, Device] = {}
        self._some = asyncio.Event()
        self._some.set()

    def add(self, news: Membership) -> None:
        for device in news.removed:
            self._added.pop(device.id, None)
            self._removed[device.id] = device
        for device in news.added:
            self._added[device.id] = device
        self._some.set()

    async def next(self) -> Membership:
        await self._some.wait()
        self._some.clear()
        news = Membership(tuple(self._added.values()), tuple(self._removed.values()))
        self._added, self._removed = {}, {}
        return news


class Feed:
    """The streams."""

    def __init__(self) -> None:
        self._changed: set[_Merged] = set()
        self._members: set[_Members] = set()
        self._marks: Changes[str] = Changes()
        self._repeats: Changes[str] = Changes()

    def send(self, change: Changed) -> None:
        for listener in self._changed:
            listener.add(change)

    def mark(self, device: str) -> None:
        self._marks.send([device])

    def repeat(self, device: str) -> None:
        self._repeats.send([device])

    def membership(self, news: Membership) -> None:
        for listener in self._members:
            listener.add(news)

    async def changed(self) -> AsyncIterator[Changed]:
        listener = _Merged()
        self._changed.add(listener)
        try:
            while True:
                yield await listener.next()
        finally:
            self._changed.discard(listener)

    async def marks(self) -> AsyncIterator[str]:
        with self._marks.listen() as listener:
            while True:
                yield await listener.next()

    async def repeats(self) -> AsyncIterator[str]:
        with self._repeats.listen() as listener:
            while True:
                yield await listener.next()

    async def members(self, present: Callable[[], Iterable[Device]]) -> AsyncIterator[Membership]:
        """First those that are *present* when the first item is asked for, then what comes and goes."""
        listener = _Members(present())
        self._members.add(listener)
        try:
            while True:
                yield await listener.next()
        finally:
            self._members.discard(listener)
