"""`contract.Twins` in memory for tests of DMI: devices and twins as a test sets them, and what was asked of them."""

from collections.abc import AsyncIterator, Mapping, Sequence

from device_models.model import Device
from device_models.twin import End, Origin, Twin, Wish
from edgecore.devices.contract import BadTwin, Change, Changed, Membership, Standing, UnknownDevice

LONGEST = 4096
STATES = ("online", "offline", "ok", "unknown", "unhealthy", "disconnected")


class FakeTwins:
    """Takes any text up to `LONGEST` characters; `trouble` is raised by the next updates."""

    def __init__(self, *devices: Device) -> None:
        self.standings = {device.id: Standing(device) for device in devices}
        self.by_device: dict[str, dict[str, Twin]] = {device.id: {} for device in devices}
        self.updates: list[tuple[str, Mapping[str, Change | None]]] = []
        self.states: list[tuple[str, str]] = []
        self.trouble: Exception | None = None

    def add(self, device: Device) -> None:
        self.standings[device.id] = Standing(device)
        self.by_device.setdefault(device.id, {})

    def wish(self, device: str, name: str, value: str, *, at: int = 1, wish: Wish | None = None) -> None:
        """The cloud wants *value*."""
        twin = self.by_device[device].get(name, Twin())
        self.by_device[device][name] = twin.wanted(value, at, wish or Wish(End.PENDING, origin=Origin.CLOUD))

    def devices(self) -> Sequence[Standing]:
        return list(self.standings.values())

    def standing(self, device: str) -> Standing:
        if device not in self.standings:
            raise UnknownDevice(f"there is no device {device} on this node")
        return self.standings[device]

    def twins(self, device: str) -> Mapping[str, Twin]:
        self.standing(device)
        return self.by_device[device]

    async def update(self, device: str, changes: Mapping[str, Change | None], *, id: str = "") -> Changed:
        twins = self.twins(device)
        if self.trouble is not None:
            raise self.trouble
        for name, change in changes.items():
            if change and len(change.actual or "") > LONGEST:
                raise BadTwin(f"{name}: must have at most {LONGEST} bytes")
        self.updates.append((device, changes))
        after = {name: _after(twins.get(name, Twin()), change) for name, change in changes.items() if change}
        self.by_device[device].update(after)
        return Changed(device, {}, after)

    async def set_state(self, device: str, state: str) -> Standing:
        standing = self.standing(device)
        if state.lower() not in STATES:
            raise ValueError(f"state {state!r} of device {device} is not one of {', '.join(STATES)}")
        self.states.append((device, state))
        return standing

    async def changed(self) -> AsyncIterator[Changed]:
        return
        yield

    async def membership(self) -> AsyncIterator[Membership]:
        return
        yield


def _after(twin: Twin, change: Change) -> Twin:
    if change.actual is not None:
        twin = twin.reported(change.actual, change.at or 0)
    if change.expected is not None:
        twin = twin.wanted(change.expected, change.at or 0, Wish())
    return Twin(twin.expected, twin.actual, change.type or twin.type, twin.optional, twin.wish)
