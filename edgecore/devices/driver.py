"""The driver SDK: everything that the author of a device driver needs, and all that a driver may know of us.

A driver is one class, registered under the entry point group ``marram.drivers`` with its protocol as the name::

    class Thermometer(Driver):
        async def connect(self) -> None:
            self.reader, self.writer = await asyncio.open_connection(self.device.config["host"], 4001)

        async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
            self.writer.write(b"T?\\n")
            return {"temperature": float(await self.reader.readline())}

Calls to one driver never overlap and each has a time limit (``timeout``), after which the call is cancelled. A driver
keeps no queue and no retry: it raises, and the caller decides. ``OSError``, ``TimeoutError`` and ``EOFError`` out of
any call count as `DeviceSilent`.
"""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar

from device_models.model import Device, Property, Value, ValueType

__all__ = [
    "BadSetting",
    "Device",
    "DeviceRefused",
    "DeviceSilent",
    "Driver",
    "Outcome",
    "Property",
    "Reading",
    "Value",
    "ValueType",
]


class DeviceSilent(Exception):
    """The device does not answer, or its answers make no sense: close, wait, connect anew."""


class DeviceRefused(Exception):
    """The device answered no. The message is its reason, for people; asking again will not help."""


class BadSetting(Exception):
    """The Device object says something this driver cannot work with; the message names the field. Not retried."""


Outcome = Value | DeviceRefused
"""What reading one property gave: its value, or why the device would not say."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """Values that a device sent by itself."""

    values: Mapping[str, Outcome]
    at: int | None = None
    """When they were measured, milliseconds since 1970; None: now."""
    id: str = ""
    """A repeat of the same message carries the same id and is then taken only once; empty: unknown."""


class Driver:
    """One device. Made anew for every connection attempt; ``__init__`` may raise `BadSetting`, and does no I/O."""

    polled: ClassVar[bool] = True
    """Whether `read` is to be called on each property's ``collectCycle``; False for devices that send by themselves."""

    timeout: float = 10.0
    """Seconds that a call may take."""

    def __init__(self, device: Device) -> None:
        self.device = device

    async def connect(self) -> None:
        """Return once the device has answered. Raises `DeviceSilent`, `BadSetting`."""

    async def read(self, properties: Sequence[Property]) -> Mapping[str, Outcome]:
        """Values of *properties*, in one round if the protocol can. What is missing in the answer counts as silent."""
        return {}

    async def write(self, prop: Property, value: Value) -> None:
        """Return once the device has confirmed. *value* fits the property's type and limits.

        Writing the same value again must be harmless. Raises `DeviceSilent`, `DeviceRefused`.
        """
        raise DeviceRefused(f"{prop.name} cannot be written: its driver only reads")

    async def readings(self) -> AsyncIterator[Sequence[Reading]]:
        """What the device sends by itself, for drivers that are not ``polled``.

        Runs beside the other calls. The next batch is asked for when this one is on the disk: to acknowledge a message
        to the device is to do so after ``yield``. Raises `DeviceSilent` when the connection is gone.
        """
        return
        yield ()

    async def close(self) -> None:
        """Let go of the device; called once, also after a failed `connect`. Must not raise."""
