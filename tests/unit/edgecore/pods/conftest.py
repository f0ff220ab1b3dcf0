"""The node that stories about pods play on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgecore.store.database import Database
from tests.fakes.runtime import FakeRuntime
from tests.unit.edgecore.pods.story import Cloud, Node, NoMounts, ShiftedClock


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node with nothing on it but the usual image."""
    clock = ShiftedClock()
    async with Database.open(tmp_path / "store" / "edge.db") as database:
        runtime = FakeRuntime(clock, local=["busybox:1.36"])
        yield Node(tmp_path, runtime, database, clock, Cloud(), NoMounts())
        await runtime.close()
