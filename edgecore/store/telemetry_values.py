"""What telemetry is made of: samples, their numbers, and the ledger that says what became of them."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from device_models.model import Value

DISK_FULL: Final = "disk full"
BUDGET: Final = "budget"
AGE: Final = "age"
DAMAGED: Final = "damaged"
"""Reasons for a drop, beside ``refused by …``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One value of one property."""

    name: str
    value: Value
    at: int
    """When it was measured, milliseconds since 1970."""


@dataclasses.dataclass(frozen=True, slots=True)
class Numbered:
    """A sample and its place in its device's stream; the first is 1."""

    seq: int
    sample: Sample


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Samples in order, and how far the stream was looked through: nothing wanted is missing up to *upto*."""

    samples: tuple[Numbered, ...]
    upto: int


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far one destination has come in a stream: everything up to *acknowledged* is settled for it."""

    sent: int
    acknowledged: int
    waiting: int
    """Numbers after that; some of them may be of properties that it does not want."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ledger:
    """What became of every sample of one device. ``produced == acknowledged + waiting + dropped``, always."""

    produced: int = 0
    """Numbered, whether or not it is on the disk yet."""
    stored: int = 0
    """Written to the disk."""
    sent: int = 0
    """Handed to every destination that wants it, at least once."""
    acknowledged: int = 0
    """Stored, and confirmed by every destination that wants it. What nobody wants needs no confirmation."""
    dropped: int = 0
    """Some destination that wants it will not get it. Each sample is counted once, whatever happened to it."""
    because: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """`dropped` by reason."""
    destinations: Mapping[str, Progress] = dataclasses.field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """On its way: to the disk, or to a destination."""
        return self.produced - self.acknowledged - self.dropped
