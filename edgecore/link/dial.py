"""The connect loop: a pipe, a session, the pump; back-off in between. Nobody else notices a cut.

Each attempt has a new session object. Sessions that were open for a while start the back-off anew; a cloud that refuses
us (revoked, replaced) is asked again only at the longest interval.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

from edgecore.link.drain import Drain
from edgecore.link.intake import Intake
from edgecore.link.questions import Questions
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgelink.aio.backoff import next_delay
from edgelink.aio.clock import Clock
from edgelink.aio.logs import clean
from edgelink.errors import ChannelError
from edgelink.events import (
    Answered,
    Asked,
    Ended,
    Event,
    InSync,
    InventoryWanted,
    ObjectGone,
    ObjectWanted,
    Opened,
    ReportTaken,
)
from edgelink.native.edge import NativeEdge
from edgelink.native.half import Limits
from edgelink.objects import NodeName, digest
from edgelink.pipe import Pipe
from edgelink.pump import Link, connected
from edgelink.session import EdgeSession

log = logging.getLogger(__name__)

CAP: Final = 30.0
"""Longest wait before dialling again, seconds."""

Connect = Callable[[], contextlib.AbstractAsyncContextManager[Pipe]]
"""One connection to the cloud with today's identity. Raises ChannelError."""


class LinkState(Protocol):
    """Who wants to know how the link is (node status, health)."""

    def opened(self, skew: float) -> None: ...

    def closed(self, reason: str) -> None: ...


class Dialer:
    """A service: keeps one session to the cloud whenever there is a way."""

    name = "link"

    def __init__(
        self,
        node: NodeName,
        connect: Connect,
        objects: ObjectStore,
        outbox: Outbox,
        questions: Questions,
        clock: Clock,
        state: LinkState,
        *,
        software: str,
        limits: Limits,
        roll: Callable[[], float] = random.random,
    ) -> None:
        self._node, self._connect = node, connect
        self._objects, self._outbox, self._questions = objects, outbox, questions
        self._clock, self._state = clock, state
        self._software, self._limits, self._roll = software, limits, roll
        self._failures = 0
        self._said = ""

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        while True:
            ended = await self._attempt()
            self._state.closed(ended.reason)
            self._failures = 32 if ended.refused else self._failures + 1
            delay = next_delay(self._failures, cap=CAP, roll=self._roll())
            if ended.reason != self._said:
                self._said = ended.reason
                log.warning(
                    "not attached: %s; dialling again in %.0f s, then ever less often", clean(ended.reason), delay
                )
            await self._clock.sleep(delay)

    async def _attempt(self) -> Ended:
        try:
            async with self._connect() as pipe:
                return await self._converse(pipe)
        except ChannelError as cut:
            return Ended(str(cut))

    async def _converse(self, pipe: Pipe) -> Ended:
        have = await self._objects.inventory()
        session = NativeEdge(
            self._node,
            digest(have.items()),
            software=self._software,
            utc=self._clock.utc().timestamp(),
            now=self._clock.now(),
            limits=self._limits,
        )
        async with connected(session, pipe, self._clock, name="link") as link, self._serving(link) as (intake, drain):
            async for event in link.events():
                if isinstance(event, Ended):
                    return event
                await self._handle(event, link, intake, drain)
        return Ended("the link ended")

    @contextlib.asynccontextmanager
    async def _serving(self, link: Link[EdgeSession]) -> AsyncIterator[tuple[Intake, Drain]]:
        intake, drain = Intake(self._objects, link, self._clock), Drain(self._outbox, link)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = (
                    group.create_task(intake.run(), name="link intake"),
                    group.create_task(drain.run(), name="link drain"),
                )
                yield intake, drain
                for task in tasks:
                    task.cancel()
        finally:
            self._questions.detach()

    async def _handle(self, event: Event, link: Link[EdgeSession], intake: Intake, drain: Drain) -> None:
        match event:
            case Opened(peer, _, skew):
                self._questions.attach(link)
                self._state.opened(skew)
                log.info("attached to %s, clock skew %.1f s", clean(peer), skew)
                await drain.open()
            case InventoryWanted():
                link.session.state_inventory(await self._objects.inventory())
                link.kick()
            case ObjectWanted() | ObjectGone():
                intake.take(event)
            case InSync():
                self._failures, self._said = 0, ""
                intake.told_all()
                log.info("in sync with the cloud")
            case ReportTaken():
                await drain.taken(event)
            case Answered():
                self._questions.answered(event)
            case Asked(question, topic, _):
                link.session.answer(question, b"", f"this node answers no questions on {clean(topic)}")
                link.kick()
