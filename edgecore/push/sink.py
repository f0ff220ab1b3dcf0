"""What every sink can do, and how it says no."""

from collections.abc import Sequence
from typing import Protocol

from device_models.model import Device
from edgecore.store.telemetry import Numbered


class SinkAway(Exception):
    """It cannot take samples now; try again later. The message says why."""


class SinkRefused(Exception):
    """It will never take these samples. The message is short and does not depend on the samples."""


class Sink(Protocol):
    """Where the samples of one or more devices go. Calls for one device never overlap."""

    @property
    def batch(self) -> int:
        """How many samples one call may carry."""

    async def send(self, device: Device, samples: Sequence[Numbered]) -> None:
        """Returns when the other side has them. Sending twice must be harmless. Raises SinkAway, SinkRefused.

        A call that is refused with more than one sample is made again for each of them.
        """
