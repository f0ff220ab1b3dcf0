"""What any dialect's session offers. A session is a value: bytes in, events and bytes out, no socket, no clock.

Times are plain seconds of one monotonic clock that the caller passes in. Verbs only change state; whoever calls one
then lets the pump know (`edgelink.pump.Link` does both).
"""

from collections.abc import Mapping
from typing import Protocol

from edgelink.events import Event
from edgelink.objects import DesiredObject, Identity, ObjectKey, Report, Uid


class Session(Protocol):
    """One half of one session."""

    def receive(self, message: bytes, now: float) -> list[Event]:
        """Take one message. A breach of the protocol ends the session with an `Ended` event; nothing is raised."""

    def tick(self, now: float) -> list[Event]:
        """Let time pass: pings become due, a silent peer ends the session."""

    def deadline(self) -> float:
        """When ``tick`` must be called next."""

    def messages(self) -> list[bytes]:
        """Messages to send now, in order; each is returned once. Bounded by the window."""

    @property
    def ended(self) -> bool:
        """True after `Ended`; ``messages`` may still hold a farewell."""

    def ask(self, topic: str, body: bytes) -> int:
        """Put a question to the other end; the number comes back in `Answered`."""

    def answer(self, question: int, body: bytes, error: str = "") -> None:
        """Answer what `Asked` brought."""

    def close(self, reason: str, *, refused: bool = False) -> None:
        """Say goodbye; the peer learns *reason*."""


class EdgeSession(Session, Protocol):
    """The half at the gateway."""

    def state_inventory(self, have: Mapping[ObjectKey, Identity]) -> None:
        """Say what this node has; answers `InventoryWanted`."""

    def acknowledge(self, delivery: int) -> None:
        """The object is durably stored (or forgotten)."""

    def refuse(self, delivery: int, reason: str) -> None:
        """The object cannot be taken; the cloud tells people why."""

    def report(self, report: Report) -> None:
        """Send *report* up. Raises FrameTooBig. Ask `can_report` first."""

    def can_report(self) -> bool:
        """Whether the window has room for one more report."""


class CloudSession(Session, Protocol):
    """The half in the cloud."""

    def welcome(self, *, in_sync: bool) -> None:
        """Accept the edge; unless *in_sync* it will state its inventory."""

    def want(self, obj: DesiredObject) -> None:
        """Deliver *obj* when the window has room; a newer one of the same key replaces it. Raises FrameTooBig."""

    def gone(self, key: ObjectKey, uid: Uid) -> None:
        """Tell the edge to forget this object; replaces a waiting ``want``."""

    def synced(self) -> None:
        """The first difference has been handed over in full; the edge learns it after the last of it."""

    def acknowledge(self, report: Report) -> None:
        """The API server took this revision, or the object is gone for good."""

    def refuse(self, report: Report, reason: str) -> None:
        """This revision will never be taken."""

    @property
    def last_heard(self) -> float:
        """When the last message of the edge came."""
