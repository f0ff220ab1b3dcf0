"""A world for each story."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.certificates import Authority
from tests.inprocess.world import World, new_world


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def world(tmp_path: Path, authority: Authority) -> AsyncIterator[World]:
    with new_world(tmp_path, authority) as made:
        async with made.running():
            yield made
