"""What features need of an MQTT broker. Implemented by `broker` over mosquitto, and by a fake in tests."""

import contextlib
from collections.abc import AsyncIterator
from typing import Protocol


class BrokerGone(Exception):
    """There is no connection to the broker now; it is being made again."""


class Message(Protocol):
    """One message from the broker."""

    @property
    def topic(self) -> str: ...

    @property
    def payload(self) -> bytes: ...

    @property
    def retained(self) -> bool: ...

    @property
    def id(self) -> str:
        """The same again when the same message comes again after a reconnect; empty for one of QoS 0."""

    def done(self) -> None:
        """Acknowledge it: the broker forgets it. One that is not comes again after a reconnect or a restart of ours."""


class Bus(Protocol):
    """One connection to the broker, kept up for ever."""

    @property
    def connected(self) -> bool: ...

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Returns once the broker has it (QoS ≥ 1). Keeps no queue. Raises BrokerGone.

        The broker has every filter of an earlier `subscribe` by then: no answer is missed.
        """

    def subscribe(
        self, *filters: str, qos: int = 1, endures: bool = True, retained: bool = True
    ) -> contextlib.AbstractContextManager[AsyncIterator[Message]]:
        """Messages on *filters* for as long as the context lasts, across reconnects. Bounded: the broker waits.

        Unless it *endures*, the iterator raises BrokerGone when the connection is lost. Unless it wants what is
        *retained*, nothing comes that was published before the broker had the filter.
        Messages that came meanwhile are kept for a subscriber that leaves and is back within half a minute.
        """

    def connections(self) -> AsyncIterator[bool]:
        """Whether there is a connection, now and on every change."""
