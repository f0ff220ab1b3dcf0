"""The twins of this node's devices: in memory for everybody, on disk for the next start. Implements `contract.Twins`.

Owns: what a change of a twin is, who hears of it, and that an answer "done" means "on the disk". Values that drivers
read are buffered with the telemetry; wishes and what became of them are written at once. Before it: `worker` (drivers),
the MQTT topics and DMI. After it: `reporter`, which tells the cloud.
"""

import dataclasses
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from device_models import values
from device_models.errors import Complaint
from device_models.model import Device, Property, Value
from device_models.twin import End, Side, Twin
from edgecore.devices import plan, wishes
from edgecore.devices.changes import applied
from edgecore.devices.contract import BadTwin, Change, Changed, Membership, Standing, UnknownDevice
from edgecore.devices.draft import Draft
from edgecore.devices.entry import ONLINE, STATES, Entry, Ready, dump, restore
from edgecore.devices.feed import Feed
from edgecore.devices.plan import Last, News
from edgecore.store.errors import StoreError, StoreFull
from edgecore.store.telemetry import Ledger, Sample, Telemetry
from edgelink.aio.clock import Clock, rfc3339
from edgelink.aio.logs import clean

log = logging.getLogger(__name__)

CLOUD: Final = "cloud"
"""Destination of the ledger: the twin in the Kubernetes API."""
_TWINS: Final = 1000
"""Most twins of one device."""


class Book:
    """See the module. Devices come from `manager` through `admit` and `dismiss`."""

    def __init__(self, telemetry: Telemetry, clock: Clock) -> None:
        self._telemetry, self._clock = telemetry, clock
        self._entries: dict[str, Entry] = {}
        self._feed = Feed()
        self._stored: dict[str, tuple[str, bytes, int]] = {}

    # --- devices

    async def open(self) -> None:
        """Read what was known before the restart."""
        self._stored = dict(await self._telemetry.twins())

    async def admit(self, device: Device, complaints: tuple[Complaint, ...], *, whole: bool = True) -> Entry:
        """*device* is wanted here, in this form. Its desired values become wishes once its model is there (*whole*)."""
        entry = self._entries.get(device.id)
        if entry and entry.device.uid != device.uid:
            await self.dismiss(device.id)  # another device had this name a moment ago
            entry = None
        if entry is None:
            entry = await self._enter(device)
            self._feed.membership(Membership(added=(device,)))
        entry.device, entry.complaints = device, complaints
        if whole:
            self._telemetry.destinations(device.id, _destinations(device))
            await self._wish(entry)
        self._feed.mark(device.id)
        return entry

    async def _enter(self, device: Device) -> Entry:
        entry = self._entries[device.id] = Entry(device)
        uid, body, checkpoint = self._stored.pop(device.id, ("", b"", 0))
        if uid and uid != device.uid:
            await self._forget(device.id)  # another device had this name
            return entry
        if body:
            entry.covered = checkpoint
            try:
                restore(entry, body)
            except (ValueError, RecursionError) as error:
                log.warning("the stored twins of device %s cannot be read: %s", clean(device.id), clean(error))
        for name, numbered in (await self._telemetry.newest(device.id, checkpoint)).items():
            sample = numbered.sample
            entry.twins[name] = entry.twins.get(name, Twin()).reported(values.render(sample.value), sample.at)
        return entry

    async def dismiss(self, device: str) -> None:
        """The device is no longer wanted here."""
        self._stored.pop(device, None)
        if entry := self._entries.pop(device, None):
            self._feed.membership(Membership(removed=(entry.device,)))
        await self._forget(device)

    async def _forget(self, device: str) -> None:
        try:
            await self._telemetry.forget(device)
        except StoreFull as full:
            # The samples are forgotten all the same; the twins' row is overwritten, or an orphan after the next start.
            log.warning("what is known of device %s cannot be removed from the disk: %s", clean(device), clean(full))

    def orphans(self) -> Sequence[str]:
        """Devices that were here before the restart and have not been admitted since."""
        return tuple(self._stored)

    def entry(self, device: str) -> Entry:
        """Raises UnknownDevice."""
        try:
            return self._entries[device]
        except KeyError:
            raise UnknownDevice(f"there is no device {device} on this node") from None

    def devices(self) -> Sequence[Standing]:
        return [_standing(self._entries[name]) for name in sorted(self._entries)]

    def entries(self) -> Sequence[Entry]:
        """What is known of each, in no order."""
        return tuple(self._entries.values())

    def ledger(self, entry: Entry) -> Ledger:
        """What became of the samples of a device."""
        return self._telemetry.ledger(entry.device.id)

    def standing(self, device: str) -> Standing:
        return _standing(self.entry(device))

    def twins(self, device: str) -> Mapping[str, Twin]:
        return self.entry(device).twins

    def changed(self) -> AsyncIterator[Changed]:
        return self._feed.changed()

    def marks(self) -> AsyncIterator[str]:
        """Devices of which the cloud may have to hear something new."""
        return self._feed.marks()

    def repeats(self) -> AsyncIterator[str]:
        """Devices with samples that say nothing new."""
        return self._feed.repeats()

    def membership(self) -> AsyncIterator[Membership]:
        return self._feed.members(lambda: [entry.device for entry in self._entries.values()])

    # --- what drivers say

    def report(self, entry: Entry, found: Mapping[str, Value], at: int | None = None) -> None:
        """Values that a driver read; *at* in milliseconds. On the disk with the next flush of the telemetry."""
        samples = self._take(entry, found, at)
        if samples:
            self._telemetry.add(entry.device.id, samples)

    async def record(self, entry: Entry, found: Mapping[str, Value], at: int | None, id: str) -> None:
        """Values that a device sent by itself: returns when they are on the disk. Raises StoreFull."""
        if await self._store(entry, self._samples(entry, found, at), id):
            self._take(entry, found, at)

    async def _store(self, entry: Entry, samples: Sequence[Sample], id: str, beside: Draft | None = None) -> bool:
        """False: a repeat. Raises StoreFull, UnknownDevice. Until the caller acts, no checkpoint covers *samples*.

        *beside* is written in the same breath as *id*: a crash must not leave the one without the other.
        """
        device, covered = entry.device, self._covered(entry)
        twin = (device.uid, dump(dataclasses.replace(entry, twins=beside.twins)), covered) if beside else None
        entry.storing += 1
        try:
            fresh = await self._telemetry.store(device.id, samples, id, twin)
        except StoreFull:
            if beside:
                self._save(entry)  # instead of what was refused
            raise
        except StoreError as gone:
            raise UnknownDevice(f"device {entry.device.id} has gone from this node meanwhile") from gone
        finally:
            entry.storing -= 1
        if not self._current(entry):
            raise UnknownDevice(f"device {entry.device.id} has gone from this node meanwhile")
        return fresh

    def _samples(self, entry: Entry, found: Mapping[str, Value], at: int | None) -> list[Sample]:
        moment = self._moment() if at is None else at
        properties = entry.device.properties
        return [Sample(n, v, moment) for n, v in found.items() if n in properties and properties[n].sampled]

    def _take(self, entry: Entry, found: Mapping[str, Value], at: int | None) -> list[Sample]:
        """Bring the twins up to date; returns the samples worth keeping."""
        moment, now = self._moment() if at is None else at, self._clock.now()
        samples: list[Sample] = []
        change = Draft(entry)
        for name, value in found.items():
            prop = entry.device.properties.get(name)
            if prop is None:
                continue
            last = entry.last.get(name)
            what = plan.news(prop, last, value, now)
            if what is not News.VALUE and _unsure(entry.twins.get(name)):
                what = News.VALUE  # the same value, but now it is an answer
            if what is News.NOTHING:
                continue
            entry.last[name] = Last(value, now)
            if prop.sampled:
                samples.append(Sample(name, value, moment))
            if what is News.VALUE:
                self._reported(entry, prop, values.render(value), moment, change)
        change.settle()
        self._announce(entry, change)
        if samples and change.empty:
            self._feed.repeat(entry.device.id)
        return samples

    @staticmethod
    def _reported(entry: Entry, prop: Property, text: str, at: int, change: Draft) -> None:
        before = entry.twins.get(prop.name)
        twin = (before or Twin()).reported(text, at)
        if twin.type != (of := values.twin_type(prop.type)):
            twin = dataclasses.replace(twin, type=of)
        if twin.wish.end is End.UNKNOWN and not twin.differs:
            twin = twin.ended(End.APPLIED)
        change.put(prop.name, twin)

    # --- wishes

    async def _wish(self, entry: Entry) -> None:
        """Take over the desired values of the Device object that are news. They hold with the disk full too."""
        change = Draft(entry)
        for prop in entry.device.properties.values():
            if after := wishes.taken(prop, entry.twins.get(prop.name), self._moment()):
                change.put(prop.name, after)
        change.settle()
        if change.empty:
            return
        try:
            await self._save_now(entry)
        except StoreFull as full:
            log.warning("wishes for %s are not on the disk: %s", clean(entry.device.id), clean(full))
        self._announce(entry, change)

    async def end(self, entry: Entry, name: str, of: Side | None, end: End, reason: str = "") -> None:
        """This became of the wish for *of*; a newer one is left alone. On the disk when it returns.

        Raises StoreFull: then it holds until a restart, and is written with the next that can be.
        """
        twin = entry.twins.get(name)
        if twin is None or twin.expected is not of:
            return
        draft = Draft(entry)
        draft.put(name, twin.ended(end, reason))
        draft.settle()
        try:
            await self._save_now(entry)
        finally:
            self._announce(entry, draft)

    # --- what others say

    async def update(self, device: str, changes: Mapping[str, Change | None], *, id: str = "") -> Changed:
        entry = self.entry(device)
        samples: list[Sample] = []
        draft = self._draft(entry, changes, samples)
        beside = draft if id and not draft.only_actual else None
        if (samples or id) and not await self._store(entry, samples, id, beside):
            return Changed(device, {}, {})
        # Anew: a driver may have reported while the disk was busy.
        draft = self._draft(entry, changes, [])
        draft.settle()
        try:
            if not draft.only_actual:
                await self._save_now(entry)
        finally:
            changed = self._announce(entry, draft)
        return changed

    def _draft(self, entry: Entry, changes: Mapping[str, Change | None], samples: list[Sample]) -> Draft:
        draft, now = Draft(entry), self._moment()
        for name, wanted in changes.items():
            known, prop = entry.twins.get(name), entry.device.properties.get(name)
            after, sample = applied(name, known, wanted, prop, now)
            draft.put(name, after)
            if sample:
                samples.append(sample)
        if draft.size > _TWINS:
            raise BadTwin(f"device {entry.device.id} would have {draft.size} twins; at most {_TWINS} are kept")
        return draft

    async def set_state(self, device: str, state: str) -> Standing:
        entry = self.entry(device)
        if state.lower() not in STATES:
            raise ValueError(f"state {state!r} of device {device} is not one of {', '.join(sorted(STATES))}")
        if state.lower() in (ONLINE, "ok"):
            self.seen(entry)
        self.stands(entry, state, entry.ready)
        return _standing(entry)

    def stands(self, entry: Entry, state: str, ready: Ready) -> None:
        """The device is in this *state*; written with the next flush."""
        now = rfc3339(self._clock.utc())
        if (ready.status, ready.reason) != (entry.ready.status, entry.ready.reason):
            ready = dataclasses.replace(ready, since=now)
        else:
            ready = dataclasses.replace(ready, since=entry.ready.since)
        if (state, ready) != (entry.state, entry.ready):
            entry.state, entry.ready = state, ready
            self._save(entry)
            self._feed.mark(entry.device.id)

    def seen(self, entry: Entry) -> None:
        """The device answered just now."""
        entry.last_online = rfc3339(self._clock.utc())

    # --- disk

    def flush(self) -> None:
        """Hand everything to the next flush of the telemetry."""
        for entry in self._entries.values():
            self._save(entry)

    def _save(self, entry: Entry) -> None:
        device = entry.device
        if self._current(entry):
            self._telemetry.save(device.id, device.uid, dump(entry), self._covered(entry))

    async def _save_now(self, entry: Entry) -> None:
        device = entry.device
        if not self._current(entry):
            return
        try:
            await self._telemetry.save_now(device.id, device.uid, dump(entry), self._covered(entry))
        except StoreFull:
            raise
        except StoreError as gone:
            raise UnknownDevice(f"device {device.id} has gone from this node meanwhile") from gone

    def _current(self, entry: Entry) -> bool:
        """Whether *entry* is not one of a device that has gone: its twins must not overwrite those of the next."""
        return self._entries.get(entry.device.id) is entry

    def _covered(self, entry: Entry) -> int:
        if not entry.storing:
            entry.covered = self._telemetry.last_seq(entry.device.id)
        return entry.covered

    def _announce(self, entry: Entry, draft: Draft) -> Changed:
        change = draft.changed()
        if change.after:
            self._feed.send(change)
            self._feed.mark(entry.device.id)
        return change

    def _moment(self) -> int:
        return int(self._clock.utc().timestamp() * 1000)


def _standing(entry: Entry) -> Standing:
    return Standing(entry.device, entry.state, entry.last_online)


def _unsure(twin: Twin | None) -> bool:
    return twin is not None and twin.wish.end is End.UNKNOWN and twin.expected is not None and not twin.differs


def _destinations(device: Device) -> dict[str, frozenset[str]]:
    """Who must get which samples, besides the push destinations, which the pusher names."""
    return {CLOUD: frozenset(name for name, prop in device.properties.items() if prop.report_to_cloud)}
