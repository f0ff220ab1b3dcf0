"""The only I/O loop of the channel: moves messages between a pipe and a session and turns deadlines into wake-ups.

The same for every dialect and transport. Whoever owns a session iterates `Link.events` and calls verbs on
`Link.session`, followed by `Link.kick`. A slow owner reads slowly: back-pressure reaches the peer through the pipe.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from edgelink.aio.clock import Clock
from edgelink.errors import Closed, Violation
from edgelink.events import Ended, Event
from edgelink.pipe import Pipe
from edgelink.session import Session

S = TypeVar("S", bound=Session)
S_co = TypeVar("S_co", bound=Session, covariant=True)

_FAREWELL = 1.0
"""Seconds a peer that does not read may keep us from leaving."""


class Link(Generic[S_co]):
    """A session on a pipe. Made by `connected`."""

    def __init__(self, session: S_co, pipe: Pipe, clock: Clock) -> None:
        self.session = session
        self._pipe, self._clock = pipe, clock
        self._wake = asyncio.Event()
        self._late: list[Event] = []

    def kick(self) -> None:
        """The session may have something to send."""
        self._wake.set()

    def close(self, reason: str, *, refused: bool = False) -> None:
        """Say goodbye and end; `events` ends with `Ended`."""
        if not self.session.ended:
            self.session.close(reason, refused=refused)
            self._late.append(Ended(reason, refused))
        self.kick()

    async def events(self) -> AsyncIterator[Event]:
        """What the session has to tell, until and including `Ended`. Iterate once."""
        while True:
            try:
                message = await self._pipe.receive()
            except (Closed, Violation) as cut:
                for event in self._late or [Ended(str(cut))]:
                    yield event
                return
            events = self.session.receive(message, self._clock.now())
            self.kick()
            for event in events:
                yield event
                if isinstance(event, Ended):
                    return

    async def send_forever(self) -> None:
        """Send what the session has to send, and let time pass for it; ends with the session or the pipe."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(Closed):
            while True:
                self._wake.clear()
                self._late += self.session.tick(self._clock.now())
                for message in self.session.messages():
                    await self._pipe.send(message)
                if self.session.ended:
                    break
                if not self._wake.is_set():
                    timer = loop.call_later(self.session.deadline() - self._clock.now(), self._wake.set)
                    try:
                        await self._wake.wait()
                    finally:
                        timer.cancel()
        await self._pipe.close()


@contextlib.asynccontextmanager
async def connected(session: S, pipe: Pipe, clock: Clock, *, name: str) -> AsyncIterator[Link[S]]:
    """Run *session* over *pipe* for the length of the block; leaving it says goodbye and closes the pipe."""
    link = Link(session, pipe, clock)
    async with asyncio.TaskGroup() as group:
        sender = group.create_task(link.send_forever(), name=f"{name} out")
        try:
            yield link
        finally:
            link.close("this end is shutting down")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await asyncio.wait([sender])
            sender.cancel()
            await pipe.close()
