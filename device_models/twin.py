"""Pure: what is wanted and what is reported of a property, and how both change. One writer per half.

``expected`` and ``actual`` are KubeEdge's words on MQTT for what Kubernetes calls desired (observedDesired) and
reported. Versions count changes per half and per side of the channel. An expected value carries what became of it: it
is pending until the device has it, refuses it, or its time is over.
"""

import dataclasses
import enum
from typing import Self

from device_models import values
from device_models.errors import BadValue


class End(enum.StrEnum):
    """What became of a desired value."""

    PENDING = "Pending"
    WRITING = "Writing"
    """Under way: after a crash nobody knows whether the device has it; read before writing again."""
    APPLIED = "Applied"
    REJECTED = "Rejected"
    EXPIRED = "Expired"
    UNKNOWN = "Unknown"
    """Written, but the device could not be asked, or said something else."""

    @property
    def open(self) -> bool:
        """Whether something is still to be done."""
        return self in (End.PENDING, End.WRITING)


class Origin(enum.StrEnum):
    """Who wants a value."""

    CLOUD = "cloud"
    EDGE = "edge"


@dataclasses.dataclass(frozen=True, slots=True)
class Side:
    """One half of a twin."""

    value: str
    at: int
    """Milliseconds since 1970."""
    cloud: int = 0
    """How often the cloud changed it."""
    edge: int = 0
    """How often it changed here."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What comes with an expected value."""

    end: End = End.PENDING
    reason: str = ""
    origin: Origin = Origin.EDGE
    expires: int | None = None
    """Milliseconds since 1970; None: never."""
    token: str = ""
    """Stands for the change in the cloud that it came from: the same token again is the same change."""


@dataclasses.dataclass(frozen=True, slots=True)
class Twin:
    """Both halves of one property."""

    expected: Side | None = None
    actual: Side | None = None
    type: str = "string"
    optional: bool = True
    wish: Wish = Wish()

    @property
    def differs(self) -> bool:
        """Whether a non-empty expected value is not the actual one: then a delta is published."""
        if not self.expected or not self.expected.value:
            return False
        return self.actual is None or not _same(self.expected.value, self.actual.value, self.type)

    def reported(self, value: str, at: int) -> Self:
        """The device has *value*."""
        return dataclasses.replace(self, actual=_next(self.actual, value, at, edge=1))

    def wanted(self, value: str, at: int, wish: Wish) -> Self:
        """Somebody wants *value*."""
        by_cloud = wish.origin is Origin.CLOUD
        side = _next(self.expected, value, at, cloud=int(by_cloud), edge=int(not by_cloud))
        return dataclasses.replace(self, expected=side, wish=wish)

    def ended(self, end: End, reason: str = "") -> Self:
        """This became of the expected value."""
        return dataclasses.replace(self, wish=dataclasses.replace(self.wish, end=end, reason=reason))


def _next(side: Side | None, value: str, at: int, *, cloud: int = 0, edge: int = 0) -> Side:
    before = side or Side("", 0)
    return Side(value, at, before.cloud + cloud, before.edge + edge)


def _same(one: str, other: str, type: str) -> bool:
    """Whether two texts mean the same: as numbers 22 and 22.0 do, as text they do not."""
    return one == other or _canonical(one, type) == _canonical(other, type)


def _canonical(text: str, type: str) -> str:
    try:
        return values.render(values.parse(text, values.type_of_twin(type)))
    except BadValue:
        return text
