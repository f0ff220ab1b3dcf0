"""An edge's link with its real store on a memory wire, and a cloud at the other end that does as the test says."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

from edgecore.link.dial import Dialer
from edgecore.link.questions import Questions
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgelink.aio.clock import SystemClock
from edgelink.errors import ChannelError
from edgelink.events import Ended, Event, HelloArrived
from edgelink.native.cloud import NativeCloud
from edgelink.native.half import Limits
from edgelink.objects import DesiredObject, NodeName, ObjectKey, Uid, Version
from edgelink.pump import Link, connected
from tests.fakes.wire import MemoryPipe, wire

NODE = NodeName("press-03")


def obj(name: str, version: str = "1", uid: str = "u1", size: int = 2) -> DesiredObject:
    return DesiredObject(ObjectKey("pods", "plant", name), Uid(uid), Version(version), b"x" * size)


class GatedClock(SystemClock):
    """Whoever sleeps says how long, and sleeps until it is let go."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._asleep = asyncio.Event()
        self._go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._asleep.set()
        self._go.clear()
        await self._go.wait()

    async def until_asleep(self) -> float:
        """The next wait somebody begins, in seconds."""
        await self._asleep.wait()
        self._asleep.clear()
        return self.slept[-1]

    def wake(self) -> None:
        self._go.set()


@dataclasses.dataclass
class State:
    """What the link says of itself."""

    opens: list[float] = dataclasses.field(default_factory=list)
    ends: list[str] = dataclasses.field(default_factory=list)
    _moved: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def opened(self, skew: float) -> None:
        self.opens.append(skew)
        self._moved.set()

    async def until_opened(self, times: int) -> None:
        while len(self.opens) < times:
            self._moved.clear()
            await self._moved.wait()

    def closed(self, reason: str) -> None:
        self.ends.append(reason)


@dataclasses.dataclass
class Cloud:
    """The other end of one session."""

    link: Link[NativeCloud]
    pipe: MemoryPipe
    hello: HelloArrived
    seen: list[Event] = dataclasses.field(default_factory=list)
    _moved: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        async for event in self.link.events():
            self.seen.append(event)
            self._moved.set()

    async def until(self, kind: type[Event], count: int = 1) -> list[Event]:
        """The first *count* events of *kind*."""
        while len(found := [event for event in self.seen if isinstance(event, kind)]) < count:
            assert kind is Ended or not any(isinstance(event, Ended) for event in self.seen), self.seen
            self._moved.clear()
            await self._moved.wait()
        return found

    def welcome(self, *, in_sync: bool = True) -> None:
        self.link.session.welcome(in_sync=in_sync)
        self.link.kick()

    def want(self, *objects: DesiredObject) -> None:
        for each in objects:
            self.link.session.want(each)
        self.link.kick()

    @property
    def unacknowledged(self) -> int:
        return len(self.link.session._window)


class Gateway:
    """Store, outbox, questions and dialler; `session` waits for the next call."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self.clock, self.state, self.limits = GatedClock(), State(), limits
        self.objects, self.outbox, self.questions = ObjectStore(database), Outbox(database), Questions()
        self.unreachable: ChannelError | None = None
        self.roll = 0.5
        self._calls: asyncio.Queue[MemoryPipe] = asyncio.Queue()
        self.dialer = Dialer(
            NODE,
            self._connect,
            self.objects,
            self.outbox,
            self.questions,
            self.clock,
            self.state,
            software="edgecore of a test",
            limits=limits,
            roll=lambda: self.roll,
        )

    @contextlib.asynccontextmanager
    async def _connect(self) -> AsyncIterator[MemoryPipe]:
        if self.unreachable:
            raise self.unreachable
        here, there = wire()
        self._calls.put_nowait(there)
        yield here

    @contextlib.asynccontextmanager
    async def session(self, *, welcome: bool = True) -> AsyncIterator[Cloud]:
        """The cloud's end of the next call, after Hello."""
        pipe = await self._calls.get()
        session = NativeCloud(software="cloudcore of a test", utc=0.0, now=self.clock.now(), limits=self.limits)
        async with asyncio.TaskGroup() as group, connected(session, pipe, self.clock, name="cloud") as link:
            hello = await anext(event async for event in link.events() if isinstance(event, HelloArrived))
            cloud = Cloud(link, pipe, hello)
            ears = group.create_task(cloud.listen())
            if welcome:
                cloud.welcome()
            yield cloud
            ears.cancel()


@contextlib.asynccontextmanager
async def running(directory: Path, *, limits: Limits | None = None) -> AsyncIterator[Gateway]:
    """A gateway whose dialler runs."""
    async with asyncio.timeout(10), Database.open(directory / "edgecore.db") as database:
        gateway = Gateway(database, limits or Limits())
        async with asyncio.TaskGroup() as group:
            dialer = group.create_task(gateway.dialer.run(lambda: None))
            yield gateway
            dialer.cancel()
