"""What the ways to the twins (MQTT topics, DMI mappers) may ask of the devices of this node. Implemented by `book`."""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from device_models.model import Device
from device_models.twin import Twin


class UnknownDevice(Exception):
    """No such device on this node."""


class BadTwin(Exception):
    """The request is refused as a whole; the message says which name breaks which rule."""


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What a request wants of one twin; None leaves that half as it is. Values are text, as on MQTT."""

    actual: str | None = None
    expected: str | None = None
    at: int | None = None
    """When the actual value was measured, ms; None: now."""
    type: str = ""
    optional: bool | None = None
    expires: int | None = None
    """For an expected value: void after this, ms."""
    versions: tuple[tuple[int, int] | None, tuple[int, int] | None] | None = None
    """For a sync: (cloud, edge) of expected and of actual; a half without is left alone, an older one is refused."""


@dataclasses.dataclass(frozen=True, slots=True)
class Changed:
    """What happened to the twins of a device: each changed name before and after (None: was not, is no more)."""

    device: str
    """``namespace/name``."""
    before: Mapping[str, Twin | None]
    after: Mapping[str, Twin | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """How a device is."""

    device: Device
    state: str = "unknown"
    last_online: str = ""
    """RFC 3339; empty: never."""


@dataclasses.dataclass(frozen=True, slots=True)
class Membership:
    """Devices that came to, or went from, this node."""

    added: tuple[Device, ...] = ()
    removed: tuple[Device, ...] = ()


class Twins(Protocol):
    """The devices of this node and their twins. *device* is always ``namespace/name``."""

    def devices(self) -> Sequence[Standing]:
        """All of them, by id."""

    def standing(self, device: str) -> Standing:
        """Raises UnknownDevice."""

    def twins(self, device: str) -> Mapping[str, Twin]:
        """Raises UnknownDevice."""

    async def update(self, device: str, changes: Mapping[str, Change | None], *, id: str = "") -> Changed:
        """Apply a request as one; None deletes an optional twin. Returns when it is on the disk.

        A repeat of *id* changes nothing and returns no changes. Raises UnknownDevice, BadTwin, StoreFull.
        """

    async def set_state(self, device: str, state: str) -> Standing:
        """One of online, offline, ok, unknown, unhealthy, disconnected. Raises UnknownDevice, ValueError."""

    def changed(self) -> AsyncIterator[Changed]:
        """Every change of a twin, whoever made it, in order per device; those of `update` too."""

    def membership(self) -> AsyncIterator[Membership]:
        """Devices as they come and go; the first item is all that are there."""
