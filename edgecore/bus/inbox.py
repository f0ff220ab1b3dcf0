"""Who gets which message, and when the broker may forget it. No socket and no broker in here.

One message may be for several subscribers; it is acknowledged when the last of them is done. A message that nobody
wants yet is kept, unacknowledged, for `LINGER` seconds: after a start the broker sends what it kept for us before the
devices have subscribed again, and a driver that connects anew is away for a moment. The broker's window bounds them
all, so nothing here grows: only messages of QoS 0, which no window bounds, are dropped at `CAPACITY`.
"""

import asyncio
import collections
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Final, Self

from edgecore.bus.contract import BrokerGone
from edgecore.bus.filters import identifier, matches
from edgelink.aio.logs import clean

LINGER: Final = 30.0
"""Seconds that messages and filters are kept for a subscriber that may come (back)."""

CAPACITY: Final = 1000
"""Messages of QoS 0 that wait for one subscriber."""

_log = logging.getLogger(__name__)


class Arrival:
    """One message as it came, until everybody is done with it."""

    def __init__(
        self, topic: str, payload: bytes, *, retained: bool = False, packet: int = 0, settle: Callable[[], None]
    ) -> None:
        self.topic, self.payload, self.retained = topic, payload, retained
        self.packet = packet
        """Packet identifier; 0: QoS 0, never to be acknowledged."""
        self.holders = 0
        self.parked_at = 0.0
        self.gone = False
        """Its connection is no more: there is nothing to acknowledge, the broker sends it again."""
        self._settle: Callable[[], None] | None = settle if packet else None

    @property
    def id(self) -> str:
        if not self.packet:
            return ""
        digest = hashlib.blake2s(self.topic.encode() + b"\0" + self.payload, digest_size=8)
        return f"{self.packet}-{digest.hexdigest()}"

    def release(self) -> None:
        """One holder is done with it."""
        self.holders -= 1
        if self.holders <= 0:
            self.settle()

    def settle(self) -> None:
        """Let the broker forget it."""
        settle, self._settle = self._settle, None
        if settle is not None and not self.gone:
            settle()

    @property
    def returns(self) -> bool:
        """Whether the broker sends it again on the next connection."""
        return self.packet > 0


class Delivery:
    """One message for one subscriber."""

    def __init__(self, arrival: Arrival, owner: "Subscription") -> None:
        self.arrival, self._owner = arrival, owner
        arrival.holders += 1

    @property
    def topic(self) -> str:
        return self.arrival.topic

    @property
    def payload(self) -> bytes:
        return self.arrival.payload

    @property
    def retained(self) -> bool:
        return self.arrival.retained

    @property
    def id(self) -> str:
        return self.arrival.id

    def done(self) -> None:
        if self._owner.forget(self):
            self.arrival.release()


class Subscription(AsyncIterator[Delivery]):
    """What one subscriber still has to do."""

    def __init__(self, filters: Sequence[str], qos: int, *, endures: bool, retained: bool) -> None:
        self.filters, self.qos, self.retained, self._endures = tuple(filters), qos, retained, endures
        self._by_number = {identifier(text): text for text in filters}
        self._waiting: collections.deque[Delivery] = collections.deque()
        self._taken: dict[Delivery, None] = {}
        self._arrived = asyncio.Event()
        self._dropping = False
        self._over = False

    def wants(self, topic: str, numbers: Sequence[int]) -> bool:
        """Whether a message is for it; *numbers* say by which filters the broker sent this copy, if it says."""
        if numbers:
            return any((text := self._by_number.get(n)) is not None and matches(text, topic) for n in numbers)
        return any(matches(text, topic) for text in self.filters)

    def put(self, arrival: Arrival) -> None:
        if not arrival.returns and len(self._waiting) >= CAPACITY:
            if not self._dropping:
                _log.warning("messages of QoS 0 are dropped: nobody takes them in time (%s)", clean(arrival.topic))
            self._dropping = True
            return
        self._waiting.append(Delivery(arrival, self))
        self._arrived.set()

    def forget(self, delivery: Delivery) -> bool:
        """Whether it was not done before."""
        known = delivery in self._taken
        self._taken.pop(delivery, None)
        return known

    def lost(self) -> None:
        """The connection is gone: what was not taken yet comes again, and so does what is not done."""
        for delivery in self._taken:
            delivery.arrival.gone = True
        self._waiting = collections.deque(d for d in self._waiting if not d.arrival.returns)
        self._over = not self._endures
        self._arrived.set()

    def abandoned(self) -> list[Arrival]:
        """Close it; the messages that it was not done with and nobody else holds, in the order they came."""
        left = [*self._taken, *self._waiting]
        self._taken.clear()
        self._waiting.clear()
        kept = []
        for delivery in left:
            arrival = delivery.arrival
            arrival.holders -= 1
            if not arrival.holders and arrival.returns and not arrival.gone:
                kept.append(arrival)
        return kept

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        while not self._waiting:
            if self._over:
                raise BrokerGone("the connection to the MQTT broker was lost")
            self._arrived.clear()
            await self._arrived.wait()
        delivery = self._waiting.popleft()
        self._dropping = False
        self._taken[delivery] = None
        return delivery


class Inbox:
    """All subscriptions, the messages that wait for one, and the filters that the broker should have."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._subscriptions: list[Subscription] = []
        self._parked: list[tuple[Arrival, Sequence[int]]] = []
        self._fading: dict[str, float] = {}
        self._told = False
        self.fresh: set[str] = set()
        """Filters that somebody subscribed to and the broker has not been asked for since."""
        self.strays: set[str] = set()
        """Filters that the broker may have and nobody wants."""
        self.changed = asyncio.Event()
        """Set when there may be something new in `filters`, `fresh` or `strays`."""
        self.untidy = asyncio.Event()
        """Set while there is something for `sweep` to do, now or later."""

    @property
    def filters(self) -> dict[str, int]:
        """What the broker should send us, with the quality of service."""
        wanted: dict[str, int] = {}
        for subscription in self._subscriptions:
            for text in subscription.filters:
                wanted[text] = max(wanted.get(text, 0), subscription.qos)
        return wanted

    def wants_retained(self, text: str) -> bool:
        """Whether somebody who subscribed to this filter wants what the broker retains."""
        return any(subscription.retained for subscription in self._subscriptions if text in subscription.filters)

    @contextlib.contextmanager
    def subscribe(
        self, filters: Sequence[str], qos: int, *, endures: bool = True, retained: bool = True
    ) -> Iterator[Subscription]:
        """Messages on *filters* until the block ends."""
        subscription = Subscription(filters, qos, endures=endures, retained=retained)
        self._subscriptions.append(subscription)
        self.fresh.update(filters)
        self.strays.difference_update(filters)
        for text in filters:
            self._fading.pop(text, None)
        waiting, self._parked = self._parked, []
        for arrival, numbers in waiting:
            self.offer(arrival, numbers)
        self.changed.set()
        try:
            yield subscription
        finally:
            self._leave(subscription)

    def _leave(self, subscription: Subscription) -> None:
        self._subscriptions.remove(subscription)
        for arrival in subscription.abandoned():
            self.offer(arrival, ())
        wanted = self.filters
        for text in subscription.filters:
            if text not in wanted:
                self._fading[text] = self._now()
                self.fresh.discard(text)
        self.untidy.set()

    def offer(self, arrival: Arrival, numbers: Sequence[int]) -> None:
        """A message came; *numbers* are the identifiers of the filters it came by, if the broker says."""
        takers = [s for s in self._subscriptions if s.wants(arrival.topic, numbers)]
        for taker in takers:
            taker.put(arrival)
        if not takers and arrival.returns:
            arrival.parked_at = self._now()
            self._parked.append((arrival, numbers))
            self.untidy.set()

    def lost(self) -> None:
        """The connection is gone: whatever was not acknowledged comes again on the next one."""
        for subscription in self._subscriptions:
            subscription.lost()
        self._parked.clear()

    def sweep(self) -> None:
        """Let go of what nobody came for in time."""
        limit = self._now() - LINGER
        late = [pair for pair in self._parked if pair[0].parked_at <= limit]
        self._parked = [pair for pair in self._parked if pair[0].parked_at > limit]
        if late and not self._told:
            self._told = True
            _log.warning(
                "messages that nobody here subscribes to are dropped, from now on silently; the first was on %s",
                clean(late[0][0].topic),
            )
        for arrival, numbers in late:
            if identifier(arrival.topic) in numbers:  # an earlier run subscribed to just this topic
                self.strays.add(arrival.topic)
            arrival.settle()
        faded = {text for text, since in self._fading.items() if since <= limit}
        self._fading = {text: since for text, since in self._fading.items() if text not in faded}
        self.strays |= faded
        if not self._parked and not self._fading:
            self.untidy.clear()
        self.changed.set()
