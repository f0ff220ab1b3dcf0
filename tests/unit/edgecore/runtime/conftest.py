"""A CRI server of one's own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from edgecore.runtime.cri import CriRuntime
from tests.unit.edgecore.runtime.cri_server import CriServer

Connect = Callable[[CriServer], contextlib.AbstractAsyncContextManager[CriRuntime]]


@pytest.fixture
def connect(tmp_path: Path) -> Connect:
    """Starts a server and connects a runtime to it, for the length of an async with."""

    @contextlib.asynccontextmanager
    async def connected(server: CriServer) -> AsyncIterator[CriRuntime]:
        await server.start(tmp_path / "cri.sock")
        async with asyncio.TaskGroup() as group:
            runtime = CriRuntime(str(tmp_path / "cri.sock"), group)
            try:
                yield runtime
            finally:
                await runtime.close()
                await server.stop()

    return connected
