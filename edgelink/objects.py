"""The vocabulary both ends share: kinds, keys, wanted objects, reports. Bodies are JSON bytes that nobody here parses.

Versions are opaque and compared for equality only. The version of a wanted object is a digest of what an edge can
see of it, not the API's resourceVersion: a status patch (our own report coming back) must not travel down again.
"""

import dataclasses
import enum
import hashlib
from collections.abc import Iterable
from typing import Final, NewType

NodeName = NewType("NodeName", str)
Uid = NewType("Uid", str)
Version = NewType("Version", str)


class Kind:
    """Plural resource names as the API spells them. On the wire any string may come; unknown ones are refused."""

    NODE: Final = "nodes"
    LEASE: Final = "leases"
    EVENT: Final = "events"
    POD: Final = "pods"
    CONFIG_MAP: Final = "configmaps"
    SECRET: Final = "secrets"
    SERVICE_ACCOUNT: Final = "serviceaccounts"
    VOLUME: Final = "persistentvolumes"
    CLAIM: Final = "persistentvolumeclaims"
    DEVICE_MODEL: Final = "devicemodels"
    DEVICE: Final = "devices"
    DEVICE_STATUS: Final = "devicestatuses"


DEPENDENCY_ORDER: Final = (
    Kind.SERVICE_ACCOUNT,
    Kind.SECRET,
    Kind.CONFIG_MAP,
    Kind.VOLUME,
    Kind.CLAIM,
    Kind.DEVICE_MODEL,
    Kind.POD,
    Kind.DEVICE,
)
"""What must be at the edge first comes first; a kind not named here comes before pods."""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """Names one object: plural kind, namespace ("" for cluster scope), name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "ObjectKey":
        """Inverse of ``str``. Raises ValueError unless *text* has exactly three parts and a kind and a name."""
        kind, namespace, name = text.split("/")
        if not kind or not name:
            raise ValueError(f"object key {text!r} lacks a kind or a name")
        return cls(kind, namespace, name)


def rank(key: ObjectKey) -> int:
    """Place of *key* in dependency order."""
    try:
        return DEPENDENCY_ORDER.index(key.kind)
    except ValueError:
        return DEPENDENCY_ORDER.index(Kind.POD) - 1


@dataclasses.dataclass(frozen=True, slots=True)
class DesiredObject:
    """What the cloud wants on a node."""

    key: ObjectKey
    uid: Uid
    version: Version
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Which object, in which content: what an inventory says of each."""

    uid: Uid
    version: Version


class Action(enum.IntEnum):
    """What a report asks of the cloud."""

    STATUS = 1
    """The body is a strategic merge patch of the object's status subresource."""
    REMOVED = 2
    """The edge has torn the object down; the cloud may delete it for good."""
    RECORDED = 3
    """The body is a whole object to create, or to bring up to date if it exists (events)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What an edge says of an object. A later revision of the same (key, action) replaces an earlier one."""

    key: ObjectKey
    uid: Uid
    revision: int
    action: Action
    body: bytes


def digest(inventory: Iterable[tuple[ObjectKey, Identity]]) -> bytes:
    """16 bytes that are equal exactly when two inventories are."""
    lines = sorted(f"{key} {have.uid} {have.version}" for key, have in inventory)
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).digest()
