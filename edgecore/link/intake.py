"""Writes what the cloud sends into the store, then acknowledges it.

Owns the rule "acknowledge after commit". Knows nothing of pods or devices: bodies stay opaque bytes. Before it: the
session's events. After it: `store.objects`, whose changes the features follow.
"""

import asyncio
import logging
from typing import Final

from edgecore.store.errors import StoreFull
from edgecore.store.objects import ObjectStore
from edgelink.aio.clock import Clock
from edgelink.events import ObjectGone, ObjectWanted
from edgelink.objects import DesiredObject, ObjectKey, Uid
from edgelink.pump import Link
from edgelink.session import EdgeSession

log = logging.getLogger(__name__)

_RETRY: Final = 5.0


class Intake:
    """For one session: what arrives while a commit runs shares the next one. Bounded by the cloud's window."""

    def __init__(self, store: ObjectStore, link: Link[EdgeSession], clock: Clock) -> None:
        self._store, self._link, self._clock = store, link, clock
        self._arrived: list[ObjectWanted | ObjectGone] = []
        self._wake = asyncio.Event()

    def take(self, event: ObjectWanted | ObjectGone) -> None:
        self._arrived.append(event)
        self._wake.set()

    async def run(self) -> None:
        """Commit and acknowledge for as long as the session lives."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._arrived = self._arrived, []
            await self._commit(batch)
            for event in batch:
                self._link.session.acknowledge(event.delivery)
            self._link.kick()

    async def _commit(self, batch: list[ObjectWanted | ObjectGone]) -> None:
        wanted: dict[ObjectKey, DesiredObject] = {}
        gone: dict[ObjectKey, Uid] = {}
        for event in batch:
            if isinstance(event, ObjectWanted):
                wanted[event.object.key] = event.object
                gone.pop(event.object.key, None)
            else:
                gone[event.key] = event.uid
                wanted.pop(event.key, None)
        while True:
            try:
                await self._store.apply(list(wanted.values()), list(gone.items()))
                return
            except StoreFull as full:
                # Unacknowledged, it fills the cloud's window and waits there; the node's conditions tell people.
                log.warning("cannot store what the cloud sent, will try again: %s", full)
                await self._clock.sleep(_RETRY)
