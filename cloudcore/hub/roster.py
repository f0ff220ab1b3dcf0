"""Which nodes are attached here, and what they say. The newest session of a node wins; the older one is told why.

Features subscribe to what they care for and get it as bounded streams: a feature that falls behind slows the sessions
that talk to it, nothing piles up.
"""

import asyncio
import dataclasses
import datetime
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Final

from edgelink.aio.logs import bind
from edgelink.events import Asked, Event
from edgelink.objects import NodeName
from edgelink.pump import Link
from edgelink.session import CloudSession

log = logging.getLogger(__name__)

BACKLOG: Final = 1024


@dataclasses.dataclass(eq=False, slots=True)
class Attachment:
    """One live session of one node."""

    node: NodeName
    link: Link[CloudSession]
    digest: bytes
    software: str
    issued: datetime.datetime
    """notBefore of the certificate it was admitted with."""
    skew: float
    """The edge's clock minus ours, in seconds."""
    conditions: bytes = b""
    """What the node said last of its condition, as a patch of its Node; kept by those who write it."""
    following: bool = False
    """It has been compared with what it should have; from then on it is told of changes."""

    @property
    def session(self) -> CloudSession:
        return self.link.session


@dataclasses.dataclass(frozen=True, slots=True)
class Attached:
    """A node has a (new) session; it waits to be welcomed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Detached:
    """The node's session is over and no newer one has taken its place."""


News = Event | Attached | Detached


class Subscription:
    """A bounded stream of ``(attachment, news)``."""

    def __init__(self, kinds: tuple[type, ...], topic: str) -> None:
        self._kinds, self._topic = kinds, topic
        self._queue: asyncio.Queue[tuple[Attachment, News]] = asyncio.Queue(BACKLOG)

    def wants(self, news: News) -> bool:
        return isinstance(news, self._kinds) and (not isinstance(news, Asked) or news.topic == self._topic)

    async def put(self, attachment: Attachment, news: News) -> None:
        await self._queue.put((attachment, news))

    @property
    def depth(self) -> int:
        return self._queue.qsize()

    async def __aiter__(self) -> AsyncIterator[tuple[Attachment, News]]:
        while True:
            yield await self._queue.get()


class Roster:
    """Live sessions by node."""

    def __init__(self) -> None:
        self._attached: dict[NodeName, Attachment] = {}
        self._subscriptions: list[Subscription] = []

    def subscribe(self, *kinds: type, topic: str = "") -> Subscription:
        """Everything of these kinds from now on; for `Asked`, questions on *topic*."""
        subscription = Subscription(kinds, topic)
        self._subscriptions.append(subscription)
        return subscription

    async def attach(self, attachment: Attachment) -> None:
        """*attachment* is the node's session from now on."""
        older = self._attached.get(attachment.node)
        self._attached[attachment.node] = attachment
        if older:
            bind(log, node=attachment.node).info("a newer session replaces the one before")
            older.link.close("a newer session of this node took over", refused=True)
        await self.dispatch(attachment, Attached())

    async def detach(self, attachment: Attachment) -> None:
        """*attachment* is over. A session that was replaced meanwhile leaves no trace."""
        if self._attached.get(attachment.node) is attachment:
            del self._attached[attachment.node]
            await self.dispatch(attachment, Detached())

    async def dispatch(self, attachment: Attachment, news: News) -> bool:
        """Hand *news* to whoever subscribed; False if nobody did."""
        takers = [subscription for subscription in self._subscriptions if subscription.wants(news)]
        for subscription in takers:
            await subscription.put(attachment, news)
        return bool(takers)

    def get(self, node: NodeName) -> Attachment | None:
        return self._attached.get(node)

    def is_current(self, attachment: Attachment) -> bool:
        return self._attached.get(attachment.node) is attachment

    def __iter__(self) -> Iterator[Attachment]:
        return iter(list(self._attached.values()))

    def __len__(self) -> int:
        return len(self._attached)

    @property
    def depth(self) -> int:
        """News nobody has taken yet."""
        return sum(subscription.depth for subscription in self._subscriptions)
