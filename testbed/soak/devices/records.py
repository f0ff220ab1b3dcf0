"""What was promised to each producer and what was found at the other end. Values only."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A sample in the node's history."""

    seq: int
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class Ledger:
    """What the node says became of a device's samples."""

    produced: int
    stored: int
    acknowledged: int
    dropped: int


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """One device whose numbers are kept."""

    accepted: tuple[int, ...]
    """In the order in which they were; for the counter: what the register was set to."""
    history: tuple[Kept, ...]
    ledger: Ledger
    shown: str
    """What DeviceStatus reports."""
    sampled: bool = False
    """Whether it is read now and then, so that numbers may be skipped; the last may not."""


@dataclasses.dataclass(frozen=True, slots=True)
class Arrival:
    """One sample that the sink was sent."""

    key: str
    """What the sender says identifies it."""
    seq: int
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A wish for the register that the API has taken."""

    value: int
    expires: float | None = None
    """On the monotonic clock; None: never."""


@dataclasses.dataclass(frozen=True, slots=True)
class Write:
    """A write that the Modbus server saw, *at* on the monotonic clock."""

    at: float
    value: int


@dataclasses.dataclass(frozen=True, slots=True)
class Valve:
    """The register that wishes are made for."""

    asked: tuple[Asked, ...]
    writes: tuple[Write, ...]
    register: int
    wanted: str
    """The desired value that DeviceStatus shows, and what it says became of it."""
    end: str


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """Everything, at one moment."""

    streams: Mapping[str, Stream]
    pushed: Mapping[str, tuple[Arrival, ...]]
    """What the sink got, by device, in order."""
    valves: Mapping[str, Valve]
