"""Pure: what is due on a device now: which reads, which writes, which values are news. Times are seconds, monotonic.

A property is read on a grid of its own cycle from one common start, so that properties of one cycle fall due together
and travel in one request. A deadline that passed is counted and skipped: late reads never pile up.
"""

import dataclasses
import enum
from collections.abc import Iterable, Mapping

from device_models.model import Device, Property, Value
from device_models.twin import Origin, Twin

_TOGETHER = 0.005
"""Seconds that a read may be early to travel with another."""


class Schedule:
    """When to read which property of one device."""

    def __init__(self, properties: Iterable[Property], now: float) -> None:
        self._properties = list(properties)
        self._due = {prop.name: now for prop in self._properties}
        self.missed = 0
        """Deadlines that passed without a read."""

    def take(self, now: float) -> list[Property]:
        """What is due; each is planned for its next turn."""
        found = [prop for prop in self._properties if self._due[prop.name] <= now + _TOGETHER]
        for prop in found:
            due = self._due[prop.name] + prop.collect_cycle
            if due + _TOGETHER < now:
                skipped = int((now - due) / prop.collect_cycle) + 1
                self.missed += skipped
                due += skipped * prop.collect_cycle
            self._due[prop.name] = due
        return found

    @property
    def next(self) -> float | None:
        """When something is due; None: never."""
        return min(self._due.values(), default=None)


class News(enum.Enum):
    """What a value is to those who hear of it."""

    NOTHING = 0
    """As before."""
    AGAIN = 1
    """As before, but a sample is due for the push methods."""
    VALUE = 2
    """Another value."""


@dataclasses.dataclass(slots=True)
class Last:
    """What was last taken as news of a property."""

    value: Value
    sampled: float


def news(prop: Property, last: Last | None, value: Value, now: float) -> News:
    """Whether *value* is worth telling."""
    if last is None or _differs(prop, last.value, value):
        return News.VALUE
    if not prop.only_changes or (prop.push and now - last.sampled + _TOGETHER >= prop.report_cycle):
        return News.AGAIN
    return News.NOTHING


def _differs(prop: Property, old: Value, new: Value) -> bool:
    if old == new and type(old) is type(new):
        return False
    if prop.dead_band and _number(old) and _number(new):
        return abs(float(new) - float(old)) > prop.dead_band
    return old != new


def _number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def close_enough(prop: Property, wanted: Value, found: Value) -> bool:
    """Whether what was read back is what was written: a register rounds to its scale."""
    if isinstance(wanted, float) and isinstance(found, int | float):
        step = _scale(prop)
        return abs(wanted - found) <= max(abs(wanted) * 1e-6, step / 2 + step * 1e-6, prop.dead_band)
    return wanted == found


def _scale(prop: Property) -> float:
    for key, value in prop.visitor.items():
        if key.lower() == "scale":
            try:
                return abs(float(value))
            except (TypeError, ValueError):
                return 0.0
    return 0.0


def writes(device: Device, twins: Mapping[str, Twin]) -> list[Property]:
    """Properties with a wish that is still open."""
    return [
        prop
        for name, prop in device.properties.items()
        if (twin := twins.get(name)) and twin.expected is not None and twin.wish.end.open
    ]


def expired(twin: Twin, now_ms: int) -> bool:
    """Whether the time of an open wish is over."""
    return twin.wish.end.open and twin.wish.expires is not None and now_ms >= twin.wish.expires


def next_expiry(twins: Iterable[Twin]) -> int | None:
    """When the next open wish expires, milliseconds since 1970."""
    return min((t.wish.expires for t in twins if t.wish.end.open and t.wish.expires is not None), default=None)


UNFIT = "-"
"""Ends the token of a change that did not fit its property: should the model change, it may be tried once more."""


def supersedes(known: Twin | None, token: str, stamped: int | None) -> bool:
    """Whether a desired value that the cloud sends is a new wish.

    The same token is the same change, whatever became of it: nothing is replayed. A wish made at the edge meanwhile
    yields, unless the cloud's says that it is older.
    """
    if known is None or known.expected is None:
        return True
    if same_change(known, token):
        return False
    by_edge = known.wish.origin is Origin.EDGE
    return not (by_edge and stamped is not None and stamped < known.expected.at)


def same_change(known: Twin, token: str) -> bool:
    """Whether *known* has seen the change that *token* stands for."""
    return known.wish.token in (token, token.removesuffix(UNFIT))


def same_but_wishes(one: Device, other: Device) -> bool:
    """Whether only desired values differ: the driver need not connect anew for that."""
    return _without_wishes(one) == _without_wishes(other)


def _without_wishes(device: Device) -> Device:
    plain = {name: dataclasses.replace(prop, desired=None) for name, prop in device.properties.items()}
    return dataclasses.replace(device, properties=plain)
