"""A pipe in memory whose wire can be cut, stalled, slowed, made to repeat or to truncate messages."""

import asyncio
import dataclasses
import random

from edgelink.errors import Closed


@dataclasses.dataclass
class Faults:
    """What the wire does to messages; all off by default."""

    delay: float = 0.0
    duplicate: float = 0.0
    """Probability that a message arrives twice."""
    truncate: float = 0.0
    """Probability that a message arrives cut short."""
    cut: float = 0.0
    """Probability that a message is the last one."""
    stalled: bool = False
    """Half-open: everything is accepted, nothing arrives."""


class MemoryPipe:
    """One end; see `wire`."""

    def __init__(self, faults: Faults, dice: random.Random) -> None:
        self.faults, self.dice = faults, dice
        self.other: MemoryPipe
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = False

    async def send(self, message: bytes) -> None:
        await asyncio.sleep(self.faults.delay)
        if self.closed:
            raise Closed("the wire is cut")
        if self.faults.stalled:
            return
        roll = self.dice.random
        if roll() < self.faults.cut:
            self.cut()
            raise Closed("the wire was cut")
        if roll() < self.faults.truncate:
            message = message[: self.dice.randrange(len(message))] if message else message
        for _ in range(2 if roll() < self.faults.duplicate else 1):
            self.other.inbox.put_nowait(message)

    async def receive(self) -> bytes:
        message = await self.inbox.get()
        if message is None:
            self.inbox.put_nowait(None)
            raise Closed("the wire was cut")
        return message

    async def close(self, reason: str = "") -> None:
        self.cut()

    def cut(self) -> None:
        """Both ends find out; on a half-open wire only this one."""
        for end in (self,) if self.faults.stalled else (self, self.other):
            if not end.closed:
                end.closed = True
                end.inbox.put_nowait(None)


def wire(faults: Faults | None = None, seed: int = 0) -> tuple[MemoryPipe, MemoryPipe]:
    """Two connected ends that share *faults*."""
    shared, dice = faults or Faults(), random.Random(seed)
    one, two = MemoryPipe(shared, dice), MemoryPipe(shared, dice)
    one.other, two.other = two, one
    return one, two
