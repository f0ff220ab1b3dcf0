"""Pure: the topics of spec KubeEdge ``$hw/events``, taken apart level by level.

A device is named by two levels, namespace and name, or as before KubeEdge 1.17 by its name alone. The two forms have
different lengths for the same suffix.
"""

import dataclasses
import enum
from typing import Final

_DEVICE: Final = ("$hw", "events", "device")
_NODE: Final = ("$hw", "events", "node")


class Act(enum.StrEnum):
    """What a message asks for: the end of its topic."""

    UPDATE = "twin/update"
    GET = "twin/get"
    SYNC = "twin/cloud_updated"
    STATE = "state/update"
    MEMBERS = "membership/get"


_OF_DEVICES: Final = (Act.UPDATE, Act.GET, Act.SYNC, Act.STATE)
FILTERS: Final = (
    *(f"$hw/events/device/+/+/{act}" for act in _OF_DEVICES),
    *(f"$hw/events/device/+/{act}" for act in _OF_DEVICES),
    f"$hw/events/node/+/{Act.MEMBERS}",
)
"""What requests come on."""


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    act: Act
    name: str
    """Of the device, or of the node."""
    namespace: str | None = None
    """None: the form without one."""


def parse(topic: str) -> Request | None:
    """What is asked for; None: not a request."""
    levels = topic.split("/")
    head, ids, suffix = tuple(levels[:3]), levels[3:-2], "/".join(levels[-2:])
    if head == _NODE and len(ids) == 1 and suffix == Act.MEMBERS:
        return Request(Act.MEMBERS, ids[0])
    if head != _DEVICE or suffix not in _OF_DEVICES or not all(ids):
        return None
    match ids:
        case [name]:
            return Request(Act(suffix), name)
        case [namespace, name]:
            return Request(Act(suffix), name, namespace)
    return None


def of_device(ids: str, suffix: str) -> str:
    """A topic of a device; *ids* is ``namespace/name`` or a name alone."""
    return f"$hw/events/device/{ids}/{suffix}"


def of_node(node: str, suffix: str) -> str:
    return f"$hw/events/node/{node}/{suffix}"
