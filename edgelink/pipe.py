"""The only thing a transport implements: whole messages in, whole messages out."""

from typing import Protocol


class Pipe(Protocol):
    """One connection. Messages keep their order and their boundaries; a cut shows as `edgelink.errors.Closed`."""

    async def send(self, message: bytes) -> None:
        """Hand *message* to the transport; waits while its buffer is full. Raises Closed."""

    async def receive(self) -> bytes:
        """Next message. Raises Closed at the end, Violation for one that exceeds the frame limit."""

    async def close(self, reason: str = "") -> None:
        """End the connection; may be called twice, never raises."""
