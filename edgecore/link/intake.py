"""Writes what the cloud sends into the store, then acknowledges it.

Owns the rule "acknowledge after commit". Knows nothing of pods or devices: bodies stay opaque bytes. Before it: the
session's events. After it: `store.objects`, whose changes the features follow.
"""

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

from edgecore.store.errors import StoreFull
from edgecore.store.objects import ObjectStore
from edgelink.aio.clock import Clock
from edgelink.events import ObjectGone, ObjectWanted
from edgelink.objects import ObjectKey
from edgelink.pump import Link
from edgelink.session import EdgeSession

log = logging.getLogger(__name__)

Arrival = ObjectWanted | ObjectGone
_RETRY: Final = 5.0


class Intake:
    """For one session: what arrives while a commit runs shares the next one. Bounded by the cloud's window."""

    def __init__(self, store: ObjectStore, link: Link[EdgeSession], clock: Clock) -> None:
        self._store, self._link, self._clock = store, link, clock
        self._arrived: list[Arrival] = []
        self._told_all = False
        self._wake = asyncio.Event()

    def take(self, event: Arrival) -> None:
        self._arrived.append(event)
        self._wake.set()

    def told_all(self) -> None:
        """What was taken so far is everything: the store is whole once that is committed."""
        self._told_all = True
        self._wake.set()

    async def run(self) -> None:
        """Commit and acknowledge for as long as the session lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            arrived, self._arrived = self._arrived, []
            told_all, self._told_all = self._told_all, False
            for batch in _batches(arrived):
                await self._commit(batch)
                for event in batch:
                    self._link.session.acknowledge(event.delivery)
                self._link.kick()
            if told_all:
                await self._store.mark_whole()

    async def _commit(self, batch: list[Arrival]) -> None:
        wanted = [event.object for event in batch if isinstance(event, ObjectWanted)]
        gone = [(event.key, event.uid) for event in batch if isinstance(event, ObjectGone)]
        said = False
        while True:
            try:
                # "" stands for whatever is here under this name.
                held = {key: known.uid for key, uid in gone if not uid and (known := await self._store.get(key))}
                await self._store.apply(wanted, [(key, uid or held[key]) for key, uid in gone if uid or key in held])
                return
            except StoreFull as full:
                # Unacknowledged, it fills the cloud's window and waits there; the node's conditions tell people.
                if not said:
                    log.warning("cannot store what the cloud sent, will try again: %s", full)
                said = True
                await self._clock.sleep(_RETRY)


def _batches(arrived: list[Arrival]) -> Iterator[list[Arrival]]:
    """*arrived* in order, cut where a key comes a second time: what happened to it in between counts."""
    batch: list[Arrival] = []
    seen: set[ObjectKey] = set()
    for event in arrived:
        key = event.object.key if isinstance(event, ObjectWanted) else event.key
        if key in seen:
            yield batch
            batch, seen = [], set()
        batch.append(event)
        seen.add(key)
    yield batch
