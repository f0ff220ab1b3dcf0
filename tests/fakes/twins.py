"""Twins in memory, as strict as the book about what the tests of its callers need."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from device_models.model import Device
from device_models.twin import Twin, Wish
from edgecore.devices.contract import BadTwin, Change, Changed, Membership, Standing, UnknownDevice
from edgecore.store.errors import StoreFull
from edgelink.aio.clock import Clock, rfc3339


class FakeTwins:
    """`contract.Twins`; `add`, `remove`, `happens` and `full` are the test's."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._standings: dict[str, Standing] = {}
        self._twins: dict[str, dict[str, Twin]] = {}
        self._seen: set[str] = set()
        self._changes: list[asyncio.Queue[Changed]] = []
        self._members: list[asyncio.Queue[Membership]] = []
        self.full = False
        """Whether the disk is."""
        self.updates = 0
        self.gate: asyncio.Event | None = None
        """If set, updates wait for it: the disk is slow."""

    def add(self, namespace: str, name: str, **twins: Twin) -> Device:
        device = Device(namespace=namespace, name=name, description=f"the {name}")
        self._standings[device.id] = Standing(device)
        self._twins[device.id] = dict(twins)
        for queue in self._members:
            queue.put_nowait(Membership(added=(device,)))
        return device

    def remove(self, device: str) -> None:
        gone = self._standings.pop(device).device
        del self._twins[device]
        for queue in self._members:
            queue.put_nowait(Membership(removed=(gone,)))

    def happens(self, device: str, **twins: Twin) -> None:
        """A driver or the cloud changes twins."""
        self._apply(device, dict(twins))

    def devices(self) -> Sequence[Standing]:
        return [self._standings[device] for device in sorted(self._standings)]

    def standing(self, device: str) -> Standing:
        if device not in self._standings:
            raise UnknownDevice(f"device {device} does not exist on this node")
        return self._standings[device]

    def twins(self, device: str) -> Mapping[str, Twin]:
        self.standing(device)
        return self._twins[device]

    async def update(self, device: str, changes: Mapping[str, Change | None], *, id: str = "") -> Changed:
        self.standing(device)
        if self.gate:
            await self.gate.wait()
        if self.full:
            raise StoreFull("the disk is full")
        if id and id in self._seen:
            return Changed(device, {}, {})
        after = {name: self._changed(device, name, change) for name, change in changes.items()}
        self._seen.add(id)
        self.updates += 1
        return self._apply(
            device, {name: twin for name, twin in after.items() if twin != self._twins[device].get(name)}
        )

    def _changed(self, device: str, name: str, change: Change | None) -> Twin | None:
        known, now = self._twins[device].get(name), int(self._clock.utc().timestamp() * 1000)
        if change is None:
            return known if known and not known.optional else None
        twin = known or Twin(type=change.type or "string")
        for value in (change.actual, change.expected):
            if value and twin.type == "int" and not value.lstrip("-").isdigit():
                raise BadTwin(f"{name}: {value} is not an int")
        if change.actual is not None and self._newer(change, 1, twin):
            twin = twin.reported(change.actual, change.at or now)
        if change.expected is not None and self._newer(change, 0, twin):
            twin = twin.wanted(change.expected, now, Wish(expires=change.expires))
        return twin

    @staticmethod
    def _newer(change: Change, side: int, twin: Twin) -> bool:
        if change.versions is None:
            return True
        version, known = change.versions[side], (twin.expected, twin.actual)[side]
        return version is not None and (known is None or (known.cloud <= version[0] and known.edge <= version[1]))

    def _apply(self, device: str, after: dict[str, Twin | None]) -> Changed:
        twins = self._twins[device]
        changed = Changed(device, {name: twins.get(name) for name in after}, dict(after))
        for name, twin in after.items():
            if twin is None:
                twins.pop(name, None)
            else:
                twins[name] = twin
        if after:
            for queue in self._changes:
                queue.put_nowait(changed)
        return changed

    async def set_state(self, device: str, state: str) -> Standing:
        known = self.standing(device)
        if state.lower() not in ("online", "offline", "ok", "unknown", "unhealthy", "disconnected"):
            raise ValueError(f"{state} is not a state")
        online = state.lower() in ("online", "ok")
        last = rfc3339(self._clock.utc()) if online else known.last_online
        self._standings[device] = Standing(known.device, state, last)
        return self._standings[device]

    async def changed(self) -> AsyncIterator[Changed]:
        queue: asyncio.Queue[Changed] = asyncio.Queue()
        self._changes.append(queue)
        while True:
            yield await queue.get()

    async def membership(self) -> AsyncIterator[Membership]:
        queue: asyncio.Queue[Membership] = asyncio.Queue()
        queue.put_nowait(Membership(added=tuple(s.device for s in self.devices())))
        self._members.append(queue)
        while True:
            yield await queue.get()
