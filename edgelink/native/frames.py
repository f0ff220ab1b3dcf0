"""The frames of the native dialect as frozen data; `codec` turns them into bytes and back."""

import dataclasses
from collections.abc import Mapping

from edgelink.objects import DesiredObject, Identity, ObjectKey, Report, Uid


@dataclasses.dataclass(frozen=True, slots=True)
class Hello:
    """Edge, first frame. *utc*: seconds since the epoch by the edge's clock."""

    oldest_version: int
    newest_version: int
    node: str
    software: str
    digest: bytes
    utc: float


@dataclasses.dataclass(frozen=True, slots=True)
class Welcome:
    """Cloud, first frame. Unless *in_sync* the edge answers with its inventory."""

    version: int
    software: str
    in_sync: bool
    utc: float


@dataclasses.dataclass(frozen=True, slots=True)
class Inventory:
    """Everything the edge has."""

    have: Mapping[ObjectKey, Identity]


@dataclasses.dataclass(frozen=True, slots=True)
class Upsert:
    """Cloud: store this object."""

    delivery: int
    object: DesiredObject


@dataclasses.dataclass(frozen=True, slots=True)
class Delete:
    """Cloud: forget this object if it still has this uid; "" is any."""

    delivery: int
    key: ObjectKey
    uid: Uid


@dataclasses.dataclass(frozen=True, slots=True)
class Synced:
    """Cloud: the difference was sent in full."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reported:
    """Edge: a report."""

    delivery: int
    report: Report


@dataclasses.dataclass(frozen=True, slots=True)
class Ack:
    """These deliveries of yours are durable here."""

    deliveries: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Nack:
    """This delivery of yours will never be taken."""

    delivery: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Ping:
    """Are you there?"""


@dataclasses.dataclass(frozen=True, slots=True)
class Pong:
    """I am."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bye:
    """The session ends. *refused*: dialling again soon is useless."""

    reason: str
    refused: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """Either end asks."""

    number: int
    topic: str
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """The other end answers; *error* is empty when it succeeded."""

    number: int
    body: bytes
    error: str


@dataclasses.dataclass(frozen=True, slots=True)
class Unknown:
    """A frame of a newer protocol; ignored."""


Frame = (
    Hello
    | Welcome
    | Inventory
    | Upsert
    | Delete
    | Synced
    | Reported
    | Ack
    | Nack
    | Ping
    | Pong
    | Bye
    | Question
    | Answer
    | Unknown
)
