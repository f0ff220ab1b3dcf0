"""The only I/O loop of the channel: moves messages between a pipe and a session and turns deadlines into wake-ups.

The same for every dialect and transport. Whoever owns a session iterates `Link.events` and calls verbs on
`Link.session`, followed by `Link.kick`. A slow owner reads slowly: back-pressure reaches the peer through the pipe.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
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
        self._sender: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def kick(self) -> None:
        """The session may have something to send."""
        self._wake.set()

    def close(self, reason: str, *, refused: bool = False) -> None:
        """Say goodbye and end; `events` ends with `Ended`."""
        if not self.session.ended:
            self.session.close(reason, refused=refused)
            self._late.append(Ended(reason, refused))
            self._leave()
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
        self._sender = asyncio.current_task()
        self._pass_time()
        try:
            with contextlib.suppress(Closed):
                await self._send()
        finally:
            self._sender = None
            if self._timer:
                self._timer.cancel()
            await self._pipe.close()

    async def _send(self) -> None:
        while True:
            self._wake.clear()
            last = self.session.ended
            for message in self.session.messages():
                await self._pipe.send(message)
            if last:
                return
            await self._wake.wait()

    def _pass_time(self) -> None:
        """Runs by itself: a peer that reads nothing keeps the sender waiting, and is given up all the same."""
        self._late += self.session.tick(self._clock.now())
        self.kick()
        if self.session.ended:
            self._leave()
        else:
            self._after(self.session.deadline() - self._clock.now(), self._pass_time)

    def _leave(self) -> None:
        if self._sender:
            self._after(_FAREWELL, self._give_up)

    def _give_up(self) -> None:
        if self._sender:
            self._sender.cancel()

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, seconds), act)


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
            await asyncio.wait([sender], timeout=_FAREWELL)
            sender.cancel()
            await pipe.close()
