"""A broker in memory: a `Bus` for unit tests, and the other end of it."""

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import AsyncIterator, Iterator

from edgecore.bus.contract import BrokerGone
from edgecore.bus.filters import matches, valid_filter, valid_topic


@dataclasses.dataclass(eq=False)
class FakeMessage:
    topic: str
    payload: bytes
    retained: bool
    id: str
    bus: "FakeBus"
    turn: int = 0

    def done(self) -> None:
        if self.turn == self.bus.turn:
            self.bus.unacknowledged.pop(self, None)


class _Reader(AsyncIterator[FakeMessage]):
    def __init__(self, filters: tuple[str, ...], endures: bool) -> None:
        self.filters, self.endures, self.over = filters, endures, False
        self.waiting: list[FakeMessage] = []
        self.arrived = asyncio.Event()

    def put(self, message: FakeMessage) -> None:
        self.waiting.append(message)
        self.arrived.set()

    async def __anext__(self) -> FakeMessage:
        while not self.waiting:
            if self.over:
                raise BrokerGone("the connection was lost")
            self.arrived.clear()
            await self.arrived.wait()
        return self.waiting.pop(0)


class FakeBus:
    """Both ends: `Bus` for who is tested; `deliver`, `sent`, `cut` and `heal` for the test."""

    def __init__(self) -> None:
        self.connected = True
        self.sent: list[tuple[str, bytes]] = []
        """What was published, in order."""
        self.unacknowledged: dict[FakeMessage, None] = {}
        self.retained: dict[str, bytes] = {}
        self._readers: list[_Reader] = []
        self._kept: list[FakeMessage] = []
        self._numbers = itertools.count(1)
        self._turned = asyncio.Event()
        self.turn = 0

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        if not valid_topic(topic):
            raise ValueError(topic)
        await asyncio.sleep(0)
        if not self.connected:
            raise BrokerGone("the broker is away")
        self.sent.append((topic, payload))
        self.deliver(topic, payload, retain=retain)
        await asyncio.sleep(0)

    @contextlib.contextmanager
    def subscribe(
        self, *filters: str, qos: int = 1, endures: bool = True, retained: bool = True
    ) -> Iterator[AsyncIterator[FakeMessage]]:
        if not all(map(valid_filter, filters)):
            raise ValueError(filters)
        reader = _Reader(filters, endures)
        self._readers.append(reader)
        for topic, payload in self.retained.items() if retained else ():
            if any(matches(text, topic) for text in filters):
                reader.put(self._message(topic, payload, retained=True))
        kept, self._kept = self._kept, []
        for message in kept:
            self._route(message)
        try:
            yield reader
        finally:
            self._readers.remove(reader)
            self._kept += [
                m for m in self.unacknowledged if m not in self._kept and any(matches(f, m.topic) for f in filters)
            ]

    async def connections(self) -> AsyncIterator[bool]:
        seen = -1
        while True:
            while seen == self.turn:
                await self._turned.wait()
            seen = self.turn
            yield self.connected

    def deliver(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Somebody publishes; without a connection the broker keeps it for later."""
        if retain:
            self.retained[topic] = payload
        if any(matches(text, topic) for reader in self._readers for text in reader.filters):
            message = self._message(topic, payload, retained=False)
            if self.connected:
                self._route(message)

    def _message(self, topic: str, payload: bytes, *, retained: bool) -> FakeMessage:
        message = FakeMessage(topic, payload, retained, str(next(self._numbers)), self, self.turn)
        self.unacknowledged[message] = None
        return message

    def _route(self, message: FakeMessage) -> None:
        takers = [r for r in self._readers if any(matches(text, message.topic) for text in r.filters)]
        for reader in takers:
            reader.put(message)
        if not takers:
            self._kept.append(message)

    def cut(self) -> None:
        """The connection is gone."""
        self.connected = False
        for reader in self._readers:
            reader.waiting.clear()
            reader.over = not reader.endures
            reader.arrived.set()
        self._turn()

    def heal(self) -> None:
        """It is back: what was not acknowledged comes again, then what came meanwhile."""
        self.connected = True
        self._turn()
        self._kept.clear()
        left, self.unacknowledged = self.unacknowledged, {}
        for message in left:
            again = dataclasses.replace(message, turn=self.turn)
            self.unacknowledged[again] = None
            self._route(again)

    def _turn(self) -> None:
        self.turn += 1
        self._turned.set()
        self._turned = asyncio.Event()
