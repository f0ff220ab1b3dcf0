"""Pure: what a request makes of one twin, by KubeEdge's rules for ``twin/update`` and ``twin/cloud_updated``."""

import dataclasses

from device_models import values
from device_models.errors import BadValue
from device_models.model import Property, Value
from device_models.twin import End, Side, Twin, Wish
from edgecore.devices.contract import BadTwin, Change
from edgecore.store.telemetry_values import Sample

Version = tuple[int, int]


def applied(
    name: str, before: Twin | None, change: Change | None, prop: Property | None, now: int
) -> tuple[Twin | None, Sample | None]:
    """The twin afterwards (None: deleted), and the sample that its new actual value is. Raises BadTwin."""
    if change is None:
        return (None if before is None or before.optional else before), None
    if before is None and _of_nothing(change):
        return None, None
    twin = before or Twin(type=change.type or (values.twin_type(prop.type) if prop else "string"))
    if change.optional is False:
        twin = dataclasses.replace(twin, optional=False)
    twin, sample = _actual(name, twin, change, prop, now)
    twin = _expected(name, twin, change, prop, now)
    # What was measured earlier proves nothing: the device may have changed since. Without a property nobody will write.
    told = change.actual is not None or prop is None
    if told and twin.expected and not twin.differs and twin.wish.end in (End.PENDING, End.UNKNOWN):
        twin = twin.ended(End.APPLIED)
    return twin, sample


def _actual(name: str, twin: Twin, change: Change, prop: Property | None, now: int) -> tuple[Twin, Sample | None]:
    if change.actual is None or not _accepted(twin.actual, change, 1):
        return twin, None
    value, at = _typed(name, change.actual, twin, prop), now if change.at is None else change.at
    after = _versioned(twin.reported(change.actual, at).actual, change, 1)
    return dataclasses.replace(twin, actual=after), Sample(name, value, at)


def _expected(name: str, twin: Twin, change: Change, prop: Property | None, now: int) -> Twin:
    if change.expected is None or not _accepted(twin.expected, change, 0):
        return twin
    if change.expected:
        _typed(name, change.expected, twin, prop)
    wanted = twin.wanted(change.expected, now, Wish(expires=change.expires, token=twin.wish.token))
    return dataclasses.replace(wanted, expected=_versioned(wanted.expected, change, 0))


def _of_nothing(change: Change) -> bool:
    """A sync of a twin nobody knows, without a version, says nothing."""
    return change.versions is not None and not any(change.versions)


def _accepted(side: Side | None, change: Change, half: int) -> bool:
    """A sync must have seen what is here: neither count of its version may be behind."""
    if change.versions is None:
        return True
    version = change.versions[half]
    if version is None:
        return False
    return side is None or (side.cloud <= version[0] and side.edge <= version[1])


def _versioned(side: Side | None, change: Change, half: int) -> Side | None:
    """After a sync the version is the sender's."""
    version = change.versions[half] if change.versions else None
    return dataclasses.replace(side, cloud=version[0], edge=version[1]) if side and version else side


def _typed(name: str, text: str, twin: Twin, prop: Property | None) -> Value:
    try:
        return values.parse(text, prop.type if prop else values.type_of_twin(twin.type))
    except BadValue as bad:
        raise BadTwin(f"{name}: {bad}") from bad
