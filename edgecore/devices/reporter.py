"""Tells the cloud how devices are: at most one report per device and second, and so many per node and second.

Owns: the pace, and that a report is made only if something in it is news. The newest wins: a report is built when its
turn comes. Not on the disk: the book is, and after a restart each device is reported anew. Samples never go this way;
when the cloud has taken a report, the samples before it are settled for the cloud.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from edgecore.devices import reports
from edgecore.devices.book import CLOUD, Book
from edgecore.devices.contract import UnknownDevice
from edgecore.store.outbox import Outbox
from edgecore.store.telemetry import Telemetry
from edgelink.aio.clock import Clock
from edgelink.aio.keyed import KeyedWorkers
from edgelink.objects import Action, Kind, ObjectKey, Uid

REFRESH: Final = 300.0
"""Seconds after which the time a device was last seen, and its ledger, are reported although nothing else is new."""


class Reporter:
    """See the module. *interval*: seconds between two reports of a device. *rate*: reports a second of this node."""

    def __init__(
        self, book: Book, telemetry: Telemetry, outbox: Outbox, clock: Clock, *, node: str, interval: float, rate: float
    ) -> None:
        self._book, self._telemetry, self._outbox, self._clock = book, telemetry, outbox, clock
        self._node, self._interval, self._rate = node, interval, rate
        self._tokens, self._refilled = 1.0, clock.now()
        self.made = 0
        """Reports, since the start."""
        self._turns: dict[str, None] = {}
        """Devices that may have news, in the order of their turns: none starves when all have."""
        self._some = asyncio.Event()
        self._untold: set[str] = set()
        """Devices that may have news since their last report."""
        self._told: dict[str, bytes] = {}
        """A digest of what each device was last said to be."""
        self._next: dict[str, float] = {}
        self._upto: dict[ObjectKey, tuple[int, int]] = {}
        """Revision of the last report and the last sample it covers."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            # Waits for a device's own pause; the turns below share out what the node may say.
            self._pauses = KeyedWorkers(group, self._line_up, self._clock, name="report device")
            group.create_task(self._follow(self._book.marks()), name="device reports due")
            group.create_task(self._speak(), name="device reports")
            group.create_task(self._settle(), name="device reports taken")
            group.create_task(self._follow_repeats(), name="device reports that say nothing new")
            group.create_task(self._refresh(), name="device reports again")
            try:
                await asyncio.Event().wait()
            finally:
                self._pauses.stop()

    @property
    def waiting(self) -> int:
        """Devices with news that wait for their turn."""
        return len(self._turns)

    def forget(self, device: str) -> None:
        """The device is gone."""
        for table in (self._told, self._next):
            table.pop(device, None)
        self._upto.pop(_key(device), None)

    async def _follow(self, marks: AsyncIterator[str]) -> None:
        async for device in marks:
            self._untold.add(device)
            if device not in self._turns:
                self._pauses.mark(device)

    async def _line_up(self, device: str) -> float | None:
        left = self._next.get(device, 0.0) - self._clock.now()
        if left > 0:
            return left
        self._turns[device] = None
        self._some.set()
        return None

    async def _speak(self) -> None:
        while True:
            await self._some.wait()
            if (seconds := self._shortage()) > 0:
                await self._clock.sleep(seconds)
                continue
            device = next(iter(self._turns))
            del self._turns[device]
            if not self._turns:
                self._some.clear()
            await self._report(device)

    def _shortage(self) -> float:
        """Seconds until this node may report again."""
        now = self._clock.now()
        self._tokens = min(max(1.0, 2 * self._rate), self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
        return (1 - self._tokens) / self._rate

    async def _refresh(self) -> None:
        while True:
            await self._clock.sleep(REFRESH)
            self._book.flush()
            for standing in self._book.devices():
                self._told.pop(standing.device.id, None)
                self._pauses.mark(standing.device.id)

    async def _settle(self) -> None:
        async for report in self._outbox.taken(Kind.DEVICE_STATUS):
            revision, seq = self._upto.get(report.key, (0, 0))
            if report.revision == revision:
                self._telemetry.acknowledge(f"{report.key.namespace}/{report.key.name}", CLOUD, seq)

    async def _report(self, device: str) -> None:
        self._untold.discard(device)
        try:
            entry = self._book.entry(device)
        except UnknownDevice:
            self.forget(device)
            return
        seq = self._telemetry.last_seq(device)
        status = reports.status(entry, self._node, self._telemetry.ledger(device))
        told = _digest(entry.device.uid, reports.essence(status))
        if self._told.get(device) == told:
            self._settle_repeats(device)
            return
        self._tokens -= 1
        self.made += 1
        self._told[device] = told
        self._next[device] = self._clock.now() + self._interval
        key = _key(device)
        body = json.dumps({"status": status}, separators=(",", ":"), ensure_ascii=False).encode()
        revision = await self._outbox.put(key, Uid(entry.device.uid), Action.STATUS, body, durable=False)
        self._upto[key] = (revision, seq)

    async def _follow_repeats(self) -> None:
        async for device in self._book.repeats():
            self._settle_repeats(device)

    def _settle_repeats(self, device: str) -> None:
        """A sample that changed nothing needs no report: it is settled with the one before, once that is."""
        revision, seq = self._upto.get(_key(device), (0, 0))
        if revision and self._telemetry.cursor(device, CLOUD) >= seq and device not in self._untold:
            self._telemetry.acknowledge(device, CLOUD, self._telemetry.last_seq(device))


def _digest(uid: str, essence: dict[str, Any]) -> bytes:
    return hashlib.blake2b(json.dumps([uid, essence]).encode(), digest_size=16).digest()


def _key(device: str) -> ObjectKey:
    namespace, _, name = device.partition("/")
    return ObjectKey(Kind.DEVICE_STATUS, namespace, name)
