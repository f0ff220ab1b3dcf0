"""The mappers of this node: one seat per protocol, and what the mapper in it was given.

Owns: who serves which protocol, what each has of models and devices, what is still to be told to it, and the memory of
it on disk, so that a restart of ours repeats no call. Decides nothing and calls nobody: `reconcile` fills the seats,
`endpoint` hands them out, `drivers` waits at them. A registration makes a new seat; whoever still holds the old one
does no harm.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

from edgecore.devices.dmi.holdings import Failure, Held, Mapper
from edgecore.devices.dmi.memory import Memory, Remembered
from edgecore.devices.driver import DeviceSilent
from edgecore.store.changes import Changes
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean

MOST: Final = 64
"""Mappers of one node. More is a mistake, or a flood."""
_FRESH: Final = 10.0  # seconds in which a value that went along with a call counts as told for the wish that follows


@dataclasses.dataclass(frozen=True, slots=True)
class Ask:
    """A wish that somebody waits for."""

    value: str
    done: asyncio.Future[None]


class Seat:
    """One registration of a mapper."""

    def __init__(self, mapper: Mapper, since: float) -> None:
        self.mapper = mapper
        self.since = since
        self.seen = since
        """When the mapper was last known to live."""
        self.alive = True
        self.models: dict[str, Held] = {}
        self.devices: dict[str, Held] = {}
        self.told: dict[str, dict[str, list[str]]] = {}
        """Desired values by device and property: the one it was told last, and the one before."""
        self.failures: dict[tuple[str, str], Failure] = {}
        """By ``device`` or ``model``, and ``namespace/name``."""
        self.unreached = 0
        """How often in a row it could not be called."""
        self.asked: dict[str, dict[str, Ask]] = {}
        """Wishes to be told, by device and property."""
        self._fresh: dict[tuple[str, str], tuple[str, float]] = {}

    def tell(self, device: str, desired: Mapping[str, str], now: float) -> None:
        """The mapper was sent *desired*, by property."""
        known = self.told.setdefault(device, {})
        for name, value in desired.items():
            before = known.get(name, [])
            if before[:1] != [value]:
                known[name] = [value, *before[:1]]
            self._fresh[device, name] = (value, now)

    def just_told(self, device: str, name: str, now: float) -> str:
        """The desired value that went along with a call a moment ago, once; else empty."""
        told, at = self._fresh.pop((device, name), ("", now))
        return told if now - at < _FRESH else ""

    def fail(self, devices: Iterable[str], why: str) -> None:
        """Whoever waits for a wish of one of *devices* to be told hears that it is not."""
        for device in list(devices):
            answer(self.asked.pop(device, {}), DeviceSilent(why))

    def forget(self, device: str) -> None:
        """The mapper does not have the device any more."""
        self.devices.pop(device, None)
        self.told.pop(device, None)
        for key in [key for key in self._fresh if key[0] == device]:
            del self._fresh[key]


class Seats:
    """See the module."""

    def __init__(self, memory: Memory, clock: Clock) -> None:
        self._memory, self._clock = memory, clock
        self._seats: dict[str, Seat] = {}
        self._bells: dict[str, asyncio.Event] = {}
        self._changes: Changes[str] = Changes()
        self._work: Changes[str] = Changes()

    def load(self) -> None:
        """Take the mappers of before the restart as still there."""
        for old in self._memory.load():
            seat = Seat(Mapper(old.protocol, old.name, old.version, old.address), float("-inf"))
            seat.models = {key: Held(digest) for key, digest in old.models.items()}
            seat.devices = {key: Held(digest, key not in old.unsure) for key, digest in old.devices.items()}
            seat.told = {device: dict(values) for device, values in old.told.items()}
            self._seats[old.protocol] = seat

    def save(self) -> None:
        """Remember everything."""
        self._memory.save([_remembered(seat) for seat in self._seats.values()])

    def seat(self, protocol: str) -> Seat | None:
        """Who serves *protocol*."""
        return self._seats.get(protocol)

    def all(self) -> list[Seat]:
        return list(self._seats.values())

    def current(self, seat: Seat) -> bool:
        """Whether *seat* has not been taken by a newer registration."""
        return self._seats.get(seat.mapper.protocol) is seat

    def protocols(self) -> set[str]:
        """Protocols with a mapper, also one that does not answer at the moment. Names are exact."""
        return set(self._seats)

    def full(self, protocol: str) -> bool:
        """Whether there is no room for a mapper of *protocol*."""
        return protocol not in self._seats and len(self._seats) >= MOST

    def put(self, seat: Seat) -> None:
        """A mapper registered; whoever had its protocol is out."""
        before = self._seats.get(seat.mapper.protocol)
        self._seats[seat.mapper.protocol] = seat
        self.save()
        if before:
            before.fail(before.asked, f"mapper {clean(seat.mapper.name)} registered anew")
        self._news(seat)

    def drop(self, seat: Seat) -> None:
        """The mapper is gone for good."""
        if self.current(seat):
            del self._seats[seat.mapper.protocol]
            self.save()
            self._news(seat)

    def alive(self, seat: Seat, alive: bool) -> None:
        """The mapper answers, or does not."""
        if alive:
            seat.seen = self._clock.now()
        if alive != seat.alive:
            seat.alive = alive
            self._news(seat)

    def _news(self, seat: Seat) -> None:
        self.ring(*list(self._bells))
        self._changes.send([seat.mapper.protocol])
        self.mark(seat.mapper.protocol)

    def changes(self) -> AsyncIterator[str]:
        """Protocols whose mapper came, went, or answers again; first all there are."""
        return self._follow(self._changes)

    def work(self) -> AsyncIterator[str]:
        """Protocols whose mapper may have to be told something; first all there are."""
        return self._follow(self._work)

    def mark(self, protocol: str) -> None:
        """Its mapper may have to be told something."""
        self._work.send([protocol])

    async def _follow(self, changes: Changes[str]) -> AsyncIterator[str]:
        with changes.listen() as listener:
            listener.add(self._seats)
            while True:
                yield await listener.next()

    def ring(self, *devices: str) -> None:
        """Something about these devices changed at their mapper."""
        for device in devices:
            if bell := self._bells.pop(device, None):
                bell.set()

    async def wait_news(self, device: str) -> None:
        """Until something about *device*, or its mapper, changes."""
        await self._bells.setdefault(device, asyncio.Event()).wait()


def answer(asked: Mapping[str, Ask], error: Exception | None) -> None:
    """Tell everybody in *asked* how it went."""
    for ask in asked.values():
        if not ask.done.done():
            if error is None:
                ask.done.set_result(None)
            else:
                ask.done.set_exception(error)


def _remembered(seat: Seat) -> Remembered:
    mapper = seat.mapper
    return Remembered(
        protocol=mapper.protocol,
        name=mapper.name,
        version=mapper.version,
        address=mapper.address,
        models={key: held.digest for key, held in seat.models.items()},
        devices={key: held.digest for key, held in seat.devices.items()},
        unsure=[key for key, held in seat.devices.items() if not held.sure],
        told=seat.told,
    )
