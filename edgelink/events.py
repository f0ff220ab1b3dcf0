"""What a session can tell its owner. Frozen, free of any dialect."""

import dataclasses
from collections.abc import Mapping

from edgelink.objects import DesiredObject, Identity, NodeName, ObjectKey, Report, Uid


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """Both ends agreed on a version. *skew* is the other end's clock minus ours, in seconds."""

    peer: str
    version: int
    skew: float


@dataclasses.dataclass(frozen=True, slots=True)
class HelloArrived:
    """Cloud: the edge says who it is and what it has (as a digest). Answer with ``welcome``."""

    node: NodeName
    software: str
    digest: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class InventoryWanted:
    """Edge: the digests differ; say what you have with ``state_inventory``."""


@dataclasses.dataclass(frozen=True, slots=True)
class InventoryArrived:
    """Cloud: everything the edge has."""

    have: Mapping[ObjectKey, Identity]


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectWanted:
    """Edge: store this, commit, then acknowledge *delivery*."""

    delivery: int
    object: DesiredObject


@dataclasses.dataclass(frozen=True, slots=True)
class ObjectGone:
    """Edge: forget this object if it still has *uid* ("": whatever it has), then acknowledge *delivery*."""

    delivery: int
    key: ObjectKey
    uid: Uid


@dataclasses.dataclass(frozen=True, slots=True)
class InSync:
    """Edge: the cloud has sent all it wants here, as of this session's start."""


@dataclasses.dataclass(frozen=True, slots=True)
class DeliveryRefused:
    """Cloud: the edge cannot take this object; *reason* is for a person."""

    key: ObjectKey
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class ReportArrived:
    """Cloud: acknowledge or refuse it when the API server has spoken."""

    report: Report


@dataclasses.dataclass(frozen=True, slots=True)
class ReportTaken:
    """Edge: the cloud has it for good; forget this revision. *refusal* is empty, or why it will never be taken."""

    report: Report
    refusal: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """The other end wants an answer to *question*; *topic* says which feature knows."""

    question: int
    topic: str
    body: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one of our questions; *error* is empty when it succeeded."""

    question: int
    body: bytes
    error: str


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """The session is over. *refused*: dialling again soon is useless. Always the last event."""

    reason: str
    refused: bool = False


Event = (
    Opened
    | HelloArrived
    | InventoryWanted
    | InventoryArrived
    | ObjectWanted
    | ObjectGone
    | InSync
    | DeliveryRefused
    | ReportArrived
    | ReportTaken
    | Asked
    | Answered
    | Ended
)
