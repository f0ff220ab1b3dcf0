"""What the author of a driver brings to a check: a device, or a stand-in for one, and the driver that shall work it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from device_models.model import Device, Property, Value, ValueType
from edgecore.devices.driver import Driver
from edgecore.devices.kit.garbage import Garbage


class BenchBroken(Exception):
    """The bench itself does not work: nothing can be said of the driver."""


class Link(Protocol):
    """The way from driver to device, with what can happen to it. Methods may be called at any time, in any thread."""

    def cut(self) -> None:
        """Break what is connected, and let nobody connect."""

    def stall(self) -> None:
        """Nothing arrives any more, and nobody is told."""

    def slow(self, seconds: float) -> None:
        """Each answer takes this much longer."""

    def garble(self, garbage: Garbage) -> None:
        """Spoil what the device says."""

    def mend(self) -> None:
        """End all of that."""


class Bench:
    """Subclass it, name the driver, and say how to start the device. The check writes to it: no real valves, please.

    `start`, `stop` and `stir` run in an event loop and thread of their own: a driver that blocks its loop does not
    block its device.
    """

    driver: ClassVar[type[Driver]]
    """The driver class."""
    protocol: ClassVar[str] = ""
    properties: ClassVar[Sequence[Property]] = ()
    """What the device has, as a model would say it. Limits make the check sharper."""
    expected: ClassVar[Mapping[str, Value]] = {}
    """What the device has at the start, in the units of the model: finds wrong scales."""
    samples: ClassVar[Mapping[str, Sequence[Value]]] = {}
    """Values to write; without them, some within the limits."""
    lenient: ClassVar[bool] = False
    """Whether the driver takes settings that it does not know, as objects made for other systems have them."""
    patience: ClassVar[float] = 1.0
    """Seconds that a call may take. The device answers well within that."""

    async def start(self) -> tuple[str, int] | None:
        """Start the device; where it listens on TCP, or None. The check puts a link with faults between."""
        return None

    async def stop(self) -> None:
        """Stop it."""

    async def stir(self) -> None:
        """Make the device send all its values, if it is one that sends by itself."""

    def config(self, host: str, port: int) -> Mapping[str, Any]:
        """``spec.protocol.configData`` of a device that is found at *host* and *port*."""
        return {"host": host, "port": port}

    def link(self) -> Link | None:
        """For devices that are not on TCP: the link with faults. None: what needs one is not checked."""
        return None

    def make(self, device: Device) -> Driver:
        """The driver of *device*, for those that take more than a device."""
        return self.driver(device)

    def device(self, config: Mapping[str, Any], properties: Sequence[Property] | None = None) -> Device:
        """The Device object."""
        chosen = self.properties if properties is None else properties
        return Device(
            namespace="default",
            name="checked",
            uid="checked",
            protocol=self.protocol,
            config=config,
            properties={prop.name: prop for prop in chosen},
        )

    def to_write(self, prop: Property) -> Sequence[Value]:
        """Values to write to *prop*."""
        return self.samples.get(prop.name) or _samples(prop)


def _samples(prop: Property) -> Sequence[Value]:
    match prop.type:
        case ValueType.BOOLEAN:
            return True, False
        case ValueType.BYTES:
            return b"\x01\x02", b"\x03\x04"
        case ValueType.STRING | ValueType.STREAM:
            return "first", "second"
    low = prop.minimum if prop.minimum is not None else min(0, prop.maximum or 0)
    high = prop.maximum if prop.maximum is not None else max(low, 0) + 10
    between = [low + (high - low) * part for part in (0.4, 0.6)]
    return [
        round(value) if prop.type is ValueType.INT else round(value, 1 if high - low > 1 else 4) for value in between
    ]
