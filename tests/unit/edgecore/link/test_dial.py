"""The dialler outlives whatever keeps it from a session."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from edgecore.link.dial import Dialer
from edgecore.link.identity import IdentityError
from edgecore.link.questions import Questions
from edgecore.store.database import Database
from edgecore.store.objects import ObjectStore
from edgecore.store.outbox import Outbox
from edgelink.native.half import Limits
from edgelink.objects import NodeName
from edgelink.pipe import Pipe
from tests.fakes.clock import FakeClock


class Reasons:
    """Why there is no session, as told to the node."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[str] = asyncio.Queue()

    def opened(self, skew: float) -> None:
        raise AssertionError("there is no cloud")

    def closed(self, reason: str) -> None:
        self.told.put_nowait(reason)


async def test_an_identity_that_cannot_be_used_ends_no_daemon(tmp_path: Path) -> None:
    attempts = 0

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Pipe]:
        nonlocal attempts
        attempts += 1
        raise IdentityError("the file is damaged")
        yield

    clock, reasons = FakeClock(), Reasons()
    async with Database.open(tmp_path / "db") as database, asyncio.TaskGroup() as group, asyncio.timeout(5):
        objects, outbox = ObjectStore(database), Outbox(database)
        state, limits = reasons, Limits()
        dialer = Dialer(
            NodeName("n"), connect, objects, outbox, Questions(), clock, state, software="test", limits=limits
        )
        task = group.create_task(dialer.run(lambda: None))
        assert await reasons.told.get() == "the file is damaged"
        await clock.advance(30)
        assert await reasons.told.get() == "the file is damaged"
        task.cancel()
    assert attempts == 2
